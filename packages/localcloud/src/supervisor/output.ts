/** What a child writes, line by line: JSON lines as they are, anything else wrapped, so that a log file holds JSON only. */
import { supervisorLimits } from "./limits.ts";

/** Cuts a stream of text into lines. A line that never ends is given out in pieces: a child cannot fill our memory. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#give(line);
    while (this.#rest.length > supervisorLimits.lineCharsMax) {
      this.#give(this.#rest.slice(0, supervisorLimits.lineCharsMax));
      this.#rest = this.#rest.slice(supervisorLimits.lineCharsMax);
    }
  }

  /** What is left when the stream ends without a line end. */
  end(): void {
    this.#give(this.#rest);
    this.#rest = "";
  }

  #give(line: string): void {
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (text !== "") this.#onLine(text.slice(0, supervisorLimits.lineCharsMax));
  }
}

function isJsonObject(line: string): boolean {
  if (!line.startsWith("{")) return false;
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false; // text that happens to begin with a brace
  }
}

/** The line as one JSON log line of that role. */
export function asJsonLine(
  line: string,
  source: { role: string; pid: number | undefined; stream: string; time: string },
): string {
  if (isJsonObject(line)) return line;
  const level = source.stream === "stderr" ? "warn" : "info";
  return JSON.stringify({
    level,
    time: source.time,
    role: source.role,
    pid: source.pid,
    stream: source.stream,
    message: line,
  });
}

/** The message of a line, for an error to quote. */
export function messageOf(line: string): string {
  if (!isJsonObject(line)) return line;
  const { message, error } = JSON.parse(line) as { message?: unknown; error?: { detail?: unknown; message?: unknown } };
  const reason = error?.detail ?? error?.message;
  return [message, reason].filter((part) => typeof part === "string").join(": ") || line;
}
