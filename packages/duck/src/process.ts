/**
 * One child process, from its spawn to the removal of its folder. It serves one request and can be killed at any moment:
 * whatever becomes of it, the request is settled once, the process group is gone and its private folder is removed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { errorCodeSchema, TraceError } from "@trace/contracts";
import type { Log } from "@trace/kit";
import { encodeFrame, FrameReader } from "./frames.ts";
import {
  childFilesMax,
  childHeapMib,
  cpuSlackSeconds,
  type DuckLimits,
  memoryLimitShare,
  replyBytesMax,
  residentSlackBytes,
  stderrBytesMax,
  watchEveryMs,
} from "./limits.ts";
import { type ChildSettings, type Reply, type Request, readReply } from "./messages.ts";

const childFile = fileURLToPath(new URL("./child/main.ts", import.meta.url));
/** The folder's name carries the parent's process id, so that a later start can tell whose it was. */
export const folderPrefix = "trace-duck-";

/** RLIMIT_DATA exists on Linux alone; elsewhere the child watches its own memory. */
const hasDataLimit = process.platform === "linux";

export interface Exchange {
  readonly request: Request;
  /** Largest frame expected back, in bytes. */
  readonly frameBytesMax: number;
  /** Each reply but `ready`; returns true for the last one. A thrown error ends the exchange with it. */
  onReply(reply: Reply, bytes: number): boolean;
  /** Called every `watchEveryMs` while the exchange is open; a returned error kills the child with it. */
  watch?(): TraceError | undefined;
}

/** The cause of the ordinary end: the request was answered. */
export const finished = Symbol("finished");

interface Open {
  readonly exchange: Exchange;
  resolve(): void;
  reject(error: unknown): void;
}

export class DuckProcess {
  readonly limits: DuckLimits;
  /** Resolves when the child has opened its engine; rejects when it dies before. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone and its folder removed; never rejects. */
  readonly closed: Promise<void>;
  /** The most resident memory seen. */
  peakRssBytes = 0;
  readonly #log: Log;
  readonly #child: ChildProcess;
  readonly #channel: Duplex;
  readonly #folder: string;
  #open: Open | undefined;
  #cause: unknown;
  #stderr = "";
  #watch: NodeJS.Timeout | undefined;
  readonly #frames = new FrameReader(replyBytesMax, (message, bytes) => this.#onMessage(message, bytes));
  readonly #readied = Promise.withResolvers<void>();

  constructor(options: { workFolder: string; limits: DuckLimits; log: Log }) {
    this.limits = options.limits;
    this.#log = options.log;
    // mkdtemp creates with 0700; sync because a process without its folder is nothing.
    this.#folder = mkdtempSync(join(options.workFolder, `${folderPrefix}${process.pid}-`));
    this.ready = this.#readied.promise;
    // Whoever waits sees the failure; an idle child nobody waits for must not become an unhandled rejection.
    this.ready.catch(() => {});
    this.#child = this.#spawn();
    this.#channel = this.#child.stdio[3] as Duplex;
    // The exit decides what happened; a broken pipe is only how it is heard first.
    this.#channel.on("error", () => {});
    this.#captureStderr(this.#child.stderr);
    this.#listen();
    this.closed = new Promise((resolve) => {
      this.#child.once("error", (error) => this.#onSpawnError(error, resolve));
      this.#child.once("exit", (code, signal) => this.#onExit(code, signal, resolve));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Sends the one request. Rejects with a TraceError when the child refuses, fails, dies or is killed. */
  run(exchange: Exchange): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#cause !== undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) {
        reject(this.#cause ?? crashed("before it was used"));
        return;
      }
      this.#open = { exchange, resolve, reject };
      this.#frames.bytesMax = Math.max(replyBytesMax, exchange.frameBytesMax);
      this.#watch = setInterval(() => this.#look(), watchEveryMs);
      this.#channel.write(encodeFrame(exchange.request));
    });
  }

