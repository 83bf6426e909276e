/** The processes of a run: started with what they are told and nothing else, ended by signals, and never left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { readyMsMax, stopMsMax } from "./limits.ts";

export interface ChildSpec {
  readonly name: string;
  /** Arguments of Node: flags, the file, its arguments. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folder of its log file. */
  readonly logs: string;
}

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Child {
  readonly name: string;
  readonly ended: Promise<ChildEnd>;
  readonly started: Promise<void>;
  readonly #child: ChildProcess;
  #end: ChildEnd | undefined;

  constructor(spec: ChildSpec) {
    this.name = spec.name;
    const log = openSync(join(spec.logs, `${spec.name}.log`), "a");
    // It holds the other end of the channel: when we are killed, it stops by itself.
    this.#child = spawn(process.execPath, [...spec.args], {
      env: { PATH: process.env.PATH ?? "", NODE_COMPILE_CACHE: join(spec.logs, "..", "compiled"), ...spec.env },
      stdio: ["ignore", log, log, "ipc"],
      serialization: "json",
    });
    closeSync(log);
    const started = Promise.withResolvers<void>();
    this.started = started.promise;
    this.started.catch(() => undefined); // Whoever waits for it hears of it; nobody has to.
    this.#child.on("message", (message: unknown) => {
      if ((message as { kind?: unknown } | null)?.kind === "started") started.resolve();
    });
    this.ended = new Promise((resolve) => {
      const end = (found: ChildEnd) => {
        this.#end ??= found;
        started.reject(
          new Error(`${spec.name} ended before it had started; its log: ${join(spec.logs, `${spec.name}.log`)}`),
        );
        resolve(this.#end);
      };
      this.#child.once("error", () => end({ code: null, signal: null }));
      this.#child.once("exit", (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get alive(): boolean {
    return this.#end === undefined;
  }

  /** Resolves when it has said that it is there. Throws when it ends or says nothing in time. */
  async ready(): Promise<void> {
    const late = pause(readyMsMax, undefined, { ref: false }).then(() => {
      throw new Error(`${this.name} did not start within ${readyMsMax} ms`);
    });
    await Promise.race([this.started, late]);
  }

  tell(message: Readonly<Record<string, unknown>>): void {
    if (this.#child.connected) this.#child.send({ ...message });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.alive) this.#child.kill(signal);
  }

  async kill(): Promise<ChildEnd> {
    this.signal("SIGKILL");
    return this.ended;
  }

  /** Asks it to end; kills it when it does not. */
  async stop(): Promise<ChildEnd> {
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const late = pause(stopMsMax, "late" as const, { ref: false });
    return (await Promise.race([this.ended, late])) === "late" ? this.kill() : this.ended;
  }
}

/** All that a run started, so that none is left when it breaks off. */
export class Children {
  readonly #all = new Set<Child>();
  readonly #killAll = () => {
    for (const child of this.#all) child.signal("SIGKILL");
  };

  constructor() {
    process.on("exit", this.#killAll);
  }

  start(spec: ChildSpec): Child {
    const child = new Child(spec);
    this.#all.add(child);
    void child.ended.then(() => this.#all.delete(child));
    return child;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#all].map((child) => child.stop()));
    process.off("exit", this.#killAll);
  }
}
