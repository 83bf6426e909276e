/** The pool: what is unavailable is told apart from what is wrong, and nothing that Postgres does ends the process. */
import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, type TestDatabase } from "../../../../tests/setup/database.ts";
import { silentLog } from "../log.ts";
import { Database, isUnavailable, type Statement } from "./database.ts";

let home: TestDatabase;
let db: Database;

beforeAll(async () => {
  home = await emptyDatabase();
  db = new Database({ url: home.url, name: "kit test", log: silentLog(), connectionsMax: 4 });
  await db.start();
  await db.raw("create table t (id int primary key, n int not null default 0, j json)");
});
afterAll(async () => {
  await db.stop();
  await home.drop();
});

const echo: Statement<{ value: unknown }, { value: unknown }> = {
  name: "echo",
  params: ["value"],
  text: "select $1::text as value",
};
const sleep: Statement<{ s: number }, object> = { name: "sleep", params: ["s"], text: "select pg_sleep($1)" };
const keep: Statement<{ j: string }, object> = {
  name: "keep",
  params: ["j"],
  text: "insert into t (id, j) select 99, x.j from json_to_recordset($1::json) as x (j json)",
};

test("a statement is bound by name, and its values are never SQL", async () => {
  const value = "'; drop table t; --";
  expect(await db.query(echo, { value })).toEqual([{ value }]);
  expect(await db.raw("select count(*)::int as n from t")).toEqual([{ n: 0 }]);
});

test("a 64-bit number is a number, and one beyond 2^53 throws instead of lying", async () => {
  expect(await db.raw("select 9007199254740991::bigint as n")).toEqual([{ n: Number.MAX_SAFE_INTEGER }]);
  await expect(db.raw("select 9007199254740993::bigint as n")).rejects.toThrow(/9007199254740993/);
});

test("an array of 64-bit numbers holds numbers, and throws as one of them alone would", async () => {
  expect(await db.raw("select array[1, -2, null]::bigint[] as n, '{}'::bigint[] as none")).toEqual([
    { n: [1, -2, null], none: [] },
  ]);
  await expect(db.raw("select array[1, 9007199254740993]::bigint[] as n")).rejects.toThrow(/9007199254740993/);
});

test("settings reach every connection, blanks and all", async () => {
  const set = new Database({
    url: home.url,
    name: "kit",
    log: silentLog(),
    settings: { enable_seqscan: "off", search_path: "public, pg_catalog" },
  });
  const [row] = await set.raw("select current_setting('enable_seqscan') as a, current_setting('search_path') as b");
  expect(row).toEqual({ a: "off", b: "public, pg_catalog" });
  await set.stop();
});

describe("what Postgres cannot keep", () => {
  test.each([
    ["NUL in a text", () => db.query(echo, { value: "a\0b" })],
    ["NUL in JSON", () => db.query(keep, { j: '[{"j":{"a":"\\u0000"}}]' })],
    ["a number beyond its type", () => db.raw("select $1::bigint::int", ["9999999999"])],
  ])("%s is TR-1002, not a fault of ours, and tells no SQL", async (_, call) => {
    const error = await call().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "TR-1002" });
    expect((error as TraceError).message).not.toMatch(/select|insert/);
  });
});

