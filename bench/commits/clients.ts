/**
 * The process of the clients: claims tasks, stages a real Parquet file and a manifest for each, with the keys of its attempt, and
 * then does the one thing that is measured: calls `complete`. Answers are taken unchecked but for their acceptance; the proof is at the end, in SQL.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createClient, type Manifest, taskRoutes, userRoutes, workerRoutes } from "@trace/contracts";
import { ObjectStore } from "@trace/kit";
import { Parent } from "../harness/child.ts";
import { machineMs } from "../harness/clock.ts";
import { benchQueue, type ClaimAnswer, caller, traceEnvironment, transportTo } from "../tasks/trace/environment.ts";
import { claimBatch, uploadsInFlight } from "./limits.ts";
import type { FromClients, ToClients } from "./messages.ts";

type Claimed = ClaimAnswer["tasks"][number];

interface Publishable {
  readonly lease_token: string;
  readonly result: {
    readonly kind: "success";
    readonly outputs: { readonly dataset: string; readonly manifest_key: string; readonly manifest_sha256: string }[];
  };
}

/** What is known of the one file: how its rows and columns are told in a manifest. */
export interface FileWords {
  readonly path: string;
  readonly rows: number;
  readonly columns: Manifest["files"][number]["columns"];
}

const environment = traceEnvironment(process.env);
const { userApi, userToken, workerApi, workerToken, region } = environment;
const transport = transportTo(workerApi, workerToken);
/** Beats do not queue behind requests that take long. */
const worker = createClient(workerRoutes, transportTo(workerApi, workerToken).send);
const complete = caller(transport, workerRoutes.complete);
const resolve = caller(transportTo(userApi, userToken), userRoutes.resolveDatasets);
/** Each call carries a lease token of its own. */
const attempts = createClient(taskRoutes, transportTo(process.env.TRACE_TASK_API ?? "", "").send);

let sessionId = "";
let staged: Publishable[] = [];
const held = new Set<number>();

async function openSession(): Promise<void> {
  const body = { worker: "clients", host: "bench", pid: process.pid, slots: claimBatch };
  const session = await worker.openSession({ body });
  sessionId = session.session_id;
  setInterval(() => {
    const beat = worker.heartbeat({
      params: { session_id: sessionId },
      body: { leases: [...held].slice(0, claimBatch) },
    });
    beat.catch((error: unknown) => parent.fail(error));
  }, session.beat_ms).unref();
}

async function stage(tasks: number, words: FileWords): Promise<number> {
  if (sessionId === "") await openSession();
  const bytes = readFileSync(words.path);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  staged = [];
  const byDataset = new Map<string, Publishable[]>();
  let count = 0;
  while (count < tasks) {
    const max = Math.min(claimBatch, tasks - count);
    const body = { session_id: sessionId, queue: benchQueue, task_ids: [], max };
    const answer = await worker.claim({ body });
    if (answer.tasks.length === 0) throw new Error(`of ${tasks} tasks ${count} were there to be claimed`);
    for (const task of answer.tasks) held.add(task.lease_no);
    await inLanes(uploadsInFlight, [...answer.tasks], async (task) => {
      const one = await stageOne(task, words, bytes, sha256);
      const name = one.result.outputs[0]?.dataset ?? "";
      byDataset.set(name, [...(byDataset.get(name) ?? []), one]);
    });
    count += answer.tasks.length;
  }
  // One of each dataset after the other: as they were created, all of one dataset would come first.
  const queues = [...byDataset.values()];
  for (let at = 0; staged.length < tasks; at += 1) staged.push(...queues.flatMap((queue) => queue.slice(at, at + 1)));
  return bytes.length;
}

/** The store as the attempt may write to it; it writes one output, which one set of keys opens. */
async function storeOf(token: string): Promise<ObjectStore> {
  const { keys } = await attempts.createCredentials({ body: {} }, { token });
  const [first, ...more] = keys;
  if (first === undefined || more.length > 0) throw new Error("an attempt with one output has not one set of keys");
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = first;
  const credentials = { accessKeyId, secretAccessKey, sessionToken };
  return new ObjectStore({ endpoint: process.env.AWS_ENDPOINT_URL_S3, region, credentials });
}

async function stageOne(task: Claimed, words: FileWords, body: Buffer, sha256: string): Promise<Publishable> {
  const place = task.staging?.[0];
  if (place === undefined) throw new Error("a task without an output was claimed");
  const { bucket, dataset, prefix } = place;
  const store = await storeOf(task.lease_token);
  const put = (key: string, content: Buffer, hash: string) =>
    store.put({ bucket, key, body: content, bytes: content.length, sha256: hash, ifAbsent: true });
  const key = `${prefix}0.parquet`;
  await put(key, body, sha256);
  const { rows, columns } = words;
  const bytes = body.length;
  const manifest: Manifest = {
    format: "trace-manifest-1",
    dataset,
    task_id: task.task_id,
    lease_no: task.lease_no,
    partition: place.partition ?? null,
    schema: columns.map(({ name, type }) => ({ name, type })),
    rows,
    bytes,
    files: [{ key, bytes, rows, sha256, columns }],
  };
  const text = Buffer.from(JSON.stringify(manifest), "utf8");
  const manifest_key = `${prefix}manifest.json`;
  const manifest_sha256 = createHash("sha256").update(text).digest("hex");
  await put(manifest_key, text, manifest_sha256);
  await store.stop();
  const outputs = [{ dataset, manifest_key, manifest_sha256 }];
  return { lease_token: task.lease_token, result: { kind: "success", outputs } };
}

async function publish(clients: number, batch: number): Promise<{ ms: number; callMs: number[] }> {
  const requests: Publishable[][] = [];
  for (let from = 0; from < staged.length; from += batch) requests.push(staged.slice(from, from + batch));
  staged = [];
  held.clear();
  const callMs: number[] = [];
  const startedMs = machineMs();
  await inLanes(clients, requests, async (items) => {
    const sentMs = machineMs();
    const answer = await complete({ body: { items } });
    callMs.push(machineMs() - sentMs);
    const refused = answer.items.find((item) => !item.accepted || item.commits?.length !== 1);
    if (refused !== undefined) throw new Error(`a commit was not made: ${JSON.stringify(refused)}`);
  });
  return { ms: machineMs() - startedMs, callMs };
}

async function resolveAll(dataset: string, calls: readonly (readonly string[])[], presign: boolean) {
  const callMs: number[] = [];
  let files = 0;
  for (const partitions of calls) {
    const sentMs = machineMs();
    const answer = await resolve({ body: { datasets: [{ dataset, partitions: [...partitions] }], presign } });
    callMs.push(machineMs() - sentMs);
    files += answer.datasets[0]?.files.length ?? 0;
  }
  return { callMs, files };
}

/** So many at once until none is left. */
async function inLanes<T>(lanes: number, items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async () => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const parent = new Parent<ToClients, FromClients>(async (message) => {
  if (message.kind === "stage") {
    const bytes = await stage(message.tasks, JSON.parse(message.file) as FileWords);
    parent.say({ kind: "staged", bytes });
  } else if (message.kind === "publish") {
    parent.say({ kind: "published", ...(await publish(message.clients, message.batch)) });
  } else {
    parent.say({ kind: "resolved", ...(await resolveAll(message.dataset, message.calls, message.presign)) });
  }
});
parent.say({ kind: "ready" });
