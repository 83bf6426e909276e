/**
 * A child process of the stack: spawned in a process group of its own (Ctrl-C in the terminal is for the supervisor,
 * which stops everything in order), its output kept as JSON lines, its whole group ended with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { get } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import { type Clock, systemClock } from "@trace/kit";
import { Tail } from "../postgres/output.ts";
import type { LogFile } from "../state/log-file.ts";
import { supervisorLimits } from "./limits.ts";
import { asJsonLine, LineSplitter, messageOf } from "./output.ts";
import type { Unit, UnitExit } from "./unit.ts";

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  /** Never a secret: command lines are readable by everyone. */
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  /** Ready when this answers 2xx; or when `ready` says so; with neither, when it runs. */
  readonly readyUrl?: string | undefined;
  readonly ready?: (() => Promise<boolean>) | undefined;
  readonly readyMaxMs?: number | undefined;
  /** Default true. */
  readonly restart?: boolean | undefined;
  /** Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals | undefined;
  readonly stopMaxMs?: number | undefined;
  readonly after?: readonly string[] | undefined;
  /** False for a program that is no Node program. A Node program calls `exitWithParent`. Default true. */
  readonly ipc?: boolean | undefined;
}

export interface ProcessUnitOptions {
  readonly logFile?: LogFile | undefined;
  /** Each line of its output, as JSON. */
  readonly onLine?: ((line: string, name: string) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Resolves true on a 2xx answer, false on any other or none. An answer that names its process counts only when that is
 * `pid`: somebody else may have taken the port, a role of another stack say, and be ready for itself.
 */
function answers(url: string, pid: number | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: supervisorLimits.readyRequestMaxMs }, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      const from = response.headers["x-trace-pid"];
      resolve(status >= 200 && status < 300 && (from === undefined || from === String(pid)));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}

export class ProcessUnit implements Unit {
  readonly name: string;
  readonly after: readonly string[];
  readonly restart: boolean;
  readonly #spec: ProcessSpec;
  readonly #options: ProcessUnitOptions;
  readonly #listeners = new Set<(exit: UnitExit) => void>();
  #child: ChildProcess | undefined;
  #exited: Promise<UnitExit> | undefined;
  #serving = false;

  constructor(spec: ProcessSpec, options: ProcessUnitOptions = {}) {
    this.name = spec.name;
    this.after = spec.after ?? [];
    this.restart = spec.restart ?? true;
    this.#spec = spec;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  onExit(listener: (exit: UnitExit) => void): void {
    this.#listeners.add(listener);
  }

  /** Spawns and waits until it is ready. Throws TR-6020 (ended, or not ready in time) or TR-6021 (cannot be run). */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const child = this.#spawn();
    try {
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
    } catch (cause) {
      this.#child = undefined;
      throw new TraceError("TR-6021", {
        detail: `The process ${this.name} cannot be run.`,
        where: this.#spec.command,
        why: String(cause),
        fix: "Check that the program is there and may be run; install again with `npm ci`.",
        cause,
      });
    }
    try {
      await this.#waitUntilReady(child);
      this.#serving = true;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || this.#exited === undefined) return;
    this.#serving = false;
    const timer = setTimeout(() => killGroup(child), this.#spec.stopMaxMs ?? supervisorLimits.stopMaxMs);
    child.kill(this.#spec.stopSignal ?? "SIGTERM");
    await this.#exited;
    clearTimeout(timer);
  }

  #spawn(): ChildProcess {
    const { command, args, env, cwd, ipc = true } = this.#spec;
    const child = spawn(command, args, {
      env: { ...env },
      cwd,
      detached: true,
      stdio: ipc ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const tail = new Tail(supervisorLimits.tailLines);
    const outputs = (["stdout", "stderr"] as const).map((stream) => this.#read(child, stream, tail));
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        killGroup(child); // what it started and left behind
        // Its group is gone, so its pipes end too: its last words are worth the moment.
        void Promise.all(outputs).then(() => resolve(this.#ended({ code, signal, tail: tail.text() })));
      });
    });
    return child;
  }

  #read(child: ChildProcess, stream: "stdout" | "stderr", tail: Tail): Promise<void> {
    const source = child[stream];
    if (source === null) return Promise.resolve();
    const { clock = systemClock, logFile, onLine } = this.#options;
    const splitter = new LineSplitter((line) => {
      const time = new Date(clock.nowMs()).toISOString();
      const json = asJsonLine(line, { role: this.name, pid: child.pid, stream, time });
      tail.add(messageOf(json));
      logFile?.write(json);
      onLine?.(json, this.name);
    });
    source.setEncoding("utf8").on("data", (text: string) => splitter.add(text));
    source.on("error", () => undefined); // the pipe broke with the child; its exit is what counts
    return new Promise((resolve) => {
      source.once("close", () => {
        splitter.end();
        resolve();
      });
    });
  }

  #ended(exit: UnitExit): UnitExit {
    const unexpected = this.#serving;
    this.#serving = false;
    this.#child = undefined;
    if (unexpected) for (const listener of [...this.#listeners]) listener(exit);
    return exit;
  }

  async #waitUntilReady(child: ChildProcess): Promise<void> {
    const { readyUrl, ready, readyMaxMs = supervisorLimits.readyMaxMs } = this.#spec;
    const isReady =
      ready ?? (readyUrl === undefined ? () => Promise.resolve(true) : () => answers(readyUrl, child.pid));
    const until = performance.now() + readyMaxMs;
    while (child.exitCode === null && child.signalCode === null) {
      if (await isReady()) return;
      if (performance.now() >= until) {
        throw this.#notReady(`It did not answer within ${readyMaxMs / 1000} s.`, undefined);
      }
      await pause(supervisorLimits.readyPollMs);
    }
    const exit = await this.#exited;
    throw this.#notReady(`It ended with ${exit?.signal ?? exit?.code} before it was ready.`, exit?.tail);
  }

  #notReady(what: string, tail: string | undefined): TraceError {
    return new TraceError("TR-6020", {
      detail: `${this.name} did not become ready. ${what}`,
      where: this.#spec.readyUrl ?? `process ${this.name}`,
      why: tail || undefined,
      fix: `Read its log: logs/${this.name}.log in the state folder.`,
    });
  }
}

/** SIGKILL to a child and to what it started; the group is there as long as one of them is. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error; // nobody left; or, on macOS, only a zombie
  }
}
