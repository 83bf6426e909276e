/**
 * What every command is given: where to write, in which form, and how to reach the dispatcher. Answers go to standard
 * output, everything said to people to standard error; with `--json` nobody is spoken to.
 */
import {
  type Client,
  createClient,
  TraceError,
  type Transport,
  type userRoutes as UserRoutes,
  userRoutes,
} from "@trace/contracts";
import { type ExitCode, Interrupted } from "./exit.ts";
import type { CliIo, TextSink } from "./io.ts";
import { columnsDefault, columnsMin, waitingSaidMs } from "./limits.ts";
import { findStateFolder, type StateFolderFound } from "./state/folder.ts";
import { targetOf } from "./state/target.ts";
import { ansiColors, noColors, type Palette, wantsColor } from "./terminal/ansi.ts";

export interface GlobalOptions {
  readonly state?: string | undefined;
  readonly url?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly json: boolean;
  readonly color: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
}

export type UserClient = Client<typeof UserRoutes>;

export interface Connection {
  readonly client: UserClient;
  readonly url: string;
  stop(): Promise<void>;
}

export class Cli {
  readonly io: CliIo;
  readonly options: GlobalOptions;
  #exitCode: ExitCode = 0;
  /** Takes what would be said of a call that is waited for: a block that is redrawn must say it itself. */
  onWaiting: ((text: string) => void) | undefined;

  constructor(io: CliIo, options: GlobalOptions) {
    this.io = io;
    this.options = options;
  }

  get exitCode(): ExitCode {
    return this.#exitCode;
  }

  /** For a command that worked and has bad news. */
  endWith(code: ExitCode): void {
    this.#exitCode = code;
  }

  get json(): boolean {
    return this.options.json;
  }

  get state(): StateFolderFound {
    return findStateFolder({ flag: this.options.state, env: this.io.env, cwd: this.io.cwd });
  }

