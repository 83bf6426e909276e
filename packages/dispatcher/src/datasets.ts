/** Looking at the registry: what datasets hold at their heads, how they came to it, and what they lack. */
import {
  type Commit,
  commitSchema,
  type Dataset,
  datasetSchema,
  type HistoryCommit,
  historyCommitSchema,
  type Partition,
  TraceError,
} from "@trace/contracts";
import type { Database } from "@trace/kit";
import { commitsShownMax } from "./limits.ts";
import { missingPartitions, producerOfRow } from "./partitions.ts";
import { noDataset, noGeneration } from "./resolve.ts";
import {
  type CommitsPageRow,
  commitsPage,
  countPartitions,
  findGeneration,
  type ListDatasetsRow,
  listDatasets,
  partitionsPage,
  producerOf,
} from "./sql/statements.gen.ts";

export interface PageQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface PartitionsAnswer {
  readonly dataset: string;
  readonly generation: number;
  readonly commit: number;
  readonly partitions: Partition[];
  readonly partitions_total: number;
  readonly missing: string[];
  readonly next: string | null;
}

export class Datasets {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async list(orgId: number): Promise<Dataset[]> {
    return (await this.#db.query(listDatasets, { org_id: orgId, name: null })).map(datasetOf);
  }

  /** A dataset at its head, with its newest commits and where they came from. */
  async get(orgId: number, name: string): Promise<Dataset & { commits: Commit[] }> {
    const [row] = await this.#db.query(listDatasets, { org_id: orgId, name });
    if (row === undefined) throw noDataset(name);
    const page = { generation_id: row.generation_id, before_commit: row.head_commit + 1, limit: commitsShownMax };
    return { ...datasetOf(row), commits: (await this.#db.query(commitsPage, page)).map(commitOf) };
  }

  /** Newest first. A page begins below the commit that the one before ended with, so commits that come meanwhile move nothing. */
  async history(
    orgId: number,
    name: string,
    query: PageQuery,
  ): Promise<{ commits: HistoryCommit[]; next: string | null }> {
    const { generationId, head } = await this.#current(orgId, name);
    const before = query.cursor === undefined ? head + 1 : commitCursor(query.cursor);
    const rows = await this.#db.query(commitsPage, {
      generation_id: generationId,
      before_commit: before,
      limit: query.limit + 1,
    });
    const shown = rows.slice(0, query.limit);
    const last = shown.at(-1);
    return {
      commits: shown.map(historyOf),
      next: rows.length > shown.length && last !== undefined ? cursorOf(String(last.commit_no)) : null,
    };
  }

  /** Partitions by key, at the head, and the keys that the job is to make and nothing was committed for. */
  async partitions(orgId: number, name: string, query: PageQuery): Promise<PartitionsAnswer> {
    const { generationId, generation, head } = await this.#current(orgId, name);
    const rows = await this.#db.query(partitionsPage, {
      generation_id: generationId,
      after_key: query.cursor === undefined ? null : keyCursor(query.cursor),
      limit: query.limit + 1,
    });
    const [counted] = await this.#db.query(countPartitions, { generation_id: generationId });
    const shown = rows.slice(0, query.limit);
    const last = shown.at(-1);
    return {
      dataset: name,
      generation,
      commit: head,
      partitions: shown.map((row) => ({
        partition: row.partition_key,
        commit: row.head_commit,
        committed_at: row.committed_at,
        rows: row.row_count,
        bytes: row.byte_count,
        files: row.file_count,
      })),
      partitions_total: counted?.partitions ?? 0,
      missing: await this.#missing(orgId, name),
      next: rows.length > shown.length && last !== undefined ? cursorOf(last.partition_key) : null,
    };
  }

  async #missing(orgId: number, name: string): Promise<string[]> {
    const [row] = await this.#db.query(producerOf, { org_id: orgId, dataset: name });
    const producer = row === undefined || row.in_partitions !== true ? undefined : producerOfRow(row);
    if (producer === undefined) return [];
    return (await missingPartitions(this.#db, producer)).map(({ partition }) => partition);
  }

  async #current(orgId: number, name: string): Promise<{ generationId: number; generation: number; head: number }> {
    const [row] = await this.#db.query(findGeneration, { org_id: orgId, name, generation: null });
    if (row === undefined) throw noDataset(name);
    const { generation_id: generationId, number: generation, head_commit: head } = row;
    if (generationId === null || generation === null || head === null) throw noGeneration(name, undefined);
    return { generationId, generation, head };
  }
}

function cursorOf(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** The texts of cursors are ours; whoever changed one is told so and not answered with some page. */
function textOf(cursor: string): string {
  const text = Buffer.from(cursor, "base64url").toString("utf8");
  if (cursorOf(text) === cursor && !text.includes("\0")) return text;
  throw notOurs();
}

function keyCursor(cursor: string): string {
  return textOf(cursor);
}

function commitCursor(cursor: string): number {
  const value = Number(textOf(cursor));
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw notOurs();
}

function notOurs(): TraceError {
  return new TraceError("TR-1002", {
    detail: "the cursor is none of ours",
    where: "query",
    fix: "pass `next` of the page before, unchanged",
  });
}

function commitParts(row: CommitsPageRow) {
  return {
    commit: row.commit_no,
    generation: row.number,
    kind: row.kind,
    committed_at: row.committed_at,
    partitions: row.partitions,
    append_key: row.append_key,
    reverted_to: row.reverted_to,
    actor: row.actor,
    reason: row.reason,
    purged_at: row.purged_at,
    rows: row.row_count,
    bytes: row.byte_count,
    files: row.file_count,
    task_id: row.task_public_id,
    lease_no: row.lease_no,
    dag_version: row.content_sha256,
    inputs: row.inputs,
  };
}

export function commitOf(row: CommitsPageRow): Commit {
  return commitSchema.parse(commitParts(row));
}

function historyOf(row: CommitsPageRow): HistoryCommit {
  return historyCommitSchema.parse({
    ...commitParts(row),
    rows_delta: row.known ? row.row_count - row.removed_rows : null,
    bytes_delta: row.known ? row.byte_count - row.removed_bytes : null,
    producer: row.dag === null || row.job === null ? null : { dag: row.dag, job: row.job },
  });
}

function datasetOf(row: ListDatasetsRow): Dataset {
  return datasetSchema.parse({
    dataset_id: row.public_id,
    name: row.name,
    generation: row.number,
    head: row.head_commit,
    committed_at: row.committed_at,
    rows: row.row_count,
    bytes: row.byte_count,
    files: row.file_count,
    schema: row.schema,
    producer:
      row.producer_dag === null || row.producer_job === null ? null : { dag: row.producer_dag, job: row.producer_job },
  });
}
