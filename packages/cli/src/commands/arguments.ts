/** Values of flags and arguments: read once, refused with what would be right. */
import { namePattern, partitionKeyCharsMax, reasonCharsMax } from "@trace/contracts";
import { InvalidArgumentError } from "commander";
import { nearest } from "../nearest.ts";

/** A whole number from `min` to `max`, for commander. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** The same for an argument that may be given several times. */
export function wholeNumbers(min: number, max: number): (text: string, before?: readonly number[]) => number[] {
  const read = wholeNumber(min, max);
  return (text, before) => [...(before ?? []), read(text)];
}

/** The same with negative numbers. */
export function signedNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `500ms`, `30s`, `10m`, `2h`, `1d`, for commander. */
export function durationArgument(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const ms = Number(match?.[1]) * (unitsMs[match?.[2] ?? ""] ?? Number.NaN);
  if (ms > 0) return ms;
  throw new InvalidArgumentError("It must be a number and a unit: 500ms, 30s, 10m, 2h, 1d.");
}

/** One of a list of words, for commander, with the list in the refusal. */
export function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    const meant = nearest(text, words);
    throw new InvalidArgumentError(
      `It must be one of ${words.join(", ")}.${meant === undefined ? "" : `\n(Did you mean ${meant}?)`}`,
    );
  };
}

/** A name of a dataset, DAG or job, for commander: what can be none is refused here, with the rule, before any call. */
export function nameArgument(text: string): string {
  if (namePattern.test(text)) return text;
  throw new InvalidArgumentError(
    "A name is 1 to 128 lower-case letters, digits and _, and starts with a letter, like quakes_by_region.",
  );
}

/** The same for a flag that takes several. */
export function nameArguments(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), nameArgument(text)];
}

/** A commit's number; 0 is before the first. For commander. */
export const commitArgument = wholeNumber(0, Number.MAX_SAFE_INTEGER);

/** `a,b,c`, for commander. */
export function listArgument(text: string, before?: readonly string[]): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return [...(before ?? []), ...names];
  throw new InvalidArgumentError("It must be names with commas between: id,time.");
}

/** A partition's key, of several, for commander. */
export function keyArguments(text: string, before?: readonly string[]): readonly string[] {
  if (text.length >= 1 && text.length <= partitionKeyCharsMax) return [...(before ?? []), text];
  throw new InvalidArgumentError(`A partition's key is 1 to ${partitionKeyCharsMax} characters.`);
}

/** Why something is done, for commander. */
export function reasonArgument(text: string): string {
  if (text.length <= reasonCharsMax) return text;
  throw new InvalidArgumentError(`It must be at most ${reasonCharsMax} characters.`);
}

/** A moment to come, or a time from now. */
export type Ahead = { readonly time: string } | { readonly inMs: number };

/** `2026-11-24T07:00:00Z` or `10m`, for commander. */
export function aheadArgument(text: string): Ahead {
  if (/^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(text) && !Number.isNaN(Date.parse(text))) {
    return { time: new Date(text).toISOString() };
  }
  if (/^\d+[a-z]+$/.test(text)) return { inMs: durationArgument(text) };
  throw new InvalidArgumentError(
    "It must be a moment with its offset, like 2026-11-24T07:00:00Z, or a time from now: 30s, 10m, 2h, 1d.",
  );
}

export function timeAhead(ahead: Ahead, nowMs: number): string {
  return "time" in ahead ? ahead.time : new Date(nowMs + ahead.inMs).toISOString();
}

export type Example = readonly [command: string, what: string];

/** Examples under a command's help. */
export function examples(...lines: readonly Example[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const rows = lines.map(([command, what]) =>
    width + what.length + 4 <= 100 ? `  ${command.padEnd(width)}  ${what}` : `  ${command}\n      ${what}`,
  );
  return `\nExamples:\n${rows.join("\n")}`;
}
