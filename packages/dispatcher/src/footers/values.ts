/**
 * The text of a smallest or largest value, as DuckDB casts it, in a canonical form: the one that the child makes of the bytes
 * of a footer. Whole numbers, days, and micro- or nanoseconds since 1970 are written in decimals, decimals without their point,
 * bytes in hex.
 */

/** Undefined when the text is no value of the type, or the type's bounds are not judged. */
export function canonicalValue(type: string, text: string): string | undefined {
  const decimal = /^DECIMAL\(\d+,(\d+)\)$/.exec(type);
  if (decimal !== null) return scaled(text, Number(decimal[1]));
  return readers[type]?.(text);
}

/** Whether bounds of the type are judged at all. */
export function isJudged(type: string): boolean {
  return type.startsWith("DECIMAL(") || readers[type] !== undefined;
}

function whole(text: string): string | undefined {
  return /^-?\d{1,40}$/.test(text) ? String(BigInt(text)) : undefined;
}

function number(text: string): number | undefined {
  if (/^-?inf(inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) + 0 : undefined;
}

function scaled(text: string, scale: number): string | undefined {
  const match = /^(-?)(\d{0,39})(?:\.(\d{1,38}))?$/.exec(text);
  if (match === null || text === "" || text === "-") return undefined;
  const fraction = match[3] ?? "";
  if (/[1-9]/.test(fraction.slice(scale))) return undefined;
  return String(BigInt(`${match[1]}${match[2]}${fraction.slice(0, scale).padEnd(scale, "0")}`));
}

/** Days since 1970 of a day of the proleptic Gregorian calendar; the year 0 is 1 BC. */
function days(year: bigint, month: bigint, day: bigint): bigint {
  // Counted from the first of March of the year 0, so that the odd day ends a year, over eras of 400 years.
  const shifted = month <= 2n ? year - 1n : year;
  const era = (shifted >= 0n ? shifted : shifted - 399n) / 400n;
  const ofEra = shifted - era * 400n;
  const ofYear = (153n * (month + (month > 2n ? -3n : 9n)) + 2n) / 5n + day - 1n;
  return era * 146_097n + ofEra * 365n + ofEra / 4n - ofEra / 100n + ofYear - 719_468n;
}

const dayText = String.raw`(\d{4,7})-(\d\d)-(\d\d)`;
const clockText = String.raw`(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?`;
const datePattern = new RegExp(`^${dayText}( \\(BC\\))?$`);
const clockPattern = new RegExp(`^${clockText}$`);
const stampPattern = new RegExp(
  `^${dayText}( \\(BC\\))? ${clockText}(?:([+-])(\\d\\d)(?::?(\\d\\d))?(?::?(\\d\\d))?)?$`,
);

function dayOf(parts: readonly (string | undefined)[]): bigint | undefined {
  const [year, month, day] = parts.slice(0, 3).map((part) => BigInt(part ?? 0));
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (month < 1n || month > 12n || day < 1n || day > 31n) return undefined;
  return days(parts[3] === undefined ? year : 1n - year, month, day);
}

function clockOf(parts: readonly (string | undefined)[], digits: number): bigint | undefined {
  const [hours, minutes, seconds] = parts.slice(0, 3).map((part) => BigInt(part ?? 0));
  if (hours === undefined || minutes === undefined || seconds === undefined) return undefined;
  const fraction = parts[3] ?? "";
  if (/[1-9]/.test(fraction.slice(digits))) return undefined;
  const unit = 10n ** BigInt(digits);
  return ((hours * 60n + minutes) * 60n + seconds) * unit + BigInt(fraction.slice(0, digits).padEnd(digits, "0"));
}

/** The largest and its negative stand for no end. */
function endless(text: string, bits: number): string | undefined {
  const most = 2n ** BigInt(bits - 1) - 1n;
  return text === "infinity" ? String(most) : text === "-infinity" ? String(-most) : undefined;
}

function stamp(digits: number, zoned: boolean): (text: string) => string | undefined {
  return (text) => {
    const end = endless(text, 64);
    if (end !== undefined) return end;
    const parts = stampPattern.exec(text)?.slice(1);
    if (parts === undefined || (parts[8] === undefined) === zoned) return undefined;
    const day = dayOf(parts);
    const clock = clockOf(parts.slice(4, 8), digits);
    if (day === undefined || clock === undefined) return undefined;
    const unit = 10n ** BigInt(digits);
    const [hours, minutes, seconds] = parts.slice(9, 12).map((part) => BigInt(part ?? 0));
    const offset = (((hours ?? 0n) * 60n + (minutes ?? 0n)) * 60n + (seconds ?? 0n)) * unit;
    return String(day * 86_400n * unit + clock - (parts[8] === "-" ? -offset : offset));
  };
}

/** Bytes as DuckDB writes them: printable ASCII as it is, others as `\xFF`. */
function blob(text: string): string | undefined {
  if (!/^(?:[\x20-\x5b\x5d-\x7e]|\\x[0-9A-Fa-f]{2})*$/.test(text)) return undefined;
  const hex = (match: string) =>
    match.startsWith("\\x") ? match.slice(2).toLowerCase() : Buffer.from(match).toString("hex");
  return text.replace(/\\x[0-9A-Fa-f]{2}|[\x20-\x7e]/g, hex);
}

function fraction(round: (value: number) => number): (text: string) => string | undefined {
  return (text) => {
    const value = number(text);
    return value === undefined ? undefined : String(round(value) + 0);
  };
}

const readers: Readonly<Record<string, (text: string) => string | undefined>> = Object.assign(Object.create(null), {
  BOOLEAN: (text: string) => (text === "true" ? "1" : text === "false" ? "0" : undefined),
  TINYINT: whole,
  SMALLINT: whole,
  INTEGER: whole,
  BIGINT: whole,
  UTINYINT: whole,
  USMALLINT: whole,
  UINTEGER: whole,
  UBIGINT: whole,
  FLOAT: fraction(Math.fround),
  DOUBLE: fraction((value) => value),
  DATE: (text: string) => {
    const parts = datePattern.exec(text)?.slice(1);
    return endless(text, 32) ?? (parts === undefined ? undefined : dayOf(parts)?.toString());
  },
  TIME: (text: string) => {
    const parts = clockPattern.exec(text)?.slice(1);
    return parts === undefined ? undefined : clockOf(parts, 6)?.toString();
  },
  TIMESTAMP: stamp(6, false),
  TIMESTAMP_NS: stamp(9, false),
  "TIMESTAMP WITH TIME ZONE": stamp(6, true),
  VARCHAR: (text: string) => text,
  JSON: (text: string) => text,
  BLOB: blob,
  UUID: (text: string) =>
    /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) ? text.replaceAll("-", "").toLowerCase() : undefined,
});

/** A canonical value for people. */
export function shownValue(type: string, canonical: string): string {
  const decimal = /^DECIMAL\(\d+,(\d+)\)$/.exec(type);
  const scale = Number(decimal?.[1] ?? 0);
  if (scale > 0) {
    const digits = canonical.replace("-", "").padStart(scale + 1, "0");
    return `${canonical.startsWith("-") ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  }
  if (type === "BOOLEAN") return canonical === "1" ? "true" : "false";
  const perDay: Readonly<Record<string, bigint>> = {
    DATE: 1n,
    TIMESTAMP: 86_400_000_000n,
    TIMESTAMP_NS: 86_400_000_000_000n,
  };
  const unit = perDay[type === "TIMESTAMP WITH TIME ZONE" ? "TIMESTAMP" : type];
  if (unit === undefined) return canonical;
  const ms = Number((BigInt(canonical) * 86_400_000n) / unit);
  if (Math.abs(ms) > 8.64e15) return canonical;
  const text = new Date(ms).toISOString();
  return type === "DATE" ? text.slice(0, -14) : text.replace("T", " ").replace("Z", "");
}
