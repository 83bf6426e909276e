/**
 * A child process of a benchmark: a Node program that speaks with us in typed messages. It ends with us, and when it ends
 * by itself whoever waits for it is told.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { childStopMaxMs } from "./limits.ts";

export interface Message {
  readonly kind: string;
}

export interface FailedMessage extends Message {
  readonly kind: "failed";
  readonly error: string;
}

interface Waiting {
  readonly kind: string;
  readonly resolve: (message: never) => void;
  readonly reject: (error: Error) => void;
}

/** `In`: what it is told. `Out`: what it says. */
export class Child<In extends Message, Out extends Message> {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #listeners = new Set<(message: Out) => void>();
  readonly #waiting = new Set<Waiting>();
  #ended: Error | undefined;

  /** `env` is all it gets; secrets go there and not into its command line. */
  constructor(name: string, file: string, env: Readonly<Record<string, string>>) {
    this.name = name;
    this.#child = spawn(process.execPath, [file], { env: { ...env }, stdio: ["ignore", 2, 2, "ipc"] });
    this.#child.on("message", (message) => this.#take(message as Out | FailedMessage));
    this.#child.on("error", (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#fail(new Error(`${name} ended with ${signal ?? code}`));
        resolve();
      });
    });
  }

  /** Throws when it could not be started. */
  get pid(): number {
    if (this.#child.pid === undefined) throw this.#ended ?? new Error(`${this.name} does not run`);
    return this.#child.pid;
  }

  tell(message: In): void {
    if (this.#ended === undefined) this.#child.send(message);
  }

  onMessage(listener: (message: Out) => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves with the next message of a kind; rejects when it fails or ends before. */
  next<K extends Out["kind"]>(kind: K): Promise<Extract<Out, { kind: K }>> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => this.#waiting.add({ kind, resolve, reject }));
  }

  /** Tells it something and resolves with its answer. */
  ask<K extends Out["kind"]>(message: In, kind: K): Promise<Extract<Out, { kind: K }>> {
    const answer = this.next(kind);
    this.tell(message);
    return answer;
  }

  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), childStopMaxMs);
    if (this.#child.connected) this.#child.disconnect();
    if (this.#child.pid !== undefined) await this.#exited;
    clearTimeout(timer);
  }

  #take(message: Out | FailedMessage): void {
    if (message.kind === "failed") {
      this.#fail(new Error(`${this.name}: ${(message as FailedMessage).error}`));
      return;
    }
    for (const waiting of this.#waiting) {
      if (waiting.kind !== message.kind) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(message as never);
      break;
    }
    for (const listener of this.#listeners) listener(message as Out);
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting) reject(this.#ended);
    this.#waiting.clear();
  }
}

/** The other end, in the child: takes what it is told, and ends when the parent is gone. */
export class Parent<In extends Message, Out extends Message> {
  constructor(onMessage: (message: In) => void | Promise<void>) {
    process.on("message", (message) => {
      Promise.resolve(onMessage(message as In)).catch((error: unknown) => this.fail(error));
    });
    process.once("disconnect", () => process.exit(0));
  }

  say(message: Out): void {
    this.#send(message);
  }

  /** Something went wrong that makes the figure worthless. */
  fail(error: unknown): void {
    this.#send({ kind: "failed", error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }

  #send(message: Out | FailedMessage): void {
    if (process.connected) process.send?.(message);
  }
}
