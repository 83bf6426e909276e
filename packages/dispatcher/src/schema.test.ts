/** schema.sql and the sum of the migrations come to the same database, seen through Postgres' own catalogs. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Database, silentLog } from "@trace/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyDatabase, freshDatabase, type TestDatabase } from "../../../tests/setup/database.ts";

/** Each query gives one line of text per thing. `schema_migrations` is the runner's own and no part of the schema. */
const catalogs: Readonly<Record<string, string>> = {
  relations: `
    select format('%s %s %s', c.relkind, c.relname, coalesce(c.reloptions::text, '')) as line
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'm', 'S', 'p') and c.relname not like 'schema_migrations%'`,
  columns: `
    select format('%s.%s %s %s not null %s identity [%s] generated [%s] default %s collation %s',
                  c.relname, row_number() over (partition by c.oid order by a.attnum), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                  pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation) as line
      from pg_attribute a join pg_class c on c.oid = a.attrelid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'm', 'p') and a.attnum > 0 and not a.attisdropped and c.relname <> 'schema_migrations'`,
  constraints: `
    select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as line
      from pg_constraint where connamespace = 'public'::regnamespace and conrelid::regclass::text <> 'schema_migrations'`,
  indexes: `
    select indexdef as line from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'`,
  sequences: `
    select format('%s %s start %s min %s max %s step %s cycle %s cache %s',
                  sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size) as line
      from pg_sequences where schemaname = 'public'`,
  views: `
    select format('%s %s', viewname, definition) as line from pg_views where schemaname = 'public'`,
  functions: `
    select pg_get_functiondef(oid) as line from pg_proc where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')`,
  triggers: `
    select pg_get_triggerdef(oid) as line from pg_trigger where not tgisinternal`,
  types: `
    select format('%s %s', t.typname, (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = t.oid)) as line
      from pg_type t where t.typnamespace = 'public'::regnamespace and t.typtype in ('e', 'd', 'r')`,
  "first rows": `
    select format('org %s', name) as line from orgs
    union all select format('queue %s of %s', q.name, o.name) from queues q join orgs o using (org_id)`,
};

const made: TestDatabase[] = [];
const open: Database[] = [];

function connect(database: TestDatabase): Database {
  made.push(database);
  const db = new Database({ url: database.url, name: "schema test", connectionsMax: 1, log: silentLog() });
  open.push(db);
  return db;
}

async function linesOf(db: Database, catalog: string): Promise<string[]> {
  const rows = await db.raw<{ line: string }>(catalogs[catalog] ?? "");
  return rows.map((row) => row.line).sort();
}

afterAll(async () => {
  for (const db of open.splice(0)) await db.stop();
  for (const database of made.splice(0)) await database.drop();
});

describe("schema.sql", () => {
  let migrated: Database;
  let written: Database;

  beforeAll(async () => {
    migrated = connect(await freshDatabase());
    written = connect(await emptyDatabase());
    await written.raw(await readFile(join(import.meta.dirname, "schema.sql"), "utf8"));
  });

  test.each(Object.keys(catalogs))("has the same %s as the migrations", async (catalog) => {
    expect(await linesOf(written, catalog)).toEqual(await linesOf(migrated, catalog));
  });

  test("is compared by what is there: tables, columns, constraints, indexes, sequences, views and rows are found", async () => {
    for (const catalog of ["relations", "columns", "constraints", "indexes", "sequences", "views", "first rows"]) {
      expect(await linesOf(migrated, catalog), catalog).not.toEqual([]);
    }
  });

  test.each([
    ["relations", "alter table ready set (fillfactor = 71)"],
    ["columns", "alter table tasks alter column priority set default 3"],
    ["constraints", "alter table tasks add constraint x check (priority < 1000)"],
    ["indexes", "create index x on tasks (priority)"],
    ["sequences", "alter sequence lease_numbers increment by 2"],
    ["first rows", "insert into orgs (name) values ('second')"],
  ])("a difference in %s would be seen: %s", async (catalog, change) => {
    const db = connect(await freshDatabase());
    await db.raw(change);
    expect(await linesOf(db, catalog)).not.toEqual(await linesOf(migrated, catalog));
  });
});
