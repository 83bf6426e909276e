/** The dispatcher whole, with its listeners and loops: tokens, secrets, names of installations, and Postgres going away. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { problemSchema } from "@trace/contracts";
import { createLog, Database, newToken, silentLog, tokenHash } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "../../../tests/setup/database.ts";
import { type DispatcherConfig, dispatcherConfig } from "./config.ts";
import { Dispatcher } from "./dispatcher.ts";
import { noopDag, until, waitingForLocks } from "./testing/world.ts";

const userToken = newToken("trace");
const workerToken = newToken("tracew");
let folder: string;
let home: TestDatabase;
let lines: string[] = [];
let dispatcher: Dispatcher;

function config(url: string, more: Record<string, string> = {}): DispatcherConfig {
  return dispatcherConfig({
    TRACE_STATE_DATABASE_URL: url,
    TRACE_WORKER_TOKEN_HASHES_FILE: join(folder, "hashes"),
    TRACE_OWNER_TOKEN_SHA256: tokenHash(userToken).toString("hex"),
    TRACE_INSTALLATION: "mine",
    AWS_ACCESS_KEY_ID: "a",
    AWS_SECRET_ACCESS_KEY: "very-secret-key",
    AWS_ENDPOINT_URL_S3: "http://127.0.0.1:1",
    AWS_ENDPOINT_URL_SQS: "http://127.0.0.1:1",
    ...more,
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-dispatcher-"));
  writeFileSync(join(folder, "hashes"), `${tokenHash(workerToken).toString("hex")}\n`);
  home = await freshDatabase();
  const log = createLog({ role: "dispatcher", level: "trace", write: (line) => lines.push(line) });
  dispatcher = new Dispatcher(config(home.url), log);
  await dispatcher.start();
});
afterAll(async () => {
  await dispatcher.stop();
  await dispatcher.stop(); // Twice is as good as once.
  await home.drop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  lines = [];
});

type Port = "user" | "worker" | "task";

async function call(
  port: Port,
  path: string,
  token: string | undefined,
  body?: unknown,
  method = body === undefined ? "GET" : "POST",
) {
  const answer = await fetch(`http://127.0.0.1:${dispatcher.ports[port]}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(text).not.toMatch(/node_modules|\.ts:\d|select .* from|insert into/i);
  return { status: answer.status, text, json: JSON.parse(text) as never };
}

const codeOf = (answer: { text: string }) => problemSchema.parse(JSON.parse(answer.text)).code;

interface Lease {
  task_id: string;
  lease_no: number;
  lease_token: string;
}

async function claimed(): Promise<{ session: string; task: Lease }> {
  await call("user", "/v1/dags", userToken, { file_name: "plain.yaml", source: noopDag });
  await call("user", "/v1/tasks", userToken, { items: [{ dag: "plain", job: "noop" }] });
  const opened = await call("worker", "/v1/sessions", workerToken, { worker: "w", host: "h", pid: 1 });
  const { session_id: session } = opened.json as { session_id: string };
  const answer = await call("worker", "/v1/claims", workerToken, { session_id: session, queue: "default", max: 1 });
  const [task] = (answer.json as { tasks: Lease[] }).tasks;
  if (task === undefined) throw new Error("nothing was claimed");
  return { session, task };
}

describe("tokens", () => {
  test("of each listener open nothing on the others", async () => {
    const { task } = await claimed();
    const doors: [Port, string, string][] = [
      ["user", "/v1/tasks", userToken],
      ["worker", "/v1/claims", workerToken],
      ["task", "/v1/task", task.lease_token],
    ];
    for (const [port, path, right] of doors) {
      for (const [, , token] of doors) {
        const answer = await call(port, path, token, port === "worker" ? { session_id: "x" } : undefined);
        if (token !== right) expect(codeOf(answer)).toBe("TR-1003");
        else expect(answer.status).not.toBe(401);
      }
      for (const none of [undefined, "x", tokenHash(right).toString("hex")]) {
        expect((await call(port, path, none, port === "worker" ? {} : undefined)).status).toBe(401);
      }
    }
  });

  test("of a lease open the task API while it lives, and then say that it is over", async () => {
    const { task } = await claimed();
    const about = await call("task", "/v1/task", task.lease_token);
    expect(about.json).toMatchObject({ task_id: task.task_id, lease_no: task.lease_no });
    expect(about.text).not.toContain(task.lease_token);
    const progress = { message: "half", done: 1, total: 2, unit: "rows" };
    expect((await call("task", "/v1/task/progress", task.lease_token, progress)).status).toBe(200);
    expect((await call("user", `/v1/tasks/${task.task_id}`, userToken)).json).toMatchObject({
      state: "running",
      progress,
    });
    const done = { items: [{ lease_token: task.lease_token, result: { kind: "success" } }] };
    expect((await call("worker", "/v1/completions", workerToken, done)).json).toMatchObject({
      items: [{ accepted: true }],
    });
    expect(codeOf(await call("task", "/v1/task", task.lease_token))).toBe("TR-3001");
    const guess = Buffer.from(task.lease_token, "base64url");
    guess[39] = (guess[39] ?? 0) ^ 1;
    expect(codeOf(await call("task", "/v1/task", guess.toString("base64url")))).toBe("TR-1003");
  });

  test("of workers are rotated by their file, without a restart", async () => {
    const next = newToken("tracew");
    const open = (token: string) => call("worker", "/v1/sessions", token, { worker: "w", host: "h", pid: 1 });
    expect((await open(next)).status).toBe(401);
    const hashes = [next, workerToken].map((token) => tokenHash(token).toString("hex"));
    writeFileSync(join(folder, "hashes"), `${hashes.join("\n")}\n`);
    expect((await open(next)).status).toBe(200);
    expect((await open(workerToken)).status).toBe(200);
    writeFileSync(join(folder, "hashes"), `${hashes[0]}\n`);
    // It is remembered for a moment.
    await expect.poll(async () => (await open(workerToken)).status, { timeout: 10_000 }).toBe(401);
    writeFileSync(join(folder, "hashes"), `${hashes[1]}\n`);
  });

  test("and secrets are in no log line, from start to a failure, whatever is called", async () => {
    const { session, task } = await claimed();
    await call("worker", `/v1/sessions/${session}/heartbeat`, workerToken, { leases: [task.lease_no] });
    await call("worker", "/v1/releases", workerToken, { items: [{ lease_token: task.lease_token }] });
    await call("worker", "/v1/completions", workerToken, {
      items: [{ lease_token: task.lease_token, result: { kind: "x" } }],
    });
    await call("task", "/v1/task", task.lease_token);
    await call("user", "/v1/tasks?cursor=%27", userToken);
    // SQS cannot be reached here, so the outbox has something to say.
    await until(() => Promise.resolve(lines.length > 0)).catch(() => undefined);
    const said = lines.join("");
    for (const secret of [userToken, workerToken, task.lease_token, "very-secret-key", new URL(home.url).password]) {
      if (secret !== "") expect(said).not.toContain(secret);
    }
    const hex = Buffer.from(task.lease_token, "base64url").toString("hex");
    expect(said).not.toContain(hex);
  });
});

describe("hostile input", () => {
  test("in names, cursors and texts is refused or kept as text, and the tables stay", async () => {
    const attack = "x'; drop table tasks; --";
    expect(codeOf(await call("user", `/v1/tasks?cursor=${encodeURIComponent(attack)}`, userToken))).toBe("TR-1002");
    expect(codeOf(await call("user", `/v1/datasets/${encodeURIComponent(attack)}`, userToken))).toBe("TR-1002");
    const items = [{ dag: "plain", job: "noop", dedupe_key: attack, payload: { [attack]: attack } }];
    expect((await call("user", "/v1/tasks", userToken, { items })).json).toMatchObject({ items: [{ created: true }] });
    const opened = await call("worker", "/v1/sessions", workerToken, { worker: attack, host: "a\0b", pid: 1 });
    expect(opened.status).toBe(200);
    const nul = { items: [{ dag: "plain", job: "noop", payload: { a: "\0" } }] };
    expect((await call("user", "/v1/tasks", userToken, nul)).json).toMatchObject({
      items: [{ error: { code: "TR-1002" } }],
    });
    const file = { file_name: "a\0.yaml", source: noopDag.replace("retries: 2", "retries: 1") };
    expect(codeOf(await call("user", "/v1/dags", userToken, file))).toBe("TR-1002");
    expect((await call("user", "/v1/tasks", userToken)).status).toBe(200);
  });

  test("as a number beyond every number is refused", async () => {
    const session = { worker: "w", host: "h", pid: Number.MAX_SAFE_INTEGER };
    expect(codeOf(await call("worker", "/v1/sessions", workerToken, session))).toBe("TR-1002");
  });
});

test("an outbox row that was given up is listed, goes back once, and the log tells who asked", async () => {
  const db = new Database({ url: home.url, name: "test", log: silentLog(), connectionsMax: 1 });
  try {
    await db.raw(`insert into outbox_tries (outbox_id, lane, events, tries, last_error, failed)
      values (900000001, 'events', '[{"type":"task.dead","detail":{}}]', 20, 'MalformedDetail: no', true)`);
    const listed = await call("user", "/v1/outbox/failed?limit=5", userToken);
    expect(listed.json).toMatchObject({
      messages: [{ outbox_id: 900000001, lane: "events", queue: null, entries: 1, event_types: ["task.dead"] }],
      more: false,
    });
    const requeue = () => call("user", "/v1/outbox/requeue", userToken, { outbox_ids: [900000001, 900000002] });
    expect((await requeue()).json).toMatchObject({
      items: [{ accepted: true }, { outbox_id: 900000002, accepted: false, error: { code: "TR-1006" } }],
    });
    expect((await requeue()).json).toMatchObject({ items: [{ accepted: false }, { accepted: false }] });
    expect(await db.raw("select events from outbox where lane = 'events'")).toHaveLength(1);
    const told = lines.filter((line) => line.includes("gave failed outbox rows back"));
    expect(told).toEqual([expect.stringContaining('"outboxIds":[900000001]')]);
    expect(told[0]).toMatch(/"actor":"\w+"/);
    const many = Array.from({ length: 1_001 }, (_, n) => n + 1);
    for (const outbox_ids of [[], [0], ["1"], many]) {
      expect(codeOf(await call("user", "/v1/outbox/requeue", userToken, { outbox_ids }))).toBe("TR-1002");
    }
  } finally {
    await db.stop();
  }
});

describe("an installation", () => {
  test("other than the one that the database belongs to is refused", async () => {
    const other = new Dispatcher(config(home.url, { TRACE_INSTALLATION: "theirs" }), silentLog());
    await expect(other.start()).rejects.toMatchObject({ code: "TR-1014", message: expect.stringContaining("'mine'") });
    await other.stop();
  });

  test("is named by the first of two dispatchers that start at once, and the second one is not refused", async () => {
    const fresh = await freshDatabase();
    const db = new Database({ url: fresh.url, name: "test", log: silentLog() });
    const second = new Dispatcher(config(fresh.url), silentLog());
    const first = await db.session();
    try {
      // The first one is in the middle of naming the database.
      await first.raw("begin");
      await first.raw("insert into installation (name) values ('mine')");
      const started = second.start();
      await until(async () => (await waitingForLocks(db)) > 0);
      await first.raw("commit");
      await started;
      expect(second.ports.user).toBeGreaterThan(0);
    } finally {
      first.release(true);
      await second.stop();
      await db.stop();
      await fresh.drop();
    }
  });
});

test("all its connections killed: it answers again, is ready again, and its loops go on", async () => {
  const { session, task } = await claimed();
  const killer = new Database({ url: home.url, name: "killer", log: silentLog(), connectionsMax: 1 });
  await killer.raw(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  await until(async () => {
    const answer = await call("user", "/v1/tasks", userToken);
    if (answer.status !== 200) expect(codeOf(answer)).toBe("TR-1009");
    return answer.status === 200;
  });
  const ready = await fetch(`http://127.0.0.1:${dispatcher.ports.ops}/readyz`);
  expect(ready.status).toBe(200);
  const reaped = dispatcher.reaper?.passed.next(10_000);
  await call("worker", `/v1/sessions/${session}`, workerToken, undefined, "DELETE");
  await reaped;
  await until(async () => {
    const { json } = await call("user", `/v1/tasks/${task.task_id}`, userToken);
    return (json as { lease_losses: number }).lease_losses === 1;
  });
  await killer.stop();
});
