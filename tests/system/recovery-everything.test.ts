/**
 * The whole stack as `trace up` runs it, killed at one blow: the supervisor, every role, both Postgres servers and all that
 * they started. The next start on the same folder goes on where it was.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Access } from "./harness/access.ts";
import { datasetsBucket } from "./harness/access.ts";
import { ExampleCopy } from "./harness/example-copy.ts";
import { TestFolder } from "./harness/folder.ts";
import { HeldServer } from "./harness/held-server.ts";
import { killAll, untilNoneOf } from "./harness/processes.ts";
import { fetchFile, readFiles, resolve } from "./harness/reader.ts";
import { tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { spawnUp, TraceProcess } from "./harness/up.ts";
import {
  createWork,
  deploy,
  deployExample,
  fates,
  fetchDag,
  noopDag,
  notExactlyOnce,
  runToEnd,
  untilOver,
  untilRunEnds,
} from "./harness/work.ts";

/** The worker's drain and grace, and what the others take to end. */
const stopMsMax = 45_000;
const overMsMax = 120_000;

let folder: TestFolder;
let up: TraceProcess;
let access: Access;
const server = new HeldServer();
const copy = new ExampleCopy();

async function start(): Promise<void> {
  ({ up, access } = await spawnUp(folder, ["--root", copy.folder, "--allow", server.authority]));
}

beforeAll(async () => {
  await server.start();
  folder = await TestFolder.create();
  await start();
  await deploy(access, noopDag("short", "50ms"));
  await deploy(access, fetchDag("stalled", server.url("/stalled")));
  await deployExample(access);
  await runToEnd(access, "quakes", 60_000);
});
afterEach((context) => tellIfFailed(context, folder));
afterAll(async () => {
  await access?.stop();
  up?.child.kill("SIGTERM");
  await up?.ended;
  await server.stop();
  try {
    await untilNoneOf(folder.marks, 15_000);
  } finally {
    killAll(folder.processes());
    folder.remove();
    copy.remove();
  }
});

/** Names of uploads under way in the object store's folder. */
function uploads(): string[] {
  return readdirSync(join(folder.dir, "objects", "tmp"));
}

/** Of an upload under way; 0 when it has just ended. */
function bytesOf(upload: string): number {
  return statSync(join(folder.dir, "objects", "tmp", upload), { throwIfNoEntry: false })?.size ?? 0;
}

/** The lease token of an attempt that runs. */
async function tokenOf(taskId: string): Promise<string> {
  const find = async () => {
    const [row] = await access.sql<{ token: Buffer }>(
      "select l.token from leases l join tasks t using (task_id) where t.public_id = $1",
      [taskId],
    );
    return row?.token.toString("base64url");
  };
  return until(`task ${taskId} runs`, find, 20_000);
}

/** Begins to store an object of an attempt, with its keys, and never ends. Answers with its key. */
async function stallUpload(taskId: string): Promise<string> {
  const token = await tokenOf(taskId);
  const [place] = (await access.task.describe({}, { token })).staging;
  if (place === undefined) throw new Error("the attempt has no place for an output");
  const key = `${place.prefix}stalled.parquet`;
  const store = (await access.attemptStores(token))(key);
  const body = new PassThrough();
  const bytes = 64 * 1024 * 1024;
  const put = { bucket: datasetsBucket, key, body, bytes, sha256: "0".repeat(64), ifAbsent: true };
  // It ends with the process that it is sent to; how it is told is of no interest here.
  store.put(put).catch(() => undefined);
  const sent = 4 * 1024 * 1024;
  body.write(Buffer.alloc(sent));
  // Tasks store objects meanwhile, all of them smaller.
  await until("half of an object is on the disk", () => uploads().some((name) => bytesOf(name) >= sent / 2), 20_000);
  return key;
}

