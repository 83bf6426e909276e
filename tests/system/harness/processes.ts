/**
 * The processes of one stack, found from outside by what the kernel says of them: no list that the stack keeps of itself is
 * trusted, because a forgotten child would be in no list. Linux only, like the tests that use it.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { until } from "./until.ts";

export interface FoundProcess {
  readonly pid: number;
  readonly command: string;
}

function text(read: () => string): string {
  try {
    return read();
  } catch {
    return ""; // it ended while we looked, or belongs to somebody else
  }
}

/** Processes that name one of `marks` (a state folder, an installation id) in their command line, environment or folder. */
export function processesOf(marks: readonly string[]): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const command = text(() => readFileSync(`/proc/${entry}/cmdline`, "utf8"));
    const about = [
      command,
      text(() => readFileSync(`/proc/${entry}/environ`, "utf8")),
      text(() => readlinkSync(`/proc/${entry}/cwd`)),
    ];
    if (!marks.some((mark) => about.some((part) => part.includes(mark)))) continue;
    // A zombie has ended; it only waits for its parent to look.
    if (/^State:\s+Z/m.test(text(() => readFileSync(`/proc/${entry}/status`, "utf8")))) continue;
    found.push({ pid: Number(entry), command: command.replaceAll("\0", " ").trim() });
  }
  return found;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** SIGKILL to each at once; those that have ended meanwhile are what we want. */
export function killAll(processes: readonly FoundProcess[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Resolves when no process of the stack is left. */
export function untilNoneOf(marks: readonly string[], timeoutMs: number): Promise<unknown> {
  return until(
    `no process of ${marks[0]} is left`,
    () => {
      const left = processesOf(marks);
      if (left.length > 0) throw new Error(left.map(({ pid, command }) => `${pid} ${command}`).join("; "));
      return true;
    },
    timeoutMs,
  );
}
