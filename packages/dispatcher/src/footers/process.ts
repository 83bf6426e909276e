/**
 * One child that parses footers, from its spawn to the removal of its folder. It has an empty environment, an empty private
 * folder, bounds of memory, files and processor time, and may be killed at any moment; whoever waits for it then hears so.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Log } from "@trace/kit";
import { type FooterAnswer, readAnswer } from "./facts.ts";
import { encodeRequest, FrameReader, readyWord } from "./frames.ts";
import {
  footerCpuSecondsMax,
  footerDataBytesMax,
  footerDeadlineMs,
  footerFilesMax,
  footerHeapMib,
  footerReplyBytesMax,
  footerStderrBytesMax,
} from "./limits.ts";

const childFile = fileURLToPath(new URL("./child/main.ts", import.meta.url));
const folderPrefix = "trace-footers-";

/** How a child ended that owed an answer, as the end of a sentence about it. */
export class ChildGone extends Error {}

export class FooterProcess {
  /** Resolves when the process is gone and its folder removed; never rejects. */
  readonly closed: Promise<void>;
  /** Answers given. */
  answered = 0;
  /** It has started; before that no footer is to blame for its end. */
  ready = false;
  readonly #log: Log;
  readonly #child: ChildProcess;
  readonly #channel: Duplex;
  readonly #folder: string;
  readonly #deadlineMs: number;
  #waiting: PromiseWithResolvers<FooterAnswer> | undefined;
  #cause: ChildGone | undefined;
  #ended = false;
  #stderr = "";
  readonly #frames = new FrameReader(footerReplyBytesMax, (frame) => this.#onAnswer(frame));

  constructor(log: Log, deadlineMs = footerDeadlineMs) {
    this.#log = log;
    this.#deadlineMs = deadlineMs;
    // mkdtemp creates with 0700; sync because a process without its folder is nothing.
    this.#folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
    this.#child = this.#spawn();
    this.#channel = this.#child.stdio[3] as Duplex;
    // The exit decides what happened; a broken pipe is only how it is heard first.
    this.#channel.on("error", () => {});
    this.#channel.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("utf8")).slice(0, footerStderrBytesMax);
    });
    this.closed = new Promise((resolve) => {
      this.#child.once("error", (error) => this.#end(`it could not be started: ${error.message}`, resolve));
      this.#child.once("exit", (code, signal) =>
        this.#end(
          signal === null ? `its reader ended with exit code ${code}` : `its reader ended by ${signal}`,
          resolve,
        ),
      );
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The child is there and may be asked. */
  get usable(): boolean {
    return !this.#ended && this.#cause === undefined && this.#waiting === undefined;
  }

  /** One at a time. Rejects with `ChildGone` when the child dies, overruns or answers out of form; it is of no use then. */
  async ask(fileBytes: number, footer: Uint8Array): Promise<FooterAnswer> {
    if (!this.usable) throw this.#cause ?? new ChildGone("its reader is gone or busy");
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    const timer = setTimeout(
      () => this.kill(`it takes longer than ${this.#deadlineMs / 1_000} s to read`),
      this.#deadlineMs,
    );
    try {
      this.#channel.write(encodeRequest(fileBytes, footer));
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills the process group at once. The first reason is the one that is told. */
  kill(why: string): void {
    this.#cause ??= new ChildGone(why);
    const { pid } = this.#child;
    if (pid === undefined || this.#ended) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // The group may be gone already, or not yet be one of its own; then the process alone is meant.
      if (!this.#child.kill("SIGKILL")) this.#log.debug({ error, pid }, "footer process was already gone");
    }
  }

  #spawn(): ChildProcess {
    // RLIMIT_DATA exists on Linux alone; elsewhere the bound of the heap stands alone.
    const data = process.platform === "linux" ? `ulimit -d ${footerDataBytesMax / 1024} && ` : "";
    const files = `{ ulimit -n ${footerFilesMax} 2>/dev/null || :; }`;
    // A shell leaves PWD and others behind even when started with nothing: env -i makes the environment truly empty.
    const script = `${data}ulimit -t ${footerCpuSecondsMax} && ${files} && ulimit -f 0 && ulimit -c 0 && exec /usr/bin/env -i "$0" "$@"`;
    const flags = [`--max-old-space-size=${footerHeapMib}`, "--disable-warning=ExperimentalWarning"];
    return spawn("/bin/sh", ["-c", script, process.execPath, ...flags, childFile], {
      cwd: this.#folder,
      env: {},
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      // A group of its own: a kill reaches all of it, and a Ctrl-C for the parent does not reach it.
      detached: true,
    });
  }

  #onData(chunk: Buffer): void {
    try {
      this.#frames.push(chunk);
    } catch (error) {
      this.#log.warn({ error }, "footer process answered out of form");
      this.kill("its reader answered out of form");
    }
  }

  /** Throws on what is no answer of ours. */
  #onAnswer(frame: Buffer): void {
    const message: unknown = JSON.parse(frame.toString("utf8"));
    if (message === readyWord && !this.ready) {
      this.ready = true;
      return;
    }
    const answer = readAnswer(message);
    if (answer === undefined || this.#waiting === undefined) throw new Error("no answer to anything that was asked");
    this.answered += 1;
    this.#waiting.resolve(answer);
    this.#waiting = undefined;
  }

  #end(how: string, closed: () => void): void {
    this.#ended = true;
    if (this.#cause === undefined) this.#log.warn({ how, stderr: this.#stderr }, "footer process died");
    this.#cause ??= new ChildGone(how);
    this.#waiting?.reject(this.#cause);
    this.#waiting = undefined;
    this.#channel?.destroy();
    try {
      rmSync(this.#folder, { recursive: true, force: true });
    } catch (error) {
      this.#log.warn({ error, folder: this.#folder }, "the folder of a footer process could not be removed");
    }
    closed();
  }
}
