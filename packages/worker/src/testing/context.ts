/** An operator's context without a worker: a folder, a memory store and the real DuckDB runner or a stand-in. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClaimedTask, IngestSourceInput, Progress, ResolvedDataset, StagingPlace } from "@trace/contracts";
import { jobDefinitionSchema } from "@trace/contracts";
import { guardedGet } from "@trace/kit";
import type { OperatorContext, OperatorServices } from "../operators/operator.ts";
import type { WriteStore } from "../staging/writer.ts";
import { systemTimers } from "../timers.ts";
import { MemoryStore } from "./memory-store.ts";

export interface TestContext {
  readonly context: OperatorContext;
  readonly store: MemoryStore;
  readonly folder: string;
  readonly abort: AbortController;
  readonly progress: Progress[];
  readonly said: string[];
  remove(): Promise<void>;
}

export interface ContextOptions {
  readonly task?: Partial<ClaimedTask>;
  readonly services?: Partial<OperatorServices>;
  readonly inputs?: readonly ResolvedDataset[];
  readonly leftMs?: number;
  /** What is written with, when not the memory store of the context. */
  readonly writer?: WriteStore;
}

export async function testContext(job: ClaimedTask["job"], options: ContextOptions = {}): Promise<TestContext> {
  const folder = await mkdtemp(join(tmpdir(), "trace-worker-test-"));
  const store = new MemoryStore();
  const abort = new AbortController();
  const progress: Progress[] = [];
  const said: string[] = [];
  const say = (message: string) => void said.push(message);
  const own = options.writer ?? store;
  const context: OperatorContext = {
    task: {
      task_id: "0197c7a4-0000-7000-8000-000000000001",
      run_id: null,
      lease_no: 7,
      attempt: 1,
      dag: "tests",
      job,
      payload: {},
      timeout_ms: 60_000,
      inputs: [],
      partition: null,
      staging: job.outputs.map(({ dataset }, index) => placeOf(dataset, index + 1)),
      ...options.task,
    },
    inputs: async () => options.inputs ?? [],
    workDir: () => Promise.resolve(folder),
    writer: { ready: () => Promise.resolve(), store: () => Promise.resolve(own), renew: async () => false },
    log: { debug: say, info: say, warn: say, error: say },
    progress: (item) => void progress.push(item),
    signal: abort.signal,
    leftMs: () => options.leftMs ?? 60_000,
    services: {
      objectStore: store,
      duck: { run: () => Promise.reject(new Error("this test has no DuckDB")) },
      get: guardedGet,
      guardAllow: [],
      fileRoots: [],
      sourceBytesMax: 100_000_000,
      inputsBytesMax: 100_000_000,
      timers: systemTimers,
      random: () => 0,
      ...options.services,
    },
  };
  const remove = () => rm(folder, { recursive: true, force: true });
  return { context, store, folder, abort, progress, said, remove };
}

/** The place of the nth output. */
export function placeOf(dataset: string, n = 1): StagingPlace {
  return { dataset, bucket: "trace-datasets", prefix: `g${n}/l7/`, partition: null };
}

type IngestJob = Extract<ClaimedTask["job"], { operator: "ingest" }>;
type SqlJob = Extract<ClaimedTask["job"], { operator: "sql" }>;
/** What a definition may say beside; defaults fill in the rest. */
type Parts = Readonly<Record<string, unknown>>;

const common = { retries: 0, timeout_ms: 60_000 };
const output = (dataset: string) => ({ dataset, strategy: "replace" });

export function ingestJob(source: IngestSourceInput, sql?: string, { config, ...parts }: Parts = {}): IngestJob {
  const whole = { source, ...(sql === undefined ? {} : { sql }), ...(config as Parts | undefined) };
  const outputs = [output("quakes")];
  const job = { ...common, name: "load", operator: "ingest", inputs: [], outputs, ...parts, config: whole };
  return jobDefinitionSchema.parse(job) as IngestJob;
}

export function sqlJob(inputs: readonly unknown[], sql: string, parts: Parts = {}): SqlJob {
  const outputs = [output("summary")];
  const job = { ...common, name: "summarise", operator: "sql", inputs, outputs, config: { sql }, ...parts };
  return jobDefinitionSchema.parse(job) as SqlJob;
}
