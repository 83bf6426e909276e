/**
 * A reader of datasets that owes nothing to the stack but the list of files: it fetches each by its link, checks size and
 * checksum, and reads it with a DuckDB of its own.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import type { ResolvedDataset, ResolvedFile } from "@trace/contracts";
import type { Access } from "./access.ts";

export type Row = Record<string, unknown>;

export async function resolve(access: Access, name: string): Promise<ResolvedDataset> {
  const { datasets } = await access.user.resolveDatasets({ body: { names: [name], presign: true } });
  const [found] = datasets;
  if (found === undefined) throw new Error(`'${name}' was not resolved`);
  return found;
}

/** The bytes behind a link. Throws when they are not those that the registry promised. */
export async function fetchFile(file: ResolvedFile): Promise<Buffer> {
  const answer = await fetch(file.url ?? "");
  if (!answer.ok) throw new Error(`${file.key} answered ${answer.status}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (bytes.length !== file.bytes || sha256 !== file.sha256) throw new Error(`${file.key} is not what was committed`);
  return bytes;
}

/** Rows of SQL over the view `data`, which holds the files' rows; dates and numbers as DuckDB's JSON writes them. */
export async function readFiles(files: readonly ResolvedFile[], sql: string): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "trace-system-read-"));
  const duck = await DuckDBInstance.create(":memory:");
  const connection = await duck.connect();
  try {
    const paths: string[] = [];
    for (const [index, file] of files.entries()) {
      const path = join(folder, `${index}.parquet`);
      writeFileSync(path, await fetchFile(file));
      paths.push(`'${path}'`);
    }
    await connection.run("set timezone = 'UTC'");
    await connection.run(`create view data as select * from read_parquet([${paths.join(", ")}])`);
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[];
  } finally {
    connection.closeSync();
    duck.closeSync();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A Parquet file of the rows of a SELECT. */
export async function makeParquet(select: string): Promise<{ bytes: Buffer; rows: number }> {
  const folder = mkdtempSync(join(tmpdir(), "trace-system-write-"));
  const duck = await DuckDBInstance.create(":memory:");
  const connection = await duck.connect();
  try {
    const path = join(folder, "made.parquet");
    await connection.run(`copy (${select}) to '${path}' (format parquet)`);
    const [row] = (await connection.runAndReadAll(`select count(*)::int as rows from '${path}'`)).getRowObjectsJson();
    const { readFileSync } = await import("node:fs");
    return { bytes: readFileSync(path), rows: Number(row?.rows) };
  } finally {
    connection.closeSync();
    duck.closeSync();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Asks again and again what a dataset holds, and keeps every answer: whatever was visible for a moment is in it. */
export class Watcher {
  readonly seen = new Map<number, Set<string>>();
  readonly #access: Access;
  readonly #name: string;
  #running = true;
  #looks = 0;
  readonly #done: Promise<void>;

  constructor(access: Access, name: string) {
    this.#access = access;
    this.#name = name;
    this.#done = this.#watch();
  }

  get looks(): number {
    return this.#looks;
  }

  /** Every key that was ever in an answer. */
  get keys(): string[] {
    return [...this.seen.values()].flatMap((files) => [...files].flatMap((list) => list.split("\n")));
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #watch(): Promise<void> {
    while (this.#running) {
      try {
        const { commit, files } = await resolve(this.#access, this.#name);
        const lists = this.seen.get(commit) ?? new Set();
        lists.add(files.map(({ key }) => key).join("\n"));
        this.seen.set(commit, lists);
        this.#looks += 1;
      } catch {
        // The dispatcher is down in some tests: a reader then sees nothing, which is no wrong answer.
      }
      await pause(20);
    }
  }
}