describe("a connection that Postgres ends", () => {
  const killOthers = (name: string) =>
    db.raw(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()",
      [name],
    );

  async function victim(use: (victim: Database) => Promise<void>): Promise<void> {
    const one = new Database({ url: home.url, name: "victim", log: silentLog(), connectionsMax: 2 });
    try {
      await use(one);
    } finally {
      await one.stop();
    }
  }

  async function running(state: string): Promise<void> {
    const sql = `select 1 from pg_stat_activity where application_name = 'victim' and ${state}`;
    while ((await db.raw(sql)).length === 0);
  }

  test("under a statement makes it TR-1009, and the next one works", () =>
    victim(async (one) => {
      const call = one.query(sleep, { s: 30 });
      call.catch(() => undefined); // Awaited below.
      await running("wait_event = 'PgSleep'");
      await killOthers("victim");
      await expect(call).rejects.toMatchObject({ code: "TR-1009" });
      expect(await one.query(echo, { value: "x" })).toEqual([{ value: "x" }]);
    }));

  test("within a transaction makes it TR-1009 and leaves nothing of it", () =>
    victim(async (one) => {
      const call = one.transaction(async (tx) => {
        await tx.query({ name: "add", params: [], text: "insert into t values (1)" }, {});
        await killOthers("victim");
        await tx.query(echo, { value: "x" });
      });
      await expect(call).rejects.toMatchObject({ code: "TR-1009" });
      expect(await one.raw("select count(*)::int as n from t")).toEqual([{ n: 0 }]);
    }));

  test("at its commit, after all statements, makes it TR-1009", () =>
    victim(async (one) => {
      const call = one.transaction(async (tx) => {
        await tx.query(echo, { value: "x" });
        await killOthers("victim");
      });
      await expect(call).rejects.toMatchObject({ code: "TR-1009" });
    }));

  test("while it idles in the pool is replaced", () =>
    victim(async (one) => {
      await one.raw("select 1");
      await killOthers("victim");
      while ((await db.raw("select 1 from pg_stat_activity where application_name = 'victim'")).length > 0);
      const again = await one.raw("select 1 as n").catch(() => one.raw("select 1 as n"));
      expect(again).toEqual([{ n: 1 }]);
    }));

  test("held as a session says so at the next use", () =>
    victim(async (one) => {
      const session = await one.session();
      await session.raw("select 1");
      await killOthers("victim");
      await expect(session.raw("select 1")).rejects.toMatchObject({ code: "TR-1009" });
      session.release(true);
    }));
});

test("nobody there, or a database that is not there, are told apart", async () => {
  const nobody = new Database({ url: "postgres://x@127.0.0.1:1/x", name: "kit", log: silentLog() });
  await expect(nobody.start()).rejects.toMatchObject({ code: "TR-1009" });
  await expect(nobody.transaction(() => Promise.resolve())).rejects.toMatchObject({ code: "TR-1009" });
  await nobody.stop();
});

test("after stop, which may be called twice, a call is TR-1009 and not a hang", async () => {
  const one = new Database({ url: home.url, name: "kit", log: silentLog() });
  await one.raw("select 1");
  await one.stop();
  await one.stop();
  await expect(one.raw("select 1")).rejects.toMatchObject({ code: "TR-1009" });
});

test("an error of the work rolls back, is passed on as it is, and the connection is used again", async () => {
  const call = db.transaction(async (tx) => {
    await tx.query({ name: "add2", params: [], text: "insert into t values (2)" }, {});
    throw new TraceError("TR-3010", { detail: "no" });
  });
  await expect(call).rejects.toMatchObject({ code: "TR-3010" });
  expect(await db.raw("select count(*)::int as n from t")).toEqual([{ n: 0 }]);
});

test("a serialization victim is run again, five times at most", async () => {
  let tries = 0;
  const failing = (state: string) =>
    db.transaction(async () => {
      tries += 1;
      throw Object.assign(new Error("victim"), { code: state });
    });
  await expect(failing("40001")).rejects.toThrow("victim");
  expect(tries).toBe(5);
  tries = 0;
  await expect(failing("23505")).rejects.toThrow("victim");
  expect(tries).toBe(1);
});

test("what is unavailable is decided by state, not by wording", () => {
  const error = (code: string) => Object.assign(new Error("x"), { code });
  for (const code of ["57P01", "57P02", "57P03", "08006", "53300", "25P03", "ECONNREFUSED", "EPIPE"]) {
    expect(isUnavailable(error(code)), code).toBe(true);
  }
  for (const code of ["23505", "42P01", "40001", "57014", "22P02"])
    expect(isUnavailable(error(code)), code).toBe(false);
  expect(isUnavailable(new Error("Connection terminated unexpectedly"))).toBe(true);
  expect(isUnavailable(new Error("a text about a Connection terminated"))).toBe(false);
});
