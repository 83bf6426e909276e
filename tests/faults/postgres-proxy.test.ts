/** The Postgres proxy by the product's own client, in front of a real server: every fault is met, and none unasked. */
import { Database, type Statement, silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { emptyDatabase, type TestDatabase } from "../setup/database.ts";
import { until } from "../system/harness/until.ts";
import { type PostgresFaultKind, postgresFaultKinds } from "./postgres-faults.ts";
import { PostgresProxy } from "./postgres-proxy.ts";
import { ManualTimer } from "./timer.ts";

let database: TestDatabase;
/** Beside the proxy: what the server really has. */
let direct: Database;
let timer: ManualTimer;
let proxy: PostgresProxy;
const opened: Database[] = [];

const quiet = Object.fromEntries(postgresFaultKinds.map((kind) => [kind, 0])) as Record<PostgresFaultKind, number>;
const away = { code: "TR-1009" };

function open(url: string, connectionsMax = 1, password?: string): Database {
  const secret = password === undefined ? {} : { password };
  const db = new Database({ url, name: "faults", connectionsMax, log: silentLog(), ...secret });
  opened.push(db);
  return db;
}

beforeAll(async () => {
  database = await emptyDatabase();
  direct = new Database({ url: database.url, name: "beside", connectionsMax: 2, log: silentLog() });
  await direct.raw("create table marks (mark text not null)");
});
afterAll(async () => {
  await direct.stop();
  await database.drop();
});
beforeEach(async () => {
  await direct.raw("truncate marks");
  timer = new ManualTimer();
  proxy = new PostgresProxy({ target: database.url, seed: 1, timer });
  await proxy.start();
});
afterEach(async () => {
  proxy.calm();
  for (const db of opened.splice(0)) await db.stop();
  await proxy.stop();
});

const marks = async () => (await direct.raw<{ mark: string }>("select mark from marks")).map(({ mark }) => mark);
const mark: Statement<{ mark: string }, { mark: string }> = {
  name: "mark",
  text: "insert into marks values ($1) returning mark",
  params: ["mark"],
};
const commit: Statement<Record<never, never>, never> = { name: "commit", text: "commit", params: [] };

describe("without faults", () => {
  test("a session passes unchanged: its password, its settings, its statements, its errors, much at once", async () => {
    const db = open(proxy.url());
    expect(await db.raw("select current_setting('application_name') as name")).toEqual([{ name: "faults" }]);
    expect(await db.query(mark, { mark: "a" })).toEqual([{ mark: "a" }]);
    expect(await db.query(mark, { mark: "b" })).toEqual([{ mark: "b" }]);
    await db.transaction((tx) => tx.query(mark, { mark: "c" }));
    await expect(db.raw("select 1 from nowhere")).rejects.toThrow('relation "nowhere" does not exist');
    const long = "x".repeat(3_000_000);
    expect(await db.raw("select $1::text as long", [long])).toEqual([{ long }]);
    expect(await marks()).toEqual(["a", "b", "c"]);
    expect(proxy.counts()).toEqual(quiet);
  });

  test("a wrong password is refused by the server, as the right one was not", async () => {
    if (new URL(inject("postgresUrl")).password === "") return; // a server of one's own may trust everybody
    await expect(open(proxy.url(), 1, "wrong").raw("select 1")).rejects.toMatchObject({ code: "28P01" });
  });

  test("many connections at once, and each is gone when its client is", async () => {
    const db = open(proxy.url(), 20);
    await Promise.all(Array.from({ length: 100 }, (_, n) => db.query(mark, { mark: `${n}` })));
    expect(new Set(await marks()).size).toBe(100);
    expect(proxy.open).toBeGreaterThan(1);
    await db.stop();
    await until("no connection is left", () => proxy.open === 0, 5_000);
    expect(proxy.counts()).toEqual(quiet);
  });
});

describe("cuts", () => {
  test.each(["rst", "fin"] as const)(
    "all connections are cut by %s in the middle of a call; new ones work",
    async (how) => {
      const db = open(proxy.url(), 2);
      const holder = await direct.session();
      await holder.raw("begin");
      await holder.raw("lock table marks");
      const calls = ["a", "b"].map((one) => db.query(mark, { mark: one }));
      const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'faults'";
      await until("both wait for the lock", async () => (await direct.raw(waiting)).length === 2, 5_000);
      expect(proxy.cutAll(how)).toBe(2);
      const lost = { status: "rejected", reason: away };
      expect(await Promise.allSettled(calls)).toMatchObject([lost, lost]);
      await holder.raw("rollback");
      holder.release();
      expect(await db.query(mark, { mark: "after" })).toEqual([{ mark: "after" }]);
      expect(proxy.counts()).toEqual({ ...quiet, cut: 2 });
      expect(proxy.open).toBe(1);
    },
  );

  test("one of several is cut, the others stay", async () => {
    const alone = Array.from({ length: 3 }, () => open(proxy.url()));
    const pid = async (db: Database) => (await db.raw("select pg_backend_pid() as pid"))[0]?.pid;
    const before = await Promise.all(alone.map(pid));
    expect(proxy.cutOne()).toBe(true);
    await until("its client has seen it", () => proxy.open === 2, 5_000);
    const gone = "select 1 from pg_stat_activity where application_name = 'faults'";
    await until("the server has seen it", async () => (await direct.raw(gone)).length === 2, 5_000);
    const after = await Promise.all(alone.map((db) => pid(db).catch(() => "cut")));
    expect(after.filter((one, at) => one !== before[at])).toHaveLength(1);
    expect(proxy.counts()).toEqual({ ...quiet, cut: 1 });
  });

  test("nothing to cut is told", () => {
    expect([proxy.cutAll(), proxy.cutOne(), proxy.counts()]).toEqual([0, false, quiet]);
  });
});

describe("cuts of a commit", () => {
  const inTransaction = (db: Database) => db.transaction((tx) => tx.query(mark, { mark: "m" }));

  test("before: the client is told of a lost connection, and nothing was committed", async () => {
    proxy.set({ cutBeforeCommit: 1 });
    await expect(inTransaction(open(proxy.url()))).rejects.toMatchObject(away);
    const busy = "select 1 from pg_stat_activity where application_name = 'faults'";
    await until("the server has given it up", async () => (await direct.raw(busy)).length === 0, 5_000);
    expect([await marks(), proxy.counts()]).toEqual([[], { ...quiet, cutBeforeCommit: 1 }]);
  });

  test("during: the client is told of a lost connection, and the commit comes through", async () => {
    proxy.set({ cutDuringCommit: 1 });
    await expect(inTransaction(open(proxy.url()))).rejects.toMatchObject(away);
    await until("it is committed", async () => (await marks()).length === 1, 5_000);
    expect(proxy.counts()).toEqual({ ...quiet, cutDuringCommit: 1 });
    proxy.calm();
    const busy = "select 1 from pg_stat_activity where application_name = 'faults'";
    await until("nothing is left of it", async () => (await direct.raw(busy)).length === 0, 5_000);
  });

  test("after: the client is told of a lost connection, and it was committed by then", async () => {
    proxy.set({ cutAfterCommit: 1 });
    await expect(inTransaction(open(proxy.url()))).rejects.toMatchObject(away);
    expect([await marks(), proxy.counts()]).toEqual([["m"], { ...quiet, cutAfterCommit: 1 }]);
  });

  test("a prepared commit is seen, also when only its name is sent", async () => {
    const session = await open(proxy.url()).session();
    for (const one of ["first", "second"]) {
      await session.raw("begin");
      await session.db.query(mark, { mark: one });
      if (one === "second") proxy.set({ cutAfterCommit: 1 });
      const committed = session.db.query(commit, {});
      if (one === "first") await committed;
      else await expect(committed).rejects.toMatchObject(away);
    }
    session.release(true);
    expect([await marks(), proxy.counts().cutAfterCommit]).toEqual([["first", "second"], 1]);
  });

  test("a text that begins and commits is a commit; a commit of nothing is one; words in quotes are none", async () => {
    const db = open(proxy.url());
    proxy.set({ cutAfterCommit: 1 });
    await db.raw("select 'commit' as word");
    await expect(db.raw("begin; insert into marks values ('text'); commit")).rejects.toMatchObject(away);
    await expect(db.raw("commit")).rejects.toMatchObject(away);
    expect([await marks(), proxy.counts()]).toEqual([["text"], { ...quiet, cutAfterCommit: 2 }]);
  });

  test("statements of a transaction and those that control it are not cut as commits", async () => {
    proxy.set({ cutAfterStatement: 1 });
    const session = await open(proxy.url()).session();
    for (const sql of ["begin", "set local work_mem = '1MB'", "savepoint s"]) await session.raw(sql);
    await session.db.query(mark, { mark: "kept" });
    await session.raw("commit");
    session.release(true);
    expect([await marks(), proxy.counts()]).toEqual([["kept"], quiet]);
  });
});

describe("cuts of a statement that commits by itself", () => {
  test.each([
    ["named", (db: Database) => db.query(mark, { mark: "m" })],
    ["with parameters", (db: Database) => db.raw("insert into marks values ($1)", ["m"])],
    ["plain", (db: Database) => db.raw("insert into marks values ('m')")],
  ] as const)("%s: not done, done soon, or done already", async (_, run) => {
    const db = open(proxy.url());
    proxy.set({ cutBeforeStatement: 1 });
    await expect(run(db)).rejects.toMatchObject(away);
    expect(await marks()).toEqual([]);
    proxy.set({ cutBeforeStatement: 0, cutAfterStatement: 1 });
    await expect(run(db)).rejects.toMatchObject(away);
    expect(await marks()).toEqual(["m"]);
    proxy.set({ cutAfterStatement: 0, cutDuringStatement: 1 });
    await expect(run(db)).rejects.toMatchObject(away);
    await until("it is done", async () => (await marks()).length === 2, 5_000);
    const counts = { ...quiet, cutBeforeStatement: 1, cutAfterStatement: 1, cutDuringStatement: 1 };
    expect(proxy.counts()).toEqual(counts);
  });

  test("with a probability some are cut: each is told as lost, and what was told as done is there", async () => {
    const db = open(proxy.url(), 4);
    proxy.set({ cutBeforeStatement: 0.1, cutDuringStatement: 0.1, cutAfterStatement: 0.1 });
    const told = { done: [] as string[], lost: 0 };
    const work = async (worker: number) => {
      for (let n = 0; n < 25; n += 1) {
        try {
          told.done.push(...(await db.query(mark, { mark: `${worker}.${n}` })).map((row) => row.mark));
        } catch (error) {
          expect(error).toMatchObject(away);
          told.lost += 1;
        }
      }
    };
    await Promise.all([0, 1, 2, 3].map(work));
    const { cutBeforeStatement, cutDuringStatement, cutAfterStatement } = proxy.counts();
    for (const count of [cutBeforeStatement, cutDuringStatement, cutAfterStatement]) expect(count).toBeGreaterThan(0);
    expect(told.lost).toBe(cutBeforeStatement + cutDuringStatement + cutAfterStatement);
    const there = told.done.length + cutDuringStatement + cutAfterStatement;
    await until("what was under way is done", async () => (await marks()).length === there, 5_000);
    expect(await marks()).toEqual(expect.arrayContaining(told.done));
  });
});

describe("refusals and black holes", () => {
  test.each([
    ["reset", "ECONNRESET"],
    ["startingUp", "the database system is starting up"],
  ] as const)("for a window new connections are refused by '%s'; those that are there stay", async (how, text) => {
    const [there, later] = [open(proxy.url()), open(proxy.url())];
    await there.raw("select 1");
    proxy.set({ refuseHow: [how] });
    proxy.refuseUntil(1_000);
    await expect(later.raw("select 1")).rejects.toMatchObject({ ...away, message: expect.stringContaining(text) });
    await there.raw("select 1");
    timer.advance(999);
    await expect(later.raw("select 1")).rejects.toMatchObject(away);
    timer.advance(1);
    await later.raw("select 1");
    expect(proxy.counts()).toEqual({ ...quiet, refuse: 2 });
  });

  test("a black hole: no connection gets an answer, old or new, until it ends; then all do", async () => {
    const [there, later] = [open(proxy.url()), open(proxy.url())];
    await there.raw("select 1");
    const stalled = proxy.performed.next(5_000, () => proxy.counts().blackHole === 2);
    proxy.blackHoleUntil(1_000);
    const answered: string[] = [];
    const calls = [there, later].map((db, at) => db.query(mark, { mark: `${at}` }).then(() => answered.push(`${at}`)));
    await stalled;
    timer.advance(999);
    for (let n = 0; n < 10; n += 1) expect(await marks()).toEqual([]);
    expect(answered).toEqual([]);
    timer.advance(1);
    await Promise.all(calls);
    expect((await marks()).toSorted()).toEqual(["0", "1"]);
    expect(proxy.counts()).toEqual({ ...quiet, blackHole: 2 });
  });

  test("what a client sent into a black hole arrives later, although the client has given up", async () => {
    const session = await open(proxy.url()).session();
    proxy.blackHoleUntil(Number.POSITIVE_INFINITY);
    const call = session.db.query(mark, { mark: "late" });
    session.release(true);
    await expect(call).rejects.toThrow();
    expect(await marks()).toEqual([]);
    proxy.calm();
    await until("it arrived", async () => (await marks()).includes("late"), 5_000);
  });
});

describe("the way is long", () => {
  test.each([
    ["toServerDelayMs", "delayToServer"],
    ["toClientDelayMs", "delayToClient"],
  ] as const)("%s: a call is answered when its time has come", async (setting, kind) => {
    const db = open(proxy.url());
    await db.raw("select 1");
    proxy.set({ [setting]: 40 });
    const held = proxy.performed.next(5_000, (one) => one === kind);
    let answered = false;
    const call = db.raw("insert into marks values ('m')").then(() => {
      answered = true;
    });
    await held;
    timer.advance(39);
    await direct.raw("select 1");
    expect(answered).toBe(false);
    expect(await marks()).toEqual(kind === "delayToServer" ? [] : ["m"]);
    timer.advance(1);
    await call;
    expect(proxy.counts()).toEqual({ ...quiet, [kind]: 1 });
  });
});

test("settings that contradict themselves are refused and change nothing", async () => {
  expect(() => proxy.set({ cutAfterCommit: 2 })).toThrow("'cutAfterCommit' must be a probability");
  expect(() => proxy.set({ cutBeforeCommit: 0.6, cutAfterCommit: 0.6 })).toThrow("a commit is cut at one point");
  expect(() => proxy.set({ toServerDelayMs: -1 })).toThrow("'toServerDelayMs'");
  expect(() => proxy.set({ refuseHow: [] })).toThrow("no way to refuse");
  await open(proxy.url()).transaction((tx) => tx.query(mark, { mark: "unharmed" }));
  expect(await marks()).toEqual(["unharmed"]);
});
