/** Runs a command line in this process with a terminal, a clock and a Ctrl-C of the test's own, and keeps what it wrote. */
import type { ExitCode } from "../exit.ts";
import type { CliIo, TextSink } from "../io.ts";
import { createProgram, type ProgramParts } from "../program.ts";

export interface HarnessOptions {
  readonly cwd: string;
  /** What runs the program. */
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Both streams are terminals of this width. */
  readonly columns?: number;
  readonly rows?: number;
  readonly nowMs?: number;
  /** Called instead of each pause; the clock has moved on by then. */
  readonly onPause?: (pauses: number) => void | Promise<void>;
  /** Called when a question waits for its answer. */
  readonly onQuestion?: () => void | Promise<void>;
  /** Time goes by while a call waits: what was to be done after this or less is done at once. */
  readonly passMs?: number;
  /** Lines that the person types; undefined where standard input is no terminal. */
  readonly typed?: readonly string[];
  readonly parts?: ProgramParts;
}

export interface Outcome {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

class Recorder implements TextSink {
  text = "";
  readonly columns: number | undefined;
  readonly rows: number | undefined;
  readonly isTTY: boolean;

  constructor(options: HarnessOptions) {
    this.columns = options.columns;
    this.rows = options.rows;
    this.isTTY = options.columns !== undefined;
  }

  write(text: string): void {
    this.text += text;
  }
}

export class Harness {
  readonly #options: HarnessOptions;
  readonly #interrupts = new Set<() => void>();
  #stderr: Recorder | undefined;

  constructor(options: HarnessOptions) {
    this.#options = options;
  }

  /** What the newest command has said so far, for a test that waits for it. */
  get said(): string {
    return this.#stderr?.text ?? "";
  }

  /** Presses Ctrl-C; true when the command had taken it over. */
  interrupt(): boolean {
    for (const listener of this.#interrupts) listener();
    return this.#interrupts.size > 0;
  }

  async run(...argv: readonly string[]): Promise<Outcome> {
    const stdout = new Recorder(this.#options);
    const stderr = new Recorder(this.#options);
    this.#stderr = stderr;
    const code = await createProgram(this.io(stdout, stderr), this.#options.parts).run(argv);
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  /** The world as a command sees it. */
  io(stdout = new Recorder(this.#options), stderr = new Recorder(this.#options)): CliIo {
    let nowMs = this.#options.nowMs ?? Date.now();
    let pauses = 0;
    const typed = [...(this.#options.typed ?? [])];
    return {
      stdin: {
        isTTY: this.#options.typed !== undefined,
        readLine: async (signal) => {
          await this.#options.onQuestion?.();
          return signal.aborted ? undefined : typed.shift();
        },
      },
      stdout,
      stderr,
      env: this.#options.env ?? {},
      cwd: this.#options.cwd,
      command: this.#options.command ?? ["trace"],
      clock: { nowMs: () => nowMs },
      pause: async (ms) => {
        nowMs += ms;
        pauses += 1;
        await this.#options.onPause?.(pauses);
        // What is waited for beside the pause needs the event loop, too.
        await new Promise((turn) => setImmediate(turn));
      },
      after: (ms, run) => {
        if (ms <= (this.#options.passMs ?? 0)) run();
        return () => {};
      },
      onInterrupt: (listener) => {
        this.#interrupts.add(listener);
        return () => void this.#interrupts.delete(listener);
      },
    };
  }
}