  /** Kills the process group at once. The first cause given is the one an open request is rejected with. */
  kill(cause: unknown): void {
    this.#cause ??= cause;
    const { pid } = this.#child;
    if (pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch (error) {
      // The group may be gone already, or not yet be one of its own; then the process alone is meant.
      if (!this.#child.kill("SIGKILL")) this.#log.debug({ error, pid }, "query process was already gone");
    }
  }

  #spawn(): ChildProcess {
    const { limits } = this;
    const settings: ChildSettings = {
      folder: this.#folder,
      threads: limits.threads,
      memoryBytes: Math.floor(limits.dataBytesMax * memoryLimitShare),
      spillBytesMax: limits.spillBytesMax,
      residentBytesMax: limits.dataBytesMax + residentSlackBytes,
    };
    const cpuSeconds = Math.ceil(limits.deadlineMs / 1000) * limits.threads + cpuSlackSeconds;
    const data = hasDataLimit ? `ulimit -d ${Math.floor(limits.dataBytesMax / 1024)} && ` : "";
    // A lower bound of open files than ours may be in force already and cannot be raised: that is as good.
    const files = `{ ulimit -n ${childFilesMax} 2>/dev/null || :; }`;
    // A shell leaves PWD and others behind even when started with nothing: env -i makes the environment truly empty.
    const script = `${data}ulimit -t ${cpuSeconds} && ${files} && ulimit -c 0 && exec /usr/bin/env -i "$0" "$@"`;
    const flags = [`--max-old-space-size=${childHeapMib}`, "--disable-warning=ExperimentalWarning"];
    return spawn("/bin/sh", ["-c", script, process.execPath, ...flags, childFile, JSON.stringify(settings)], {
      cwd: this.#folder,
      env: {},
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      // A group of its own: a kill reaches all of it, and a Ctrl-C for the parent does not reach it.
      detached: true,
    });
  }

  #captureStderr(stream: Readable | null): void {
    stream?.on("data", (chunk: Buffer) => {
      const room = stderrBytesMax - this.#stderr.length;
      if (room > 0) this.#stderr += chunk.toString("utf8").slice(0, room);
    });
  }

  #listen(): void {
    this.#channel.on("data", (chunk: Buffer) => {
      try {
        this.#frames.push(chunk);
      } catch (error) {
        this.kill(error instanceof TraceError ? error : crashed("by answering out of form", error));
      }
    });
  }

  #onMessage(message: unknown, bytes: number): void {
    const reply = readReply(message, (code) => errorCodeSchema.safeParse(code).success);
    if (reply === undefined) throw crashed("by answering out of form");
    if (reply.kind === "ready") {
      this.#readied.resolve();
      return;
    }
    const open = this.#open;
    if (open === undefined) throw crashed("by answering unasked");
    if (open.exchange.onReply(reply, bytes)) this.#settle(() => open.resolve());
  }

  #settle(end: () => void): void {
    clearInterval(this.#watch);
    this.#open = undefined;
    end();
  }

  #look(): void {
    const resident = this.#resident();
    if (resident > this.limits.dataBytesMax + residentSlackBytes) this.kill(outOfMemory());
    try {
      const error = this.#open?.exchange.watch?.();
      if (error !== undefined) this.kill(error);
    } catch (error) {
      // What cannot be watched any more must not go on: an output folder that somebody removed, for one.
      this.kill(error);
    }
  }

  /** Bytes resident now; 0 where /proc is missing or the process is gone. */
  #resident(): number {
    if (!hasDataLimit) return 0;
    try {
      const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
      const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
      this.peakRssBytes = Math.max(this.peakRssBytes, kib("VmHWM") * 1024);
      return kib("VmRSS") * 1024;
    } catch {
      // It ended between two looks; its exit event says the rest.
      return 0;
    }
  }

  #onSpawnError(error: Error, closed: () => void): void {
    const cause = new TraceError("TR-5212", {
      detail: `The query process could not be started: ${error.message}`,
      fix: "Check that /bin/sh and /usr/bin/env exist and that the machine allows one more process.",
      cause: error,
    });
    this.#end(cause, closed);
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null, closed: () => void): void {
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    if (this.#cause === undefined) this.#log.warn({ how, stderr: this.#stderr }, "query process died");
    const memory = /bad_alloc|out of memory/i.test(this.#stderr);
    this.#end(this.#cause ?? (memory ? outOfMemory() : crashed(how)), closed);
  }

  #end(cause: unknown, closed: () => void): void {
    this.#cause ??= cause;
    this.#readied.reject(cause);
    const open = this.#open;
    if (open !== undefined) this.#settle(() => open.reject(cause));
    this.#channel?.destroy();
    try {
      rmSync(this.#folder, { recursive: true, force: true });
    } catch (error) {
      this.#log.warn({ error, folder: this.#folder }, "the folder of a query process could not be removed");
    }
    closed();
  }
}

export function crashed(how: string, cause?: unknown): TraceError {
  return new TraceError("TR-5210", {
    detail: `The query process ended ${how}.`,
    why: "A crash of the query engine, or the machine's own limit of memory or CPU time, ends that process alone.",
    fix: "Run it again; if it ends so each time, simplify the query or check the source files.",
    cause,
  });
}

export function outOfMemory(): TraceError {
  return new TraceError("TR-5207", {
    detail: "The query needs more memory than it is allowed.",
    fix: "Aggregate or filter earlier, select fewer columns, or raise the limits of this query.",
  });
}
