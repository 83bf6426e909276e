/** What changed between two commits of a dataset: schema, and the partitions whose files differ. */
import { batchItemsMax, type Column, type DatasetDiff, type DatasetVersion, type Extent } from "@trace/contracts";
import type { Database } from "@trace/kit";
import { noCommit, noDataset, noGeneration, purged } from "./resolve.ts";
import { changedPartitions, commitExtent, findGeneration } from "./sql/statements.gen.ts";

interface Side {
  readonly version: DatasetVersion;
  readonly partitions: number;
}

export class Diffs {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** `to` is the head unless given, `from` the commit before `to`; commit 0 is the dataset before its first commit. */
  async diff(
    orgId: number,
    name: string,
    asked: { from?: number | undefined; to?: number | undefined },
  ): Promise<DatasetDiff> {
    const [row] = await this.#db.query(findGeneration, { org_id: orgId, name, generation: null });
    if (row === undefined) throw noDataset(name);
    const { generation_id: id, number: generation, head_commit: head } = row;
    if (id === null || generation === null || head === null) throw noGeneration(name, undefined);
    const to = asked.to ?? head;
    const from = asked.from ?? Math.max(to - 1, 0);
    const at = { dataset: name, generation };
    const [before, after] = [await this.#side(id, at, from), await this.#side(id, at, to)];
    const changed = await this.#db.query(changedPartitions, {
      generation_id: id,
      low_commit: Math.min(from, to),
      high_commit: Math.max(from, to),
      limit: batchItemsMax,
    });
    // Again, after the files were read: a purge in between would have made differences of what it took away.
    await this.#side(id, at, Math.min(from, to));
    const total = changed[0]?.changed ?? 0;
    const forward = from <= to;
    const onHigh = changed[0]?.changed_high ?? 0;
    const high = forward ? after.partitions : before.partitions;
    return {
      dataset: name,
      from: before.version,
      to: after.version,
      partitions: changed.map((one) => {
        const low = extentOf(one.low_rows, one.low_bytes, one.low_files);
        const top = extentOf(one.high_rows, one.high_bytes, one.high_files);
        return { partition: one.partition_key, before: forward ? low : top, after: forward ? top : low };
      }),
      partitions_changed: total,
      partitions_unchanged: high - onHigh,
    };
  }

  async #side(id: number, at: { dataset: string; generation: number }, commit: number): Promise<Side> {
    const [row] = await this.#db.query(commitExtent, { generation_id: id, commit_no: commit });
    if (row === undefined || (commit > 0 && row.schema === null)) throw noCommit(at.dataset, String(commit));
    if (row.purged === true && commit > 0) throw purged(at.dataset, commit);
    const extent = { rows: row.row_count, bytes: row.byte_count, files: row.file_count };
    const schema = (row.schema as Column[] | null) ?? [];
    return {
      version: { ...at, commit, committed_at: row.committed_at, schema, ...extent },
      partitions: row.partition_count,
    };
  }
}

function extentOf(rows: number | null, bytes: number | null, files: number | null): Extent | null {
  return files === null || files === 0 ? null : { rows: rows ?? 0, bytes: bytes ?? 0, files };
}
