/** One round of ours: a database and services of its own, tasks claimed and files staged beforehand, then the timed part. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createClient, userRoutes } from "@trace/contracts";
import type { Database } from "@trace/kit";
import type { StateFolder } from "@trace/localcloud";
import { Child } from "../harness/child.ts";
import { quietMachine } from "../harness/gate.ts";
import type { BenchPostgres } from "../harness/postgres.ts";
import { type Cost, timed } from "../tasks/side.ts";
import { benchJob, transportTo, variablesOf } from "../tasks/trace/environment.ts";
import { TraceStack } from "../tasks/trace/stack.ts";
import { CountingDoor } from "./counting.ts";
import { dagOf, hotDataset } from "./dag.ts";
import type { FromClients, ToClients } from "./messages.ts";
import { addPartitions, crowdKey, settle, verifyCommits } from "./state.ts";

export interface CommitsRound {
  readonly perSecond: number;
  readonly commits: number;
  /** How long each request took. */
  readonly callMs: readonly number[];
  readonly cost: Cost;
  /** Of `resolve`, where it was asked for: without links and with. */
  readonly resolveMs?: readonly number[];
  readonly linkedMs?: readonly number[];
  /** Requests to the store in all, by method, where they were counted. */
  readonly requests?: Readonly<Record<string, number>>;
}

export interface RoundHow {
  readonly commits: number;
  readonly datasets: number;
  readonly clients: number;
  /** Commits in a request. */
  readonly batch: number;
  /** Partitions that are in the hot dataset already. */
  readonly partitions?: number;
  /** Calls of `resolve` afterwards, of so many partitions each. */
  readonly resolve?: { readonly calls: number; readonly partitions: number };
  readonly countRequests?: boolean;
  /** Called when all is staged and nothing published. */
  readonly beforePublishing?: () => Promise<void>;
  readonly patienceMs: number;
  readonly tell: (text: string) => void;
}

export interface RoundParts {
  readonly postgres: BenchPostgres;
  readonly folder: StateFolder;
  /** What the clients are told of the file that they publish. */
  readonly file: string;
}

export async function commitsRound(parts: RoundParts, database: string, how: RoundHow): Promise<CommitsRound> {
  const { postgres, folder } = parts;
  await postgres.createDatabase(database);
  const door = how.countRequests === true ? new CountingDoor() : undefined;
  const stack = await TraceStack.create(
    folder,
    postgres.address(database),
    door === undefined ? undefined : (endpoint) => door.open(endpoint),
  );
  let clients: Child<ToClients, FromClients> | undefined;
  try {
    await stack.start(dagOf(how.datasets, how.commits));
    const db = postgres.database(database);
    clients = new Child("clients", join(import.meta.dirname, "clients.ts"), {
      ...variablesOf(stack.environment),
      AWS_ENDPOINT_URL_S3: stack.workerVariables.AWS_ENDPOINT_URL_S3 ?? "",
      TRACE_TASK_API: stack.workerVariables.TRACE_TASK_API ?? "",
    });
    await clients.next("ready");
    return await measured({ ...parts, stack, db, clients, door }, how);
  } finally {
    await clients?.stop();
    await stack.stop();
    door?.close();
    await postgres.dropDatabase(database);
    rmSync(join(folder.dir, "objects"), { recursive: true, force: true });
  }
}

interface Running extends RoundParts {
  readonly stack: TraceStack;
  readonly db: Database;
  readonly clients: Child<ToClients, FromClients>;
  readonly door: CountingDoor | undefined;
}

async function measured(running: Running, how: RoundHow): Promise<CommitsRound> {
  const { postgres, stack, db, clients, door } = running;
  await startRun(stack);
  const before = { commits: 0, partitions: how.partitions ?? 0 };
  if (before.partitions > 0) {
    before.commits = await addPartitions(db, hotDataset, before.partitions, async (done) => {
      if (done % 250_000 === 0) how.tell(`  ${done.toLocaleString("en-US")} partitions are there`);
    });
  }
  // Before anybody holds a lease: it takes longer than some sessions live.
  await settle(db, "all");
  await clients.ask({ kind: "stage", tasks: how.commits, file: running.file }, "staged");
  await how.beforePublishing?.();
  await settle(db, "claimed");
  await postgres.checkpoint();
  await quietMachine(how.patienceMs);
  door?.counts.clear();
  const cost = await timed(
    {
      parts: () => ({ dispatcher: pidOf(stack.dispatcher), S3: pidOf(stack.localcloud), clients: clients.pid }),
      wakeupsSent: () => Promise.resolve(undefined),
    },
    postgres,
  );
  const published = await clients.ask({ kind: "publish", clients: how.clients, batch: how.batch }, "published");
  const used = await cost.end();
  const requests = door === undefined ? undefined : Object.fromEntries(door.counts);
  await verifyCommits(db, how.commits, before);
  const resolved = how.resolve === undefined ? {} : await resolving(clients, before.partitions, how.resolve);
  return {
    perSecond: how.commits / (published.ms / 1_000),
    commits: how.commits,
    callMs: published.callMs,
    cost: used,
    ...resolved,
    ...(requests === undefined ? {} : { requests }),
  };
}

/** A task for each partition of each job. */
async function startRun(stack: TraceStack): Promise<void> {
  const transport = transportTo(stack.environment.userApi, stack.environment.userToken);
  try {
    await createClient(userRoutes, transport.send).run({ params: { dag: benchJob.dag }, body: {} });
  } finally {
    await transport.stop();
  }
}

async function resolving(
  clients: Child<ToClients, FromClients>,
  partitions: number,
  { calls: count, partitions: each }: { readonly calls: number; readonly partitions: number },
): Promise<{ resolveMs: readonly number[]; linkedMs: readonly number[] }> {
  // Spread over all of them, others in each call.
  const calls = Array.from({ length: count }, (_, call) =>
    Array.from({ length: each }, (_, at) => crowdKey(1 + (((at * count + call) * 7_919) % partitions))),
  );
  const ask = async (presign: boolean) => {
    const answer = await clients.ask({ kind: "resolve", dataset: hotDataset, calls, presign }, "resolved");
    const asked = calls.reduce((sum, keys) => sum + new Set(keys).size, 0);
    if (answer.files !== asked) throw new Error(`of ${asked} partitions ${answer.files} files were named`);
    return answer.callMs;
  };
  return { resolveMs: await ask(false), linkedMs: await ask(true) };
}

function pidOf(unit: { readonly pid: number | undefined }): number {
  if (unit.pid === undefined) throw new Error("a service has ended");
  return unit.pid;
}
