/** A log that keeps what was said, for tests of what is said and how often. */
import type { Log } from "@trace/kit";

export interface LogEntry {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLog(): { log: Log; entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  const make = (base: object): object => {
    const at = (level: string) => (fields: object | string, message?: string) =>
      void entries.push(
        typeof fields === "string"
          ? { level, message: fields, fields: { ...base } }
          : { level, message: message ?? "", fields: { ...base, ...fields } },
      );
    const levels = ["trace", "debug", "info", "warn", "error", "fatal"].map((level) => [level, at(level)]);
    return { ...Object.fromEntries(levels), child: (more: object) => make({ ...base, ...more }) };
  };
  return { log: make({}) as Log, entries };
}
