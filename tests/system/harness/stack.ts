/** A stack with this process as its supervisor: five real children, whose ends and restarts the test watches. */
import { silentLog } from "@trace/kit";
import { Stack } from "../../../packages/cli/src/up/stack.ts";
import { Access } from "./access.ts";
import { TestFolder } from "./folder.ts";
import { untilNoneOf } from "./processes.ts";
import { until } from "./until.ts";

export type Role = "postgres-state" | "postgres-data" | "localcloud" | "dispatcher" | "worker";

export interface StackParts {
  readonly roots?: readonly string[];
  readonly guardAllow?: readonly string[];
  readonly slots?: number;
}

const readyMsMax = 60_000;
const goneMsMax = 15_000;

export class RunningStack {
  readonly stack: Stack;
  readonly folder: TestFolder;
  readonly access: Access;
  #stopped = false;

  constructor(stack: Stack, folder: TestFolder) {
    this.stack = stack;
    this.folder = folder;
    this.access = new Access(folder);
  }

  #status(role: Role) {
    const status = this.stack.status().find(({ name }) => name === role);
    if (status === undefined) throw new Error(`there is no ${role}`);
    return status;
  }

  pidOf(role: Role): number {
    const { pid } = this.#status(role);
    if (pid === undefined) throw new Error(`${role} does not run`);
    return pid;
  }

  /** SIGKILL. Resolves when the supervisor has seen it end; answers with the time of the kill, milliseconds. */
  async kill(role: Role): Promise<number> {
    const { pid, restarts } = this.#status(role);
    const killedMs = performance.now();
    process.kill(this.pidOf(role), "SIGKILL");
    const seen = () => this.#status(role).pid !== pid || this.#status(role).restarts > restarts;
    await until(`the end of ${role} is seen`, seen, readyMsMax);
    return killedMs;
  }

  /** Resolves when it is up (again). */
  async waitReady(role: Role): Promise<void> {
    await until(`${role} is ready`, () => this.#status(role).state === "ready", readyMsMax);
    if (role === "postgres-state" || role === "postgres-data") return;
    const { access } = this;
    const itself = async () => (await access.isReady(role)) && (await access.pidOf(role)) === this.pidOf(role);
    await until(`${role} says that it is ready`, itself, readyMsMax);
  }

  restarts(role: Role): number {
    return this.#status(role).restarts;
  }

  /** Stops everything, checks that no process is left, and removes all files. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.access.stop();
    try {
      await this.stack.stop();
      await untilNoneOf(this.folder.marks, goneMsMax);
    } finally {
      this.folder.remove();
    }
  }
}

/** Boots a stack in a folder of its own (some 4 s). */
export async function startStack(parts: StackParts = {}): Promise<RunningStack> {
  const folder = await TestFolder.create();
  const stack = new Stack({
    dir: folder.dir,
    roots: parts.roots ?? [],
    guardAllow: parts.guardAllow ?? [],
    slots: parts.slots,
    env: {},
    log: silentLog(),
    command: "a system test",
  });
  try {
    await stack.start();
    const running = new RunningStack(stack, folder);
    await running.waitReady("worker");
    return running;
  } catch (error) {
    process.stderr.write(`${folder.logTails()}\n`);
    await stack.stop();
    folder.remove();
    throw error;
  }
}

/** Tells what the roles logged when the test that has just run failed. Call it in `afterEach` with the test's context. */
export function tellIfFailed(
  context: { readonly task: { readonly name: string; readonly result?: { readonly state?: string } | undefined } },
  folder: TestFolder | undefined,
): void {
  if (context.task.result?.state !== "fail" || folder === undefined) return;
  process.stderr.write(`\nlogs of the roles during '${context.task.name}':\n${folder.logTails()}\n`);
}
