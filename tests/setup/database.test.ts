import { Database, silentLog } from "@trace/kit";
import { afterEach, expect, test } from "vitest";
import { emptyDatabase, freshDatabase, type TestDatabase } from "./database.ts";

const made: TestDatabase[] = [];
const open: Database[] = [];

function connect(database: TestDatabase): Database {
  made.push(database);
  const db = new Database({ url: database.url, name: "test", connectionsMax: 1, log: silentLog() });
  open.push(db);
  return db;
}

afterEach(async () => {
  for (const db of open.splice(0)) await db.stop();
  for (const database of made.splice(0)) await database.drop();
});

test("two fresh databases made at the same time share the schema and no rows", async () => {
  const [first, second] = (await Promise.all([freshDatabase(), freshDatabase()])).map(connect) as [Database, Database];
  await first.raw("insert into orgs (name) values ('other')");
  expect(await first.raw("select name from orgs order by name")).toEqual([{ name: "main" }, { name: "other" }]);
  expect(await second.raw("select name from orgs")).toEqual([{ name: "main" }]);
});

test("an empty database has no table of ours", async () => {
  const db = connect(await emptyDatabase());
  await expect(db.raw("select 1 from orgs")).rejects.toThrow(/relation "orgs" does not exist/);
});

test("a dropped database cannot be reached, although somebody was connected to it", async () => {
  const database = await freshDatabase();
  const db = connect(database);
  await db.raw("select 1");
  await database.drop();
  await expect(db.raw("select 1")).rejects.toThrow();
});
