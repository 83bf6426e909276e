/**
 * A worker that dies, hangs or comes back too late: its task is done once by another attempt, and nothing that the lost
 * attempt made or says is ever seen (invariants 3, 4 and 5).
 */
import { createHash } from "node:crypto";
import type { Completion } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { HeldServer } from "./harness/held-server.ts";
import { makeParquet, readFiles, resolve, Watcher } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { spawnWorker } from "./harness/up.ts";
import { createWork, deploy, fates, fetchDag, noopDag, notExactlyOnce, untilOver } from "./harness/work.ts";

/** The bound of the issue: from the kill of a worker to the commit of the retry. */
const recoveryMsMax = 20_000;
const path = "/feed";
const goodRows = '{"id": 1, "from": "retry"}, {"id": 2, "from": "retry"}';

let running: RunningStack;
const server = new HeldServer();

beforeAll(async () => {
  await server.start();
  running = await startStack({ guardAllow: [server.authority] });
  await deploy(running.access, noopDag("slow", "3s"));
  await deploy(running.access, fetchDag("feed", server.url(path)));
  await deploy(running.access, fetchDag("stopped", server.url("/stopped")));
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  await server.stop();
});

interface Lease {
  readonly token: string;
  readonly lease_no: number;
  readonly session_id: number;
}

