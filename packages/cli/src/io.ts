/** What the command line touches of the world, as arguments: tests give it a terminal, a clock and a Ctrl-C of their own. */
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Clock, Environment } from "@trace/kit";

export interface TextSink {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Undefined where nothing has a width. */
  readonly columns: number | undefined;
  readonly rows: number | undefined;
}

export interface LineSource {
  readonly isTTY: boolean;
  /** The next line without its end; undefined when there is none, or when the signal is aborted before. */
  readLine(signal: AbortSignal): Promise<string | undefined>;
}

export interface CliIo {
  /** Answers to questions that a command asks. */
  readonly stdin: LineSource;
  /** The answer, and nothing else. */
  readonly stdout: TextSink;
  /** Everything said to people, and errors. */
  readonly stderr: TextSink;
  readonly env: Environment;
  readonly cwd: string;
  /** What runs this program, word by word. */
  readonly command: readonly string[];
  readonly clock: Clock;
  /** Resolves after `ms`, or at once when `signal` is aborted. */
  pause(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms`, unless the returned function is called before. */
  after(ms: number, run: () => void): () => void;
  /** Takes over Ctrl-C until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
}

function sinkOf(stream: NodeJS.WriteStream): TextSink {
  return {
    write: (text) => void stream.write(text),
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.isTTY ? stream.columns : undefined;
    },
    get rows() {
      return stream.isTTY ? stream.rows : undefined;
    },
  };
}

function readLine(signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin, signal });
    let line: string | undefined;
    lines.once("line", (text) => {
      line = text;
      lines.close();
    });
    lines.once("close", () => resolve(line));
  });
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    // The caller looks at its signal next; to it a cut pause is no failure.
    if (!signal?.aborted) throw error;
  }
}

/** The real world. */
export function processIo(env: Environment): CliIo {
  return {
    stdin: {
      get isTTY() {
        return process.stdin.isTTY === true;
      },
      readLine,
    },
    stdout: sinkOf(process.stdout),
    stderr: sinkOf(process.stderr),
    env,
    cwd: process.cwd(),
    command: [process.execPath, ...process.execArgv, process.argv[1] ?? "trace"],
    clock: { nowMs: () => Date.now() },
    pause,
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    onInterrupt: (listener) => {
      process.on("SIGINT", listener);
      return () => void process.off("SIGINT", listener);
    },
  };
}
