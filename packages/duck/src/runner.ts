/**
 * Runs queries, each in a single-use child process, and keeps a few children prewarmed. One end for every run: its
 * deadline, the caller's signal and `stop` all abort the same controller, whose reason is the error that the caller sees.
 */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { type Log, type Service, TestSignal } from "@trace/kit";
import { type Gathered, gather, gatherTables, nothingGathered, resultOf } from "./gathered.ts";
import {
  concurrencyMaxDefault,
  type DuckLimits,
  deadlineMsMax,
  duckLimits,
  frameSlackBytes,
  idleMsDefault,
  prewarmWaitMsMax,
} from "./limits.ts";
import type { Reply, Request } from "./messages.ts";
import { OutputWatch } from "./output.ts";
import { Places } from "./places.ts";
import { DuckProcess, finished, folderPrefix } from "./process.ts";
import { checkLimits, checkSql, prepare } from "./request.ts";
import type { DuckResult, DuckRun, DuckTable } from "./types.ts";

export interface DuckRunnerOptions {
  readonly log: Log;
  /** Where private folders are made; default: the system's folder for temporary files. */
  readonly workFolder?: string | undefined;
  /** Children kept ready. Each costs about 100 MB; a run then starts in a few milliseconds. Default 0. */
  readonly poolSize?: number | undefined;
  readonly idleMs?: number | undefined;
  /** Runs at work at once; others wait, within their deadline. */
  readonly concurrencyMax?: number | undefined;
  /** Instead of the package's defaults. */
  readonly limits?: Partial<DuckLimits> | undefined;
}

export class DuckRunner implements Service {
  /** Emitted with the process id when a run has its child. */
  readonly assigned = new TestSignal<number>("query process assigned");
  /** Emitted when a prewarmed child is ready. */
  readonly prewarmed = new TestSignal<number>("query process prewarmed");
  /** Emitted when an idle child was retired. */
  readonly retired = new TestSignal<number>("query process retired");
  readonly #options: DuckRunnerOptions;
  readonly #workFolder: string;
  readonly #limits: DuckLimits;
  readonly #places: Places;
  readonly #alive = new Set<DuckProcess>();
  readonly #idle = new Map<DuckProcess, NodeJS.Timeout>();
  /** When the next child is to start. */
  #later: NodeJS.Timeout | undefined;
  #life: AbortController | undefined;

