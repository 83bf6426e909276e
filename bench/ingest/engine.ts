/**
 * The peer: DuckDB alone, in a process of its own, with the same threads, doing the same read and the same write. No child, no
 * gate, no store, no checksum, no commit.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { DuckDBInstance } from "@duckdb/node-api";
import { Parent } from "../harness/child.ts";
import { machineMs } from "../harness/clock.ts";
import { threads } from "./limits.ts";
import type { FromEngine, ToEngine } from "./messages.ts";
import { monthColumn, splitSql } from "./work.ts";

const text = (value: string) => `'${value.replaceAll("'", "''")}'`;

/** With the engine opened and closed in the time that counts, as ours is. */
async function withEngine<R>(work: (run: (sql: string) => Promise<number>) => Promise<R>): Promise<R> {
  const instance = await DuckDBInstance.create(":memory:", { threads: String(threads) });
  const connection = await instance.connect();
  try {
    return await work(async (sql) => {
      const reader = await connection.runAndReadAll(sql);
      return Number(reader.getRows()[0]?.[0] ?? 0);
    });
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function split(source: string, folder: string): Promise<{ ms: number; rows: number; files: number }> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const startedMs = machineMs();
  const rows = await withEngine((run) =>
    run(
      `COPY (${splitSql(`read_parquet(${text(source)})`)}) TO ${text(folder)}
         (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (${monthColumn}), WRITE_PARTITION_COLUMNS, OVERWRITE_OR_IGNORE)`,
    ),
  );
  const ms = machineMs() - startedMs;
  const files = readdirSync(folder, { recursive: true }).filter((name) => String(name).endsWith(".parquet")).length;
  return { ms, rows, files };
}

async function make(message: Extract<ToEngine, { kind: "make" }>): Promise<number> {
  const { source, copies, rows, target } = message;
  const one = `SELECT * FROM read_parquet(${text(source)})${rows === null ? "" : ` LIMIT ${rows}`}`;
  const all = Array.from({ length: copies }, () => `(${one})`).join(" UNION ALL ");
  return withEngine((run) => run(`COPY (${all}) TO ${text(target)} (FORMAT parquet, COMPRESSION zstd)`));
}

const parent = new Parent<ToEngine, FromEngine>(async (message) => {
  if (message.kind === "split") parent.say({ kind: "split", ...(await split(message.source, message.folder)) });
  else parent.say({ kind: "made", rows: await make(message) });
});
parent.say({ kind: "ready" });