  #palette(sink: TextSink): Palette {
    const wanted = wantsColor({ isTTY: sink.isTTY, noColor: this.io.env.NO_COLOR, term: this.io.env.TERM });
    return wanted && this.options.color ? ansiColors : noColors;
  }

  /** Colours of standard output. */
  get outColors(): Palette {
    return this.#palette(this.io.stdout);
  }

  /** Colours of standard error. */
  get errColors(): Palette {
    return this.#palette(this.io.stderr);
  }

  get outWidth(): number {
    return widthOf(this.io.stdout);
  }

  get errWidth(): number {
    return widthOf(this.io.stderr);
  }

  /** Lines of the answer. */
  print(...lines: readonly string[]): void {
    for (const line of lines) this.io.stdout.write(`${line}\n`);
  }

  /** The whole answer as one JSON document. */
  printJson(value: unknown): void {
    this.io.stdout.write(`${JSON.stringify(value, null, this.io.stdout.isTTY ? 2 : undefined)}\n`);
  }

  /** Something for people beside the answer: hints, counts, what goes on. */
  say(...lines: readonly string[]): void {
    if (this.json || this.options.quiet) return;
    for (const line of lines) this.io.stderr.write(`${line}\n`);
  }

  /** Something people should not miss, `--quiet` or not. */
  warn(text: string): void {
    if (this.json) return;
    this.io.stderr.write(`${this.errColors.yellow("warning")} ${text}\n`);
  }

  /**
   * Asks a person before something is done that they may not mean. False unless they say yes. Where nobody can be asked the
   * question is refused; named are `flag`, which stands for yes, and `look`, which shows what it is about and changes nothing.
   * Throws TR-7001, Interrupted.
   */
  async confirm(question: string, flag: string, look = "--dry-run"): Promise<boolean> {
    return /^y(es)?$/i.test((await this.#ask(`${question} [y/N] `, { question, flag, look })) ?? "");
  }

  /**
   * Asks for a name before something is done that cannot be undone. `given` is the answer of a flag: where nobody can be asked it
   * is needed. Throws TR-7001, Interrupted.
   */
  async confirmName(what: string, name: string, given: string | undefined): Promise<boolean> {
    if (given !== undefined) return given === name;
    const question = `Type ${what} to go on`;
    return (await this.#ask(`${question}: `, { question, flag: `--confirm ${name}`, look: "--dry-run" })) === name;
  }

  /** One line typed by a person, without spaces around it; undefined when there is none. */
  async #ask(
    prompt: string,
    { question, flag, look }: { question: string; flag: string; look: string },
  ): Promise<string | undefined> {
    const { stdin, stderr } = this.io;
    if (this.json || !stdin.isTTY || !stderr.isTTY) {
      throw new TraceError("TR-7001", {
        detail: `'${question}' was not answered`,
        why: this.json ? "with --json nobody is asked" : "there is no terminal to ask on",
        fix: `look first with ${look}, then say ${flag}`,
      });
    }
    const abort = new AbortController();
    const release = this.io.onInterrupt(() => abort.abort());
    try {
      stderr.write(prompt);
      const answer = await this.io.stdin.readLine(abort.signal);
      // Without an answer the cursor is still behind the question.
      if (answer === undefined) stderr.write("\n");
      if (abort.signal.aborted) throw new Interrupted();
      return answer?.trim();
    } finally {
      release();
    }
  }

  /** A command as its user types it: through npm or by its own name. */
  command(...parts: readonly string[]): string {
    // A placeholder such as <dag> is for reading; anything else that a shell would touch is quoted.
    const plain = /^([\w@%+=:,./-]+|<[a-z]+>)$/;
    const words = parts.map((part) => (plain.test(part) ? part : `'${part.replaceAll("'", "'\\''")}'`));
    return [this.io.env.npm_lifecycle_event === "trace" ? "npm run trace --" : "trace", ...words].join(" ");
  }

  /** `next  command  # what for`, for a command to try. */
  sayNext(rows: readonly (readonly [command: string, what: string])[]): void {
    const width = Math.max(...rows.map(([command]) => command.length));
    const { dim, cyan } = this.errColors;
    for (const [index, [command, what]] of rows.entries()) {
      const fits = width + what.length + 12 <= this.errWidth;
      const fill = fits ? " ".repeat(width - command.length) : "";
      this.say(`${index === 0 ? dim("next") : "    "}  ${cyan(command)}${fits ? `${fill}  ${dim(what)}` : ""}`);
    }
  }

  /**
   * Reaches the dispatcher. Throws TR-7002 (nothing to reach is known), TR-7003 (no token), TR-7010 (damaged
   * endpoints.json).
   */
  async connect(): Promise<Connection> {
    const target = await targetOf(this.options, this.state, this.io.cwd);
    // Loaded here, not above: it brings the whole of the server side along, which help and explain can do without.
    const { HttpTransport } = await import("@trace/kit");
    const pause = (ms: number, signal: AbortSignal | undefined) => this.io.pause(ms, signal);
    const transport = new HttpTransport({ baseUrl: target.url, token: target.token, pause });
    await transport.start();
    const send: Transport = async (request) => {
      const answered = this.io.after(waitingSaidMs, () => this.#sayWaiting(`waiting for ${target.url} ...`));
      try {
        return await transport.send(request);
      } finally {
        answered();
      }
    };
    const client = createClient(userRoutes, send, transport.stream);
    return { client, url: target.url, stop: () => transport.stop() };
  }

  #sayWaiting(text: string): void {
    if (this.onWaiting === undefined) this.say(text);
    else this.onWaiting(text);
  }

  /** Runs `use` with a client and lets the connection go, however it ends. */
  async withClient<T>(use: (client: UserClient) => Promise<T>): Promise<T> {
    const connection = await this.connect();
    try {
      return await use(connection.client);
    } finally {
      await connection.stop();
    }
  }
}

function widthOf(sink: TextSink): number {
  return Math.max(columnsMin, sink.columns ?? columnsDefault);
}
