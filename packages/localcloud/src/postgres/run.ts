/** Runs a Postgres program to its end, as the right user, with nothing of our environment. */
import { spawn } from "node:child_process";
import type { RunAs } from "./place.ts";

/** The whole environment of every Postgres process. What runs as `nobody` is readable by all that runs as `nobody`. */
export const postgresEnv: Readonly<Record<string, string>> = { LC_ALL: "C", TZ: "UTC", PATH: "/usr/bin:/bin" };

export interface RunOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly runAs: RunAs | undefined;
  readonly input?: string | undefined;
  readonly maxMs: number;
}

export interface RunResult {
  /** Exit code, or the signal that ended it. */
  readonly end: number | string;
  /** Both outputs, cut to their last 8 KiB. */
  readonly output: string;
}

/** Rejects when the program cannot be started at all. */
export function run(options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(options.program, options.args, {
      cwd: options.cwd,
      env: { ...postgresEnv },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true, // Ctrl-C in the terminal is ours to answer, in order
      timeout: options.maxMs,
      killSignal: "SIGKILL",
      ...options.runAs,
    });
    let output = "";
    const add = (chunk: string) => {
      output = (output + chunk).slice(-8_192);
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", add);
    child.stdin.on("error", () => undefined); // it ended before it read everything: its exit code says why
    child.stdin.end(options.input ?? "");
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ end: code ?? signal ?? "unknown", output: output.trim() }));
  });
}
