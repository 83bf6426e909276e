/**
 * The partitions that a job names itself: keys in a list, or steps of time in a range. A step's key is its start, as far
 * as its length needs it: `2001`, `2001-01`, `2001-01-15`, `2001-01-15T07`. All times are UTC. Pure.
 */
import { jobPartitionsMax } from "./limits.ts";

export const partitionIntervals = ["hour", "day", "month", "year"] as const;
export type PartitionInterval = (typeof partitionIntervals)[number];

export interface PartitionRange {
  readonly kind: "range";
  /** Inclusive. */
  readonly from: string;
  /** Exclusive. */
  readonly to: string;
  readonly every: PartitionInterval;
}
export type PartitionSpec = { readonly kind: "keys"; readonly keys: readonly string[] } | PartitionRange;

/** Characters of an ISO time that are the key of a step. */
const keyChars = { year: 4, month: 7, day: 10, hour: 13 } as const satisfies Record<PartitionInterval, number>;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const timePattern = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}))?)?)?$/;

/** Every key of a job's own set, in order. */
export function partitionKeys(spec: PartitionSpec): string[] {
  if (spec.kind === "keys") return [...spec.keys];
  const from = timeOf(spec.from);
  const to = timeOf(spec.to);
  if (from === undefined || to === undefined) return [];
  const keys: string[] = [];
  // Bounded here too: what was stored is checked where it is read, and this must end whatever it is given.
  for (let at = from; at < to && keys.length < jobPartitionsMax; at = stepAfter(at, spec.every)) {
    keys.push(keyAt(at, spec.every));
  }
  return keys;
}

/**
 * When the step of a key begins and when the next one does, as timestamps without a zone: `2001-01-01T00:00:00`. Undefined
 * for a set of plain keys, and for text that is no key of such a range.
 */
export function partitionBounds(spec: PartitionSpec, key: string): { start: string; end: string } | undefined {
  if (spec.kind === "keys" || key.length !== keyChars[spec.every]) return undefined;
  const start = timeOf(key);
  if (start === undefined) return undefined;
  const end = stepAfter(start, spec.every);
  // A year of five digits has another form, which nothing here reads.
  return isoOf(end).length === isoOf(start).length ? { start: isoOf(start), end: isoOf(end) } : undefined;
}

export interface RangeFault {
  readonly key: "from" | "to";
  readonly message: string;
  readonly suggestion?: string;
}

/** Why a range cannot be one, or undefined when it can. */
export function rangeFault(range: Omit<PartitionRange, "kind">): RangeFault | undefined {
  const { every } = range;
  for (const key of ["from", "to"] as const) {
    const time = timeOf(range[key]);
    const example = isoOf(Date.UTC(2001, 0)).slice(0, keyChars[every]);
    if (time === undefined) return { key, message: `must be a time such as ${example}, in UTC` };
    if (keyStart(time, every) !== time) {
      const near = keyAt(time, every);
      return { key, message: `must begin ${articles[every]}, and ${range[key]} does not`, suggestion: `write ${near}` };
    }
  }
  const from = timeOf(range.from) ?? 0;
  const to = timeOf(range.to) ?? 0;
  if (from >= to) {
    const message = `must come after 'from' (${range.from}), for it is the first time that no longer counts`;
    return { key: "to", message };
  }
  const count = stepsBetween(from, to, every);
  if (count > jobPartitionsMax) {
    const most = jobPartitionsMax.toLocaleString("en");
    const message = `makes ${count.toLocaleString("en")} partitions with 'from' and 'every', and ${most} is the most`;
    return { key: "to", message, suggestion: "take longer steps, or a shorter range" };
  }
  return undefined;
}

const articles: Readonly<Record<PartitionInterval, string>> = {
  hour: "an hour",
  day: "a day",
  month: "a month",
  year: "a year",
};

/** The bound as the key of its step, such as `2001-01` for `2001` or `2001-01-01` and a step of a month. */
export function boundKey(bound: string, every: PartitionInterval): string {
  const time = timeOf(bound);
  return time === undefined ? bound : keyAt(time, every);
}

/** Milliseconds of a time written as far as it needs; undefined for what is no time, such as the 30th of February. */
function timeOf(text: string): number | undefined {
  const match = timePattern.exec(text);
  if (match === null || match[1] === "0000") return undefined;
  const [, year = "", month = "01", day = "01", hour = "00"] = match;
  const iso = `${year}-${month}-${day}T${hour}:00:00`;
  const time = Date.parse(`${iso}Z`);
  // The 30th of February is read as the 2nd of March, and hour 24 as the next day.
  return Number.isNaN(time) || isoOf(time) !== iso ? undefined : time;
}

function isoOf(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, "");
}

function keyAt(time: number, every: PartitionInterval): string {
  return isoOf(time).slice(0, keyChars[every]);
}

/** The start of the step that holds a time. */
function keyStart(time: number, every: PartitionInterval): number {
  return timeOf(keyAt(time, every)) ?? time;
}

function stepAfter(time: number, every: PartitionInterval): number {
  if (every === "hour") return time + hourMs;
  if (every === "day") return time + dayMs;
  const at = new Date(time);
  return every === "month" ? at.setUTCMonth(at.getUTCMonth() + 1) : at.setUTCFullYear(at.getUTCFullYear() + 1);
}

function stepsBetween(from: number, to: number, every: PartitionInterval): number {
  if (every === "hour") return (to - from) / hourMs;
  if (every === "day") return (to - from) / dayMs;
  const [first, last] = [new Date(from), new Date(to)];
  const years = last.getUTCFullYear() - first.getUTCFullYear();
  return every === "year" ? years : years * 12 + last.getUTCMonth() - first.getUTCMonth();
}
