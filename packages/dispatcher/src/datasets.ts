/** Reading the registry: what datasets hold, pinned in one snapshot. Readers get file lists and never list a bucket. */
import {
  type Column,
  type Commit,
  commitSchema,
  type Dataset,
  datasetSchema,
  presignedSecondsMax,
  type ResolvedDataset,
  TraceError,
} from "@trace/contracts";
import type { Clock, Database, ObjectStore } from "@trace/kit";
import { commitsShownMax } from "./limits.ts";
import {
  commitsOfGeneration,
  type ListDatasetsRow,
  listDatasets,
  type ResolveByNameRow,
  resolveByLease,
  resolveByName,
} from "./sql/statements.gen.ts";

interface FileJson {
  readonly key: string;
  readonly bytes: number;
  readonly rows: number;
  readonly sha256: string;
}

export interface DatasetsOptions {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly datasetsBucket: string;
  readonly clock: Clock;
}

function noDataset(name: string): TraceError {
  return new TraceError("TR-1006", {
    detail: `there is no dataset '${name}'`,
    fix: "'trace dataset list' shows the datasets there are",
  });
}

export class Datasets {
  readonly #options: DatasetsOptions;

  constructor(options: DatasetsOptions) {
    this.#options = options;
  }

  async list(orgId: number): Promise<Dataset[]> {
    const rows = await this.#options.db.query(listDatasets, { org_id: orgId, name: null });
    return rows.map(datasetOf);
  }

  /** A dataset at its head, with its newest commits and where they came from. */
  async get(orgId: number, name: string): Promise<Dataset & { commits: Commit[] }> {
    const [row] = await this.#options.db.query(listDatasets, { org_id: orgId, name });
    if (row === undefined) throw noDataset(name);
    const commits = await this.#options.db.query(commitsOfGeneration, {
      generation_id: row.generation_id,
      limit: commitsShownMax,
    });
    return {
      ...datasetOf(row),
      commits: commits.map((commit) =>
        commitSchema.parse({
          commit: commit.commit_no,
          generation: commit.number,
          kind: commit.kind,
          committed_at: commit.committed_at.toISOString(),
          rows: commit.row_count,
          bytes: commit.byte_count,
          files: commit.file_count,
          task_id: commit.task_public_id,
          lease_no: commit.lease_no,
          dag_version: commit.content_sha256,
          inputs: commit.inputs,
        }),
      ),
    };
  }

  /** The heads of several datasets and their files, from one snapshot. */
  async resolve(orgId: number, names: readonly string[], presign: boolean): Promise<ResolvedDataset[]> {
    const rows = await this.#options.db.query(resolveByName, { org_id: orgId, names });
    const byName = new Map(rows.map((row) => [row.name, row]));
    return names.map((name) => {
      const row = byName.get(name);
      if (row === undefined) throw noDataset(name);
      return this.#resolved(row, presign);
    });
  }

  /** The inputs of an attempt at the commits it pinned. */
  async resolveForLease(leaseNo: number): Promise<ResolvedDataset[]> {
    const rows = await this.#options.db.query(resolveByLease, { lease_no: leaseNo });
    return rows.map((row) => this.#resolved(row, false));
  }

  #resolved(row: ResolveByNameRow, presign: boolean): ResolvedDataset {
    const { store, datasetsBucket, clock } = this.#options;
    return {
      dataset: row.name,
      generation: row.number,
      commit: row.head_commit,
      committed_at: row.head_committed_at?.toISOString() ?? null,
      schema: (row.schema as Column[] | null) ?? [],
      files: (row.files as FileJson[]).map((file) => ({
        bucket: datasetsBucket,
        ...file,
        ...(presign ? { url: store.presignGet(datasetsBucket, file.key, presignedSecondsMax, clock.nowMs()) } : {}),
      })),
    };
  }
}

function datasetOf(row: ListDatasetsRow): Dataset {
  return datasetSchema.parse({
    dataset_id: row.public_id,
    name: row.name,
    generation: row.number,
    head: row.head_commit,
    committed_at: row.head_committed_at?.toISOString() ?? null,
    rows: row.row_count,
    bytes: row.byte_count,
    files: row.file_count,
    schema: row.schema,
    producer:
      row.producer_dag === null || row.producer_job === null ? null : { dag: row.producer_dag, job: row.producer_job },
  });
}
