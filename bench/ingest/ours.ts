/**
 * Our side: a dispatcher, a worker and the embedded S3 and SQS as `trace up` starts them, on a database of their own. What is
 * timed is a whole task: from just before the call that runs the DAG to the moment its end is committed, with claim, child,
 * checksums, upload and commit.
 */
import { rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, userRoutes } from "@trace/contracts";
import type { Database, HttpTransport } from "@trace/kit";
import { LogFile, ProcessUnit, type StateFolder } from "@trace/localcloud";
import { logBytesMax, logFilesKept, roleReadyMsMax } from "../../packages/cli/src/up/limits.ts";
import { machineMs } from "../harness/clock.ts";
import { cpuSeconds, sampleCpu, treeOf } from "../harness/cpu.ts";
import type { BenchPostgres } from "../harness/postgres.ts";
import { until } from "../harness/until.ts";
import { benchJob, transportTo } from "../tasks/trace/environment.ts";
import { mainFile, TraceStack } from "../tasks/trace/stack.ts";
import { restLookMs, restMaxMs, restShare, taskMaxMs } from "./limits.ts";
import type { Source } from "./source.ts";
import { splitDag } from "./work.ts";

export class OurSide {
  readonly #postgres: BenchPostgres;
  readonly #folder: StateFolder;
  readonly #database: string;
  readonly #stack: TraceStack;
  readonly #worker: ProcessUnit;
  readonly #transport: HttpTransport;
  readonly #source: Source;
  readonly #db: Database;
  #runs = 0;

  private constructor(parts: {
    postgres: BenchPostgres;
    folder: StateFolder;
    database: string;
    stack: TraceStack;
    worker: ProcessUnit;
    source: Source;
  }) {
    this.#postgres = parts.postgres;
    this.#folder = parts.folder;
    this.#database = parts.database;
    this.#stack = parts.stack;
    this.#worker = parts.worker;
    this.#source = parts.source;
    this.#db = parts.postgres.database(parts.database);
    const { userApi, userToken } = parts.stack.environment;
    this.#transport = transportTo(userApi, userToken);
  }

  static async start(postgres: BenchPostgres, folder: StateFolder, database: string, source: Source): Promise<OurSide> {
    await postgres.createDatabase(database);
    const stack = await TraceStack.create(folder, postgres.address(database));
    const opsPort = await folder.port("opsWorker", 0);
    const worker = new ProcessUnit(
      {
        name: "worker",
        command: process.execPath,
        args: [mainFile, "worker"],
        env: {
          ...stack.workerVariables,
          TRACE_FILE_ROOTS: JSON.stringify([dirname(source.path)]),
          TRACE_OPS_PORT: String(opsPort),
          TRACE_LOG_PRETTY: "0",
        },
        readyUrl: `http://127.0.0.1:${opsPort}/readyz`,
        readyMaxMs: roleReadyMsMax,
      },
      {
        logFile: new LogFile({
          path: join(folder.logsDir, "worker.log"),
          bytesMax: logBytesMax,
          filesMax: logFilesKept,
        }),
      },
    );
    const side = new OurSide({ postgres, folder, database, stack, worker, source });
    await stack.start(splitDag(basename(source.path)));
    await worker.start();
    return side;
  }

  get parts(): Record<string, number> {
    const pidOf = (unit: { readonly pid: number | undefined }) => {
      if (unit.pid === undefined) throw new Error("a service has ended");
      return unit.pid;
    };
    return {
      worker: pidOf(this.#worker),
      dispatcher: pidOf(this.#stack.dispatcher),
      "S3 and SQS": pidOf(this.#stack.localcloud),
    };
  }

  /** One task, proved: every row of the source is in the head of the dataset. Milliseconds. */
  async split(): Promise<number> {
    // The same source and the same SQL are not committed twice: each run is of a DAG of its own words.
    this.#runs += 1;
    const client = createClient(userRoutes, this.#transport.send);
    const source = splitDag(basename(this.#source.path)).replace("FROM source", `FROM source /* ${this.#runs} */`);
    await client.deploy({ body: { file_name: "bench.yaml", source } });
    const startedMs = machineMs();
    await client.run({ params: { dag: benchJob.dag }, body: {} });
    await until("the task has ended", async () => (await this.#ended()) === this.#runs, taskMaxMs);
    const ms = machineMs() - startedMs;
    await this.#verify();
    return ms;
  }

  /**
   * Resolves when the worker is at rest: it has made the child ready that the next task will have, as it has where tasks do not
   * follow each other at once.
   */
  async rest(): Promise<void> {
    const { worker } = this.parts;
    await until(
      "the worker is at rest",
      async () => {
        const before = sampleCpu();
        await pause(restLookMs);
        const after = sampleCpu();
        const children = treeOf(after, worker ?? 0).length - 1;
        return children > 0 && cpuSeconds(before, after, worker ?? 0) < (restShare * restLookMs) / 1_000;
      },
      restMaxMs,
    );
  }

  async stop(): Promise<void> {
    await this.#transport.stop();
    await this.#worker.stop();
    await this.#stack.stop();
    await this.#postgres.dropDatabase(this.#database);
    rmSync(join(this.#folder.dir, "objects"), { recursive: true, force: true });
  }

  async #ended(): Promise<number> {
    const [row] = await this.#db.raw<{ n: number; bad: string | null }>(
      "select count(*) as n, (select error ->> 'detail' from outcomes where state <> 'completed' limit 1) as bad from outcomes",
    );
    if (row?.bad != null) throw new Error(`a task of ours failed: ${row.bad}`);
    const [failed] = await this.#db.raw<{ error: string }>(
      "select error::text as error from attempts where state <> 'succeeded' limit 1",
    );
    if (failed !== undefined) throw new Error(`an attempt of ours failed: ${failed.error}`);
    return row?.n ?? 0;
  }

  async #verify(): Promise<void> {
    const [row] = await this.#db.raw<{ rows: number; partitions: number; commits: number }>(
      `select (select sum(row_count)::bigint from commit_files where removed_commit is null) as rows,
              (select count(*) from partitions) as partitions, (select count(*) from commits) as commits`,
    );
    if (row?.rows === this.#source.rows && row.commits === this.#runs && row.partitions > 0) return;
    throw new Error(`run ${this.#runs} of ${this.#source.rows} rows left ${JSON.stringify(row)}`);
  }
}
