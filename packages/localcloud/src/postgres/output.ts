/** What a server writes to standard error, as JSON lines, and the last of it for an error to quote. */

const levels: Readonly<Record<string, string>> = {
  WARNING: "warn",
  ERROR: "error",
  FATAL: "error",
  PANIC: "fatal",
};

export interface ServerLine {
  readonly time: string;
  readonly level: string;
  readonly role: string;
  readonly pid?: number;
  readonly sqlstate?: string;
  readonly message: string;
}

/** One line in the form of `log_line_prefix = '%m|%p|%e|'`; any other line is kept whole as its message. */
export function parseServerLine(line: string, role: string, now: string): ServerLine {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3}) UTC\|(\d+)\|([0-9A-Z]{5})\|([A-Z]+[0-9]?):\s+(.*)$/s.exec(
    line,
  );
  if (match === null) return { time: now, level: "info", role, message: line.trim() };
  const [, day, time, pid, sqlstate, severity = "LOG", message = ""] = match;
  return {
    time: `${day}T${time}Z`,
    level: levels[severity] ?? "info",
    role,
    pid: Number(pid),
    ...(sqlstate === "00000" || sqlstate === undefined ? {} : { sqlstate }),
    message,
  };
}

/** Keeps the last few lines. */
export class Tail {
  readonly #max: number;
  #lines: string[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > this.#max) this.#lines.shift();
  }

  text(): string {
    return this.#lines.join("\n");
  }
}