/** How many of the stack's processes are of each kind; Postgres' own children come and go. */
function census(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { command } of folder.processes()) {
    const kind =
      /main\.ts (up|dispatcher|worker|localcloud)\b/.exec(command)?.[1] ?? /\/bin\/(postgres) -D/.exec(command)?.[1];
    if (kind !== undefined) counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Asks `trace up` to stop, expects a clean end within the bound, and answers with how long it took, milliseconds. */
async function terminate(): Promise<number> {
  await access.stop();
  const startedMs = performance.now();
  up.child.kill("SIGTERM");
  expect(await up.ended).toEqual({ code: 0, signal: null });
  const tookMs = performance.now() - startedMs;
  expect(tookMs).toBeLessThan(stopMsMax);
  await untilNoneOf(folder.marks, 1_000);
  // What tells the next start of an unclean end.
  expect(existsSync(join(folder.dir, "running"))).toBe(false);
  return tookMs;
}

const wholeStack = { up: 1, dispatcher: 1, worker: 1, localcloud: 1, postgres: 2 };

test("a second 'trace up' on the folder is refused and told who holds it, and the first goes on", async () => {
  const second = new TraceProcess(["up", "--state", folder.dir, "--no-color"]);
  const { code } = await second.ended;
  expect(code).toBe(1);
  expect(second.stderr).toContain("TR-6001");
  expect(second.stderr).toContain(`process ${up.pid}`);
  expect(census()).toEqual(wholeStack);
  const [id = ""] = await createWork(access, "short", 1);
  expect(notExactlyOnce(await untilOver(access, [id], 20_000))).toEqual([]);
});

test("kill -9 of every process at once: the next start loses nothing, does nothing twice and shows nothing half-done", async () => {
  const before = await resolve(access, "quakes");
  const { items } = await access.user.createTasks({ body: { items: [{ dag: "stalled", job: "fetch" }] } });
  const stalled = items[0]?.task_id ?? "";
  const stalledKey = await stallUpload(stalled);
  const ids = await createWork(access, "short", 150);
  copy.change();
  const { run_id } = await access.user.run({ params: { dag: "quakes" }, body: {} });
  ids.push(...(await createWork(access, "short", 150)));
  await until(
    "work is under way",
    async () => (await fates(access, ids)).filter(({ state }) => state === "completed").length >= 20,
    30_000,
  );
  const completed = (await fates(access, ids))
    .filter(({ state }) => state === "completed")
    .map(({ task_id }) => task_id);
  expect(completed.length).toBeLessThan(ids.length);
  expect(census()).toEqual(wholeStack);
  killAll(folder.processes());
  await access.stop();
  await up.ended;
  await untilNoneOf(folder.marks, 15_000);
  server.answerFrom("/stalled", '{"a": 1}');

  const startedMs = performance.now();
  await start();
  process.stdout.write(`up again ${Math.round(performance.now() - startedMs)} ms after kill -9 of everything\n`);
  expect(census()).toEqual(wholeStack);
  // What was answered as completed before is completed by the same attempt still.
  const kept = await fates(access, completed);
  expect(notExactlyOnce(kept)).toEqual([]);

  expect(notExactlyOnce(await untilOver(access, [...ids, stalled], overMsMax))).toEqual([]);
  const run = await untilRunEnds(access, run_id, overMsMax);
  expect(run.state).toBe("completed");
  const after = await resolve(access, "quakes");
  expect(after.commit).toBe(before.commit + 1);
  expect(await readFiles(after.files, "select count(*)::int as rows from data")).toEqual([{ rows: 1_707 }]);
  for (const file of before.files)
    expect((await access.s3("owner").head(file.bucket, file.key))?.bytes).toBe(file.bytes);
  for (const file of after.files) await fetchFile(file);
  const doubles = await access.sql("select task_id from commits group by task_id having count(*) > 1");
  expect(doubles).toEqual([]);

  expect(await access.s3("owner").head(datasetsBucket, stalledKey)).toBeUndefined();
  expect((await access.listKeys()).filter((key) => key === stalledKey)).toEqual([]);
  expect(uploads()).toEqual([]);
  const open = await access.sql("select 1 from leases union all select 1 from ready");
  expect(open).toEqual([]);
});

test("SIGTERM while tasks run: a clean end within its bound, and the rest runs after the next start", async () => {
  const ids = await createWork(access, "short", 400);
  await until(
    "work is under way",
    async () => (await fates(access, ids)).filter(({ state }) => state === "completed").length >= 20,
    30_000,
  );
  const tookMs = await terminate();
  process.stdout.write(`SIGTERM to the end of all: ${Math.round(tookMs)} ms\n`);

  await start();
  expect((await fates(access, ids)).some(({ state }) => state !== "completed")).toBe(true);
  const all = await untilOver(access, ids, overMsMax);
  expect(notExactlyOnce(all)).toEqual([]);
  // A worker that drains ends what runs and hands the rest back: no attempt is lost, none counts twice.
  expect(all.filter(({ lease_losses, failures }) => lease_losses > 0 || failures > 0)).toEqual([]);
});

test("SIGTERM while a task stands still: its worker lets it go at the end of its drain, and it runs after the next start", async () => {
  const path = "/still";
  await deploy(access, fetchDag("still", server.url(path)));
  const { items } = await access.user.createTasks({ body: { items: [{ dag: "still", job: "fetch" }] } });
  const id = items[0]?.task_id ?? "";
  await server.untilAsked(path, 1, 20_000);
  const tookMs = await terminate();
  process.stdout.write(`SIGTERM to the end of all, one task standing still: ${Math.round(tookMs)} ms\n`);
  server.answerFrom(path, '{"a": 1}');

  await start();
  const [fate] = await untilOver(access, [id], overMsMax);
  expect(fate).toMatchObject({ state: "completed", succeeded: 1, attempts: 2, failures: 0, places: 1 });
  expect((await resolve(access, "still")).commit).toBe(1);
});