async function leaseOf(taskId: string): Promise<Lease> {
  const rows = await running.access.sql<{ token: Buffer; lease_no: number; session_id: number }>(
    "select l.token, l.lease_no::int, l.session_id::int from leases l join tasks t using (task_id) where t.public_id = $1",
    [taskId],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the task has no lease");
  return { ...row, token: row.token.toString("base64url") };
}

/**
 * Stages a whole, valid output under the attempt's own prefix, as the attempt itself would have, with its own keys.
 * Answers with the completion that would commit it.
 */
async function stageAs(token: string): Promise<{ completion: Completion; prefix: string }> {
  const { access } = running;
  const attempt = await access.task.describe({}, { token });
  const [place] = attempt.staging;
  if (place === undefined) throw new Error("the attempt has no place for an output");
  const { bytes, rows } = await makeParquet("select 666 as id, 'late' as \"from\"");
  const storeOf = await access.attemptStores(token);
  const put = async (key: string, body: Buffer) => {
    const sha256 = createHash("sha256").update(body).digest("hex");
    const stored = await storeOf(key).put({
      bucket: place.bucket,
      key,
      body,
      bytes: body.length,
      sha256,
      ifAbsent: true,
    });
    expect(stored).toBe("stored");
    return sha256;
  };
  const key = `${place.prefix}late.parquet`;
  const columns = [
    { name: "id", type: "INTEGER" },
    { name: "from", type: "VARCHAR" },
  ];
  const sha256 = await put(key, bytes);
  const manifest = {
    format: "trace-manifest-1",
    dataset: place.dataset,
    task_id: attempt.task_id,
    lease_no: attempt.lease_no,
    partition: null,
    schema: columns,
    rows,
    bytes: bytes.length,
    files: [{ key, bytes: bytes.length, rows, sha256, columns }],
  };
  const manifestKey = `${place.prefix}late-manifest.json`;
  const output = {
    dataset: place.dataset,
    manifest_key: manifestKey,
    manifest_sha256: await put(manifestKey, Buffer.from(JSON.stringify(manifest))),
  };
  return {
    completion: { lease_token: token, result: { kind: "success", outputs: [output] } },
    prefix: place.prefix,
  };
}

async function complete(completion: Completion) {
  const { items } = await running.access.worker.complete({ body: { items: [completion] } });
  return { accepted: items[0]?.accepted, code: items[0]?.error?.code };
}

const stale = { accepted: false, code: "TR-3001" };

/**
 * Holds the reaper back from a session's leases, waits until the session has expired by the database's clock, and calls
 * `look` in that moment: expired, and not reaped yet. It shares the session's row, which a completion shares too.
 */
async function afterExpiryBeforeReaper(sessionId: number, look: () => Promise<void>): Promise<void> {
  const held = await running.access.db.session();
  try {
    await held.raw("begin");
    const expired = async () => {
      const text = "select expires_at <= clock_timestamp() as over from sessions where session_id = $1 for share";
      const [row] = (await held.raw(text, [sessionId])) as { over: boolean }[];
      return row?.over === true;
    };
    await until("the session expires", expired, 30_000);
    await look();
  } finally {
    // Ends the connection, and with it the transaction and its lock.
    held.release(true);
  }
}

async function createFetch(dag: string): Promise<string> {
  const { items } = await running.access.user.createTasks({ body: { items: [{ dag, job: "fetch" }] } });
  return items[0]?.task_id ?? "";
}

/** Where the time of a recovery went: until the lease was taken away, until the retry was claimed, until it committed. */
async function stagesOf(taskId: string, tookMs: number): Promise<string> {
  const [row] = await running.access.sql<{ claim_ms: number; commit_ms: number }>(
    `select (extract(epoch from c.claimed_at - a.ended_at) * 1000)::int as claim_ms,
            (extract(epoch from c.committed_at - c.claimed_at) * 1000)::int as commit_ms
       from tasks t join attempts a on a.task_id = t.task_id and a.state = 'expired'
       join (select c.task_id, c.committed_at, b.started_at as claimed_at
               from commits c join attempts b using (lease_no)) c on c.task_id = t.task_id
      where t.public_id = $1`,
    [taskId],
  );
  const { claim_ms = 0, commit_ms = 0 } = row ?? {};
  return `lease lost after ${Math.round(tookMs) - claim_ms - commit_ms}, claimed after ${claim_ms}, committed after ${commit_ms} more`;
}

test("kill -9 of the worker in mid-task: the retry commits once within 20 s, and the dead attempt is never heard", async () => {
  const { access } = running;
  const [noop = ""] = await createWork(access, "slow", 1);
  const taskId = await createFetch("feed");
  await server.untilAsked(path, 1, 20_000);
  await until("both tasks run", async () => (await access.sql("select 1 from leases")).length === 2, 20_000);
  const dead = await leaseOf(taskId);
  const late = await stageAs(dead.token);
  const watcher = new Watcher(access, "feed");
  server.answerFrom(path, goodRows);

  const killedMs = await running.kill("worker");
  await afterExpiryBeforeReaper(dead.session_id, async () => {
    // Nobody has taken the lease yet: the row is still there, and the fence judges by the clock.
    expect(await leaseOf(taskId)).toEqual(dead);
    expect(await complete(late.completion)).toEqual(stale);
    expect(await leaseOf(taskId)).toEqual(dead);
  });

  const committed = () =>
    access.sql("select 1 from commits c join tasks t using (task_id) where t.public_id = $1", [taskId]);
  await until("the retry commits", async () => (await committed()).length > 0, 30_000);
  const tookMs = performance.now() - killedMs;
  const stages = await stagesOf(taskId, tookMs);
  process.stdout.write(`kill of the worker to commit of the retry: ${Math.round(tookMs)} ms (${stages})\n`);
  expect(tookMs).toBeLessThan(recoveryMsMax);
  expect(await complete(late.completion)).toEqual(stale);

  const all = await untilOver(access, [noop, taskId], 30_000);
  expect(notExactlyOnce(all)).toEqual([]);
  expect(all.map(({ attempts, lease_losses, failures }) => [attempts, lease_losses, failures])).toEqual([
    [2, 1, 0],
    [2, 1, 0],
  ]);
  expect(await committed()).toHaveLength(1);
  expect(await complete(late.completion)).toEqual(stale);
  const now = await resolve(access, "feed");
  expect(now.commit).toBe(1);
  expect(await readFiles(now.files, 'select id::int as id, "from" from data order by id')).toEqual([
    { id: 1, from: "retry" },
    { id: 2, from: "retry" },
  ]);
  await watcher.stop();
  expect(watcher.looks).toBeGreaterThan(10);
  // It was there for everybody to list, and no answer ever named it.
  expect((await access.listKeys()).filter((key) => key.startsWith(late.prefix))).toHaveLength(2);
  expect(watcher.keys.filter((key) => key.startsWith(late.prefix))).toEqual([]);
  expect([...watcher.seen.keys()].sort()).toEqual([0, 1]);
  expect(watcher.seen.get(1)?.size).toBe(1);
});

test("a worker stopped past its lease aborts when it goes on: the other worker's result is the only one", async () => {
  const { access, folder } = running;
  const ops = access.endpoints.ops.worker ?? "";
  const lostBefore = await access.metric(ops, "worker_lost_leases_total");
  const taskId = await createFetch("stopped");
  await server.untilAsked("/stopped", 1, 20_000);
  const slow = await leaseOf(taskId);
  const late = await stageAs(slow.token);
  const watcher = new Watcher(access, "stopped");
  const pid = running.pidOf("worker");
  process.kill(pid, "SIGSTOP");
  const second = spawnWorker(folder, access, { TRACE_GUARD_ALLOW: JSON.stringify([server.authority]) });
  try {
    server.answerFrom("/stopped", goodRows);
    expect(notExactlyOnce(await untilOver(access, [taskId], 60_000))).toEqual([]);
    // The download that it waited for comes to its end, so that nothing but the lost lease can hold it back.
    server.letGo("/stopped", '{"id": 3, "from": "slow"}');
  } finally {
    process.kill(pid, "SIGCONT");
    second.child.kill("SIGTERM");
  }
  await until(
    "the worker gives its attempt up",
    async () => (await access.metric(ops, "worker_lost_leases_total")) === lostBefore + 1,
    30_000,
  );
  expect(running.pidOf("worker")).toBe(pid);
  expect(await complete(late.completion)).toEqual(stale);
  expect(await second.ended).toEqual({ code: 0, signal: null });

  const [fate] = await fates(access, [taskId]);
  expect(fate).toMatchObject({ state: "completed", succeeded: 1, attempts: 2, lease_losses: 1 });
  const now = await resolve(access, "stopped");
  expect(now.commit).toBe(1);
  expect(now.files.filter(({ key }) => key.startsWith(late.prefix))).toEqual([]);
  expect(await readFiles(now.files, 'select distinct "from" from data')).toEqual([{ from: "retry" }]);
  await watcher.stop();
  expect(watcher.keys.filter((key) => key.startsWith(late.prefix))).toEqual([]);

  // It works on, with a new session.
  await running.waitReady("worker");
  const [next = ""] = await createWork(access, "slow", 1);
  expect(notExactlyOnce(await untilOver(access, [next], 30_000))).toEqual([]);
});
