import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { emptyDatabase, type TestDatabase } from "../../../../tests/setup/database.ts";
import { silentLog } from "../log.ts";
import { Database } from "./database.ts";
import { loadMigrations, type Migration, migrate } from "./migrate.ts";

let home: TestDatabase;
let db: Database;

beforeEach(async () => {
  home = await emptyDatabase();
  db = new Database({ url: home.url, name: "kit test", log: silentLog() });
});
afterEach(async () => {
  await db.stop();
  await home.drop();
});

function migrations(...texts: string[]): Migration[] {
  return texts.map((text, index) => ({
    version: index + 1,
    name: `000${index + 1}_x.sql`,
    text,
    sha256: createHash("sha256").update(text).digest("hex"),
  }));
}

const first = "create table a (n int); insert into a values (1)";
const second = "insert into a values (2)";

test("migrations are applied once, in order, and later ones on top", async () => {
  expect(await migrate(db, migrations(first))).toEqual([1]);
  expect(await migrate(db, migrations(first))).toEqual([]);
  expect(await migrate(db, migrations(first, second))).toEqual([2]);
  expect(await db.raw("select n from a order by n")).toEqual([{ n: 1 }, { n: 2 }]);
});

test("many migrators at once apply each migration once", async () => {
  const others = Array.from({ length: 5 }, () => new Database({ url: home.url, name: "kit", log: silentLog() }));
  const applied = await Promise.all(others.map((one) => migrate(one, migrations(first, second))));
  expect(applied.flat()).toEqual([1, 2]);
  expect(await db.raw("select count(*)::int as n from a")).toEqual([{ n: 2 }]);
  for (const one of others) await one.stop();
});

test("one that fails leaves nothing of itself, keeps those before it, and frees the lock", async () => {
  const broken = "create table b (n int); insert into nowhere values (1)";
  await expect(migrate(db, migrations(first, broken))).rejects.toMatchObject({ code: "42P01" });
  expect(await db.raw("select to_regclass('b') as b, to_regclass('a')::text as a")).toEqual([{ b: null, a: "a" }]);
  expect(await migrate(db, migrations(first, second))).toEqual([2]);
});

test("one that was edited after it was applied is refused by name, and nothing is applied", async () => {
  await migrate(db, migrations(first));
  const edited = migrate(db, migrations(`${first} `, second));
  await expect(edited).rejects.toMatchObject({ code: "TR-1012", message: expect.stringContaining("0001_x.sql") });
  expect(await db.raw("select count(*)::int as n from a")).toEqual([{ n: 1 }]);
});

test("a database of a newer version is refused", async () => {
  await migrate(db, migrations(first, second));
  await expect(migrate(db, migrations(first))).rejects.toMatchObject({ code: "TR-1013" });
});

test("files are read in sequence, and a gap or a strange name is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "trace-migrations-"));
  try {
    writeFileSync(join(folder, "0001_one.sql"), first);
    writeFileSync(join(folder, "notes.txt"), "");
    expect((await loadMigrations(folder)).map((one) => [one.version, one.name])).toEqual([[1, "0001_one.sql"]]);
    writeFileSync(join(folder, "0003_three.sql"), second);
    await expect(loadMigrations(folder)).rejects.toThrow("0003_three.sql");
    rmSync(join(folder, "0003_three.sql"));
    writeFileSync(join(folder, "0002-two.sql"), second);
    await expect(loadMigrations(folder)).rejects.toThrow("0002-two.sql");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