  constructor(options: DuckRunnerOptions) {
    this.#options = options;
    this.#workFolder = options.workFolder ?? tmpdir();
    this.#limits = { ...duckLimits, ...options.limits };
    this.#places = new Places(options.concurrencyMax ?? concurrencyMaxDefault);
    checkLimits(this.#limits);
  }

  async start(): Promise<void> {
    if (this.#life !== undefined) return;
    await mkdir(this.#workFolder, { recursive: true, mode: 0o700 });
    await this.#sweep();
    this.#life = new AbortController();
    this.#prewarm();
  }

  /** Kills every child, waits until they are gone; open runs reject with TR-5211. */
  async stop(): Promise<void> {
    const reason = stopped("the service is stopping");
    this.#life?.abort(reason);
    this.#life = undefined;
    clearTimeout(this.#later);
    this.#later = undefined;
    for (const timer of this.#idle.values()) clearTimeout(timer);
    this.#idle.clear();
    for (const child of this.#alive) child.kill(reason);
    await Promise.all([...this.#alive].map((child) => child.closed));
  }

  /** Process ids of the children alive now, idle ones included. */
  get pids(): readonly number[] {
    return [...this.#alive].flatMap((child) => child.pid ?? []);
  }

  /**
   * Runs one query, or those of several outputs, over the files given. Throws TraceError: TR-5200 to TR-5215, TR-5001 for a
   * missing file. The output folders are left empty when it fails.
   */
  async run(run: DuckRun): Promise<DuckResult> {
    const started = performance.now();
    const limits = { ...this.#limits, ...run.limits };
    checkLimits(limits);
    const request = await prepare(run, limits.unpackBytesMax);
    const folders = request.queries.flatMap(({ output }) => (output.kind === "parquet" ? [output.folder] : []));
    if (request.badFolder !== undefined) folders.push(request.badFolder);
    const output = new OutputWatch(folders, limits.outputBytesMax, run.onProgress);
    try {
      const { gathered, peakRssBytes } = await this.#exchange(request, limits, run.signal, {
        gather: (into, reply, bytes) => gather(into, reply, bytes, run),
        watch: () => output.look(),
      });
      const tooLarge = output.lookNow();
      if (tooLarge !== undefined) throw tooLarge;
      return await resultOf(request, gathered, { elapsedMs: Math.round(performance.now() - started), peakRssBytes });
    } catch (error) {
      await output.discard();
      throw error;
    }
  }

  /**
   * The tables a SELECT reads: base tables less the WITH names in scope, as written, each version of one once. The
   * gate's other rules hold too. Throws TraceError TR-5200 to TR-5204.
   */
  async tables(sql: string, signal?: AbortSignal): Promise<DuckTable[]> {
    checkSql(sql);
    const { gathered } = await this.#exchange({ kind: "tables", sql }, this.#limits, signal, { gather: gatherTables });
    return [...gathered.tables];
  }

  async #exchange(
    request: Request,
    limits: DuckLimits,
    signal: AbortSignal | undefined,
    hooks: { gather(into: Gathered, reply: Reply, bytes: number): boolean; watch?(): TraceError | undefined },
  ): Promise<{ gathered: Gathered; peakRssBytes: number }> {
    const ending = this.#ending(limits, signal);
    try {
      const giveBack = await this.#places.take(ending.signal);
      const startedMs = performance.now();
      try {
        const child = this.#take(limits);
        const kill = () => child.kill(ending.signal.reason);
        ending.signal.addEventListener("abort", kill, { once: true });
        const gathered = nothingGathered();
        try {
          await child.run({
            request,
            frameBytesMax: frameBytesMax(request),
            onReply: (reply, bytes) => hooks.gather(gathered, reply, bytes),
            ...(hooks.watch === undefined ? {} : { watch: hooks.watch }),
          });
        } finally {
          ending.signal.removeEventListener("abort", kill);
          child.kill(finished);
          await child.closed;
        }
        return { gathered, peakRssBytes: Math.max(child.peakRssBytes, gathered.done?.peakRssBytes ?? 0) };
      } finally {
        giveBack();
        this.#prewarmAfter(performance.now() - startedMs);
      }
    } finally {
      ending.clear();
    }
  }

  /** One signal for everything that may end a run early. */
  #ending(limits: DuckLimits, signal: AbortSignal | undefined): { signal: AbortSignal; clear(): void } {
    const life = this.#life;
    if (life === undefined) throw stopped("the service is not started");
    const ending = new AbortController();
    const onStop = () => ending.abort(life.signal.reason);
    const onAbort = () => ending.abort(stopped("its caller canceled it", signal?.reason));
    const timer = setTimeout(() => ending.abort(pastDeadline(limits.deadlineMs)), limits.deadlineMs);
    life.signal.addEventListener("abort", onStop, { once: true });
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    const clear = () => {
      clearTimeout(timer);
      life.signal.removeEventListener("abort", onStop);
      signal?.removeEventListener("abort", onAbort);
    };
    return { signal: ending.signal, clear };
  }

  /** A prewarmed child where the limits are those it was started with, or a new one. */
  #take(limits: DuckLimits): DuckProcess {
    const child = [...this.#idle.keys()].find(({ limits: own }) => sameProcess(own, limits)) ?? this.#spawn(limits);
    clearTimeout(this.#idle.get(child));
    this.#idle.delete(child);
    if (child.pid !== undefined) this.assigned.emit(child.pid);
    return child;
  }

  #spawn(limits: DuckLimits): DuckProcess {
    const child = new DuckProcess({ workFolder: this.#workFolder, limits, log: this.#options.log });
    this.#alive.add(child);
    void child.closed.then(() => {
      this.#alive.delete(child);
      clearTimeout(this.#idle.get(child));
      this.#idle.delete(child);
    });
    return child;
  }

  /**
   * Starting a child takes a core for a while, just when the caller has files to hash and to store. After a long run that would be
   * felt and the next run hardly feels a wait, so the longer the run was, the later the next child starts.
   */
  #prewarmAfter(runMs: number): void {
    if (this.#later !== undefined || (this.#options.poolSize ?? 0) === 0) return;
    this.#later = setTimeout(
      () => {
        this.#later = undefined;
        this.#prewarm();
      },
      Math.min(runMs, prewarmWaitMsMax),
    );
  }

  #prewarm(): void {
    const poolSize = this.#options.poolSize ?? 0;
    while (this.#life !== undefined && this.#idle.size < poolSize) {
      const child = this.#spawn(this.#limits);
      const timer = setTimeout(() => this.#retire(child), this.#options.idleMs ?? idleMsDefault);
      this.#idle.set(child, timer);
      // A child that dies before it is ready leaves the pool by `closed`; the next run tries again.
      child.ready.then(() => this.prewarmed.emit(child.pid ?? 0)).catch(() => {});
    }
  }

  #retire(child: DuckProcess): void {
    this.#idle.delete(child);
    child.kill(stopped("it was idle"));
    void child.closed.then(() => this.retired.emit(child.pid ?? 0));
  }

  /** Folders of parents that were killed. Old ones only: a process id may belong to another container's parent. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.#workFolder)) {
      const owner = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
      if (owner === undefined || isAlive(Number(owner))) continue;
      const folder = join(this.#workFolder, name);
      const age = await stat(folder).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0, // Somebody else removed it meanwhile.
      );
      if (age > deadlineMsMax) await rm(folder, { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What is fixed when a child starts. The deadline only sets its CPU seconds, so a shorter one fits. */
function sameProcess(own: DuckLimits, wanted: DuckLimits): boolean {
  const same = (name: keyof DuckLimits) => own[name] === wanted[name];
  return same("dataBytesMax") && same("threads") && same("spillBytesMax") && wanted.deadlineMs <= own.deadlineMs;
}

function frameBytesMax(request: Request): number {
  const output = request.kind === "run" ? request.queries[0]?.output : undefined;
  return output?.kind === "rows" ? output.bytesMax + frameSlackBytes : 0;
}

function pastDeadline(deadlineMs: number): TraceError {
  return new TraceError("TR-5208", {
    detail: `The query did not end within ${deadlineMs / 1000} s and was killed.`,
    fix: "Filter or aggregate earlier, split the query, or raise its deadline.",
  });
}

function stopped(why: string, cause?: unknown): TraceError {
  return new TraceError("TR-5211", { detail: `The query was stopped: ${why}.`, cause });
}
