/**
 * Migrations: plain SQL files applied in order, each in a transaction of its own, by whoever comes first. Forward only.
 *
 * Race-safe: a session-level advisory lock makes concurrent starters take turns; the second finds nothing left to do. A
 * migration that was applied is never edited: its checksum is kept and compared.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import type { Database } from "./database.ts";

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly sha256: string;
}

/** Reads `NNNN_words.sql` from a folder; versions must be 1, 2, 3 ... without a gap. */
export async function loadMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  const migrations: Migration[] = [];
  for (const name of names) {
    const version = Number(name.slice(0, 4));
    if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name) || version !== migrations.length + 1) {
      throw new Error(`migration '${name}' does not follow ${migrations.length}: expected NNNN_words.sql in sequence`);
    }
    const text = await readFile(join(folder, name), "utf8");
    migrations.push({ version, name, text, sha256: createHash("sha256").update(text).digest("hex") });
  }
  return migrations;
}

const lockKey = "hashtext('trace migrations')";

/** Returns the versions that this call applied. */
export async function migrate(db: Database, migrations: readonly Migration[]): Promise<number[]> {
  const session = await db.session();
  let broken = true;
  try {
    await session.raw(`select pg_advisory_lock(${lockKey})`);
    await session.raw(
      `create table if not exists schema_migrations (
         version int primary key, name text not null, sha256 text not null, applied_at timestamptz not null default clock_timestamp())`,
    );
    const rows = (await session.raw("select version, name, sha256 from schema_migrations order by version")) as {
      version: number;
      name: string;
      sha256: string;
    }[];
    check(migrations, rows);
    const applied: number[] = [];
    for (const migration of migrations.slice(rows.length)) {
      await session.raw("begin");
      await session.raw(migration.text);
      await session.raw("insert into schema_migrations (version, name, sha256) values ($1, $2, $3)", [
        migration.version,
        migration.name,
        migration.sha256,
      ]);
      await session.raw("commit");
      applied.push(migration.version);
    }
    await session.raw(`select pg_advisory_unlock(${lockKey})`);
    broken = false;
    return applied;
  } finally {
    // After a failure the connection is destroyed: that rolls back and frees the lock in one go.
    session.release(broken);
  }
}

function check(
  known: readonly Migration[],
  applied: readonly { version: number; name: string; sha256: string }[],
): void {
  if (applied.length > known.length) {
    throw new TraceError("TR-1013", {
      detail: `the database is at migration ${applied.length}, this version of Trace knows ${known.length}`,
      why: "a newer version has run here; going on could misread its rows",
      fix: "start the newer version, or point this one at another database or state folder",
    });
  }
  for (const [index, row] of applied.entries()) {
    const migration = known[index];
    if (migration !== undefined && migration.sha256 !== row.sha256) {
      throw new TraceError("TR-1012", {
        detail: `migration ${row.name} was applied with another text than '${migration.name}' has now`,
        why: "an applied migration is history; editing it makes installations differ without anybody noticing",
        fix: "restore the file and put the change into a new migration",
      });
    }
  }
}
