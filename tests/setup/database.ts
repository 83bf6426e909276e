/**
 * A database of one's own for a test: a clone of a template that holds the migrated schema. The template is named by the
 * migrations' text, made once by whichever test comes first, and cloned in some 50 ms.
 */
import { createHash, randomBytes } from "node:crypto";
import { Database, loadMigrations, type Migration, migrate, silentLog } from "@trace/kit";
import { inject } from "vitest";

export interface TestDatabase {
  readonly url: string;
  /** Drops it, cutting the connections that are left. */
  drop(): Promise<void>;
}

/** Migrations of the state database. */
export const stateMigrationsFolder = `${import.meta.dirname}/../../packages/dispatcher/src/migrations`;

const templateLock = "select pg_advisory_lock(hashtext('trace test template'))";

/** A migrated state database that nobody else uses. Drop it when the test is over. */
export async function freshDatabase(): Promise<TestDatabase> {
  return clone(inject("postgresUrl"), await template(inject("postgresUrl")));
}

/** A database without anything in it: for tests of migrations. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return clone(inject("postgresUrl"), "template0");
}

async function clone(adminUrl: string, from: string): Promise<TestDatabase> {
  const name = `trace_test_${randomBytes(8).toString("hex")}`;
  await withDatabase(adminUrl, (admin) => admin.raw(`create database ${name} template ${from}`));
  return {
    url: databaseUrl(adminUrl, name),
    drop: async () => {
      await withDatabase(adminUrl, (admin) => admin.raw(`drop database if exists ${name} with (force)`));
    },
  };
}

/**
 * Race-safe between workers: one holds the lock and makes it under another name, so that a template with its final name
 * is a whole one; the others find it. Old ones on a server that outlives the run are left: their text is another.
 */
async function template(adminUrl: string): Promise<string> {
  const migrations = await loadMigrations(stateMigrationsFolder);
  const hash = createHash("sha256").update(migrations.map((migration) => migration.sha256).join());
  const name = `trace_template_${hash.digest("hex").slice(0, 16)}`;
  await withDatabase(adminUrl, async (admin) => {
    const session = await admin.session();
    try {
      await session.raw(templateLock);
      const found = await session.raw("select 1 from pg_database where datname = $1", [name]);
      if (found.length === 0) await makeTemplate(adminUrl, session.raw, name, migrations);
    } finally {
      session.release(true); // ends the session, and with it the lock
    }
  });
  return name;
}

async function makeTemplate(
  adminUrl: string,
  raw: (text: string) => Promise<unknown>,
  name: string,
  migrations: readonly Migration[],
): Promise<void> {
  await raw(`drop database if exists ${name}_new with (force)`);
  await raw(`create database ${name}_new template template0`);
  await withDatabase(databaseUrl(adminUrl, `${name}_new`), (db) => migrate(db, migrations));
  await raw(`alter database ${name}_new rename to ${name}`);
}

async function withDatabase<R>(url: string, use: (db: Database) => Promise<R>): Promise<R> {
  const db = new Database({ url, name: "tests", connectionsMax: 1, log: silentLog() });
  try {
    return await use(db);
  } finally {
    await db.stop();
  }
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}
