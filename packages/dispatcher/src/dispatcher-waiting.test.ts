/** Claims that wait, through the listeners: answered by a create, given up by their callers, ended by a stop. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, userRoutes, workerRoutes } from "@trace/contracts";
import { Database, HttpTransport, newToken, silentLog, tokenHash } from "@trace/kit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "../../../tests/setup/database.ts";
import { dispatcherConfig } from "./config.ts";
import { Dispatcher } from "./dispatcher.ts";
import { noopDag } from "./testing/world.ts";

const userToken = newToken("trace");
const workerToken = newToken("tracew");
let folder: string;
let home: TestDatabase;
let db: Database;
let dispatcher: Dispatcher;
let transports: HttpTransport[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-waiting-"));
  writeFileSync(join(folder, "hashes"), `${tokenHash(workerToken).toString("hex")}\n`);
  home = await freshDatabase();
  db = new Database({ url: home.url, name: "test", log: silentLog(), connectionsMax: 1 });
  const config = dispatcherConfig({
    TRACE_STATE_DATABASE_URL: home.url,
    TRACE_WORKER_TOKEN_HASHES_FILE: join(folder, "hashes"),
    TRACE_OWNER_TOKEN_SHA256: tokenHash(userToken).toString("hex"),
    TRACE_INSTALLATION: "mine",
    AWS_ACCESS_KEY_ID: "a",
    AWS_SECRET_ACCESS_KEY: "b",
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1",
    AWS_ENDPOINT_URL_SQS: "http://127.0.0.1:1", // Nothing can be sent: what leaves the outbox was spared.
  });
  dispatcher = new Dispatcher(config, silentLog());
  await dispatcher.start();
  transports = [];
  await user().deploy({ body: { file_name: "plain.yaml", source: noopDag } });
});
afterEach(async () => {
  await Promise.all(transports.map((transport) => transport.stop()));
  await dispatcher.stop();
  await db.stop();
  await home.drop();
  rmSync(folder, { recursive: true });
});

function transportTo(port: "user" | "worker", token: string): HttpTransport {
  const transport = new HttpTransport({
    baseUrl: `http://127.0.0.1:${dispatcher.ports[port]}`,
    token: () => Promise.resolve(token),
  });
  transports.push(transport);
  return transport;
}

function user() {
  return createClient(userRoutes, transportTo("user", userToken).send);
}

async function worker() {
  const client = createClient(workerRoutes, transportTo("worker", workerToken).send);
  const { session_id } = await client.openSession({ body: { worker: "w", host: "h", pid: 1, slots: 4 } });
  const claim = (more: { wait_ms?: number; max?: number } = {}, signal?: AbortSignal) =>
    client.claim(
      { body: { session_id, queue: "default", task_ids: [], max: 4, ...more } },
      signal === undefined ? {} : { signal },
    );
  return { client, claim };
}

async function create(count = 1): Promise<string[]> {
  const items = Array.from({ length: count }, () => ({ dag: "plain", job: "noop" }));
  return (await user().createTasks({ body: { items } })).items.map(({ task_id }) => task_id ?? "");
}

async function metric(name: string): Promise<number> {
  const text = await dispatcher.metrics.text();
  return Number(new RegExp(`^trace_${name}(?:{[^}]*})? (\\S+)$`, "m").exec(text)?.[1] ?? 0);
}

async function untilWaiting(count: number): Promise<void> {
  await expect.poll(() => metric("claims_waiting"), { timeout: 10_000 }).toBe(count);
}

async function count(table: string): Promise<number> {
  const [row] = await db.raw<{ n: number }>(`select count(*)::int as n from ${table}`);
  return row?.n ?? -1;
}

test("a create answers the claim that waits, and its wake-up goes unsent", async () => {
  const { claim } = await worker();
  const waiting = claim({ wait_ms: 20_000 });
  await untilWaiting(1);
  const ids = await create(3);
  const { tasks } = await waiting;
  expect(tasks.map(({ task_id }) => task_id).sort()).toEqual(ids.sort());
  await untilWaiting(0);
  await expect.poll(() => count("outbox"), { timeout: 10_000 }).toBe(0);
  expect(await metric("wakeups_spared_total")).toBe(1);
  expect(await metric("wakeups_sent_total")).toBe(0);
});

test("what the claim has no room for stays in the outbox, and is the next one's", async () => {
  const first = await worker();
  const second = await worker();
  const waiting = first.claim({ wait_ms: 20_000, max: 2 });
  await untilWaiting(1);
  const other = second.claim({ wait_ms: 20_000, max: 2 });
  await untilWaiting(2);
  await create(5);
  expect((await waiting).tasks).toHaveLength(2);
  expect((await other).tasks).toHaveLength(2);
  expect(await count("ready")).toBe(1);
  expect(await count("outbox")).toBe(1);
});

test("what a worker hands back is claimed by the one who waits", async () => {
  const first = await worker();
  const second = await worker();
  await create();
  const [task] = (await first.claim()).tasks;
  const waiting = second.claim({ wait_ms: 20_000 });
  await untilWaiting(1);
  await first.client.release({ body: { items: [{ lease_token: task?.lease_token ?? "" }] } });
  expect((await waiting).tasks.map(({ task_id }) => task_id)).toEqual([task?.task_id]);
});

test("nothing is claimed for a caller who hung up", async () => {
  const { claim } = await worker();
  const caller = new AbortController();
  const waiting = claim({ wait_ms: 20_000 }, caller.signal);
  await untilWaiting(1);
  caller.abort(new Error("hung up"));
  await expect(waiting).rejects.toThrow("hung up");
  await untilWaiting(0);
  await create();
  expect(await count("ready")).toBe(1);
  expect(await count("leases")).toBe(0);
});

test("a stop answers the claims that wait with nothing, at once", async () => {
  const { claim } = await worker();
  const waiting = claim({ wait_ms: 20_000 });
  await untilWaiting(1);
  const stopped = dispatcher.stop();
  expect(await waiting).toEqual({ tasks: [], jobs: [], more: false });
  await stopped;
});
