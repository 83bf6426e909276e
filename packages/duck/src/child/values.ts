/**
 * DuckDB values as JSON that loses nothing: integers and decimals are numbers while a double holds them exactly and
 * texts beyond that, times are ISO 8601, structs are objects, lists are arrays, blobs are base64, maps are pair lists.
 */
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
} from "@duckdb/node-api";

/** Total digits that every double holds exactly. */
const safeDigits = 15;

export function jsonValue(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return bigintValue(value);
  // JSON has no NaN and no infinity.
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "string" || typeof value === "boolean") return value;
  return timeValue(value) ?? nestedValue(value) ?? String(value);
}

function bigintValue(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function timeValue(value: unknown): string | undefined {
  if (value instanceof DuckDBTimestampTZValue) return iso(value.micros, 6, "Z") ?? value.toString();
  if (value instanceof DuckDBTimestampValue) return iso(value.micros, 6, "") ?? value.toString();
  if (value instanceof DuckDBTimestampNanosecondsValue) return iso(value.nanos, 9, "") ?? value.toString();
  if (value instanceof DuckDBTimestampMillisecondsValue) return iso(value.millis, 3, "") ?? value.toString();
  if (value instanceof DuckDBTimestampSecondsValue) return iso(value.seconds, 0, "") ?? value.toString();
  if (value instanceof DuckDBDateValue)
    return iso(BigInt(value.days) * 86_400n, 0, "")?.slice(0, 10) ?? value.toString();
  return undefined;
}

/** Ticks of 10^-digits seconds as ISO 8601, at least milliseconds; undefined outside years 0 to 9999 (and infinity). */
export function iso(ticks: bigint, digits: number, zone: string): string | undefined {
  const unit = 10n ** BigInt(digits);
  const seconds = ticks >= 0n ? ticks / unit : (ticks - unit + 1n) / unit;
  if (seconds < -62_167_219_200n || seconds > 253_402_300_799n) return undefined;
  const fraction = (ticks - seconds * unit).toString().padStart(digits, "0").padEnd(3, "0");
  const trimmed = fraction.slice(0, 3) + fraction.slice(3).replace(/0+$/, "");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${trimmed}${zone}`;
}

function nestedValue(value: unknown): unknown {
  if (value instanceof DuckDBDecimalValue) return decimalValue(value);
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString("base64");
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(jsonValue);
  if (value instanceof DuckDBStructValue) return plainObject(Object.entries(value.entries));
  if (value instanceof DuckDBMapValue) {
    return value.entries.map((entry) => ({ key: jsonValue(entry.key), value: jsonValue(entry.value) }));
  }
  if (value instanceof DuckDBUnionValue) return plainObject([[value.tag, value.value]]);
  return undefined;
}

/** Built by definition, not assignment: a field named `__proto__` is a field like any other. */
function plainObject(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries.map(([key, value]) => [key, jsonValue(value)]));
}

function decimalValue(decimal: DuckDBDecimalValue): number | string {
  const text = decimal.toString();
  const digits = text.replace(/[-.]/g, "").replace(/^0+/, "").length;
  return digits <= safeDigits ? Number(text) : text;
}
