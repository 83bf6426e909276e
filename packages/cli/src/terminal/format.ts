/** Numbers, sizes and times as people read them. Exact values are in `--json`. */

/** `1,707`. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** `1 row`, `1,707 rows`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const units = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in powers of 1,000: `512 B`, `4.2 MB`. */
export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1_000;
    unit += 1;
  }
  const digits = unit > 0 && size < 9.95 ? 1 : 0;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

/** A figure with the unit it is reported in: `1,707 rows`, `84 kB`, `3.2 s`; without one, the figure. */
export function amount(value: number, unit: "rows" | "bytes" | "ms" | undefined): string {
  if (unit === "bytes") return bytes(value);
  if (unit === "ms") return duration(value);
  return unit === "rows" ? plural(value, "row") : count(value);
}

/** Milliseconds: `42 ms`, `3.2 s`, `1 min 05 s`, `2 h 03 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 999.5) return `${Math.round(value)} ms`;
  if (value < 59_950) return `${(value / 1_000).toFixed(1)} s`;
  const seconds = Math.round(value / 1_000);
  const two = (part: number) => String(part).padStart(2, "0");
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `3 min ago`, `in 28 s`; whole units, because nobody needs more of a moment that passes. */
export function relative(time: string, nowMs: number): string {
  const difference = nowMs - Date.parse(time);
  const seconds = Math.round(Math.abs(difference) / 1_000);
  if (seconds < 1) return "now";
  const steps: readonly (readonly [number, string])[] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const [size, unit] = steps.find(([length]) => seconds >= length) ?? [1, "s"];
  const amount = `${Math.floor(seconds / size)} ${unit}`;
  return difference >= 0 ? `${amount} ago` : `in ${amount}`;
}

/** A moment to come: `12:04:05 UTC` today, with its date on another day. */
export function momentAhead(time: string, nowMs: number): string {
  const whole = moment(time);
  const today = new Date(nowMs).toISOString().slice(0, 10);
  return whole.startsWith(`${today} `) ? whole.slice(today.length + 1) : whole;
}

/** A moment in UTC to the second: `2026-11-23 07:39:12 UTC`. */
export function moment(time: string): string {
  const parsed = new Date(time);
  return Number.isNaN(parsed.getTime()) ? time : `${parsed.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
