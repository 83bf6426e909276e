/** Where a commit comes from, down to the first sources, and what was made from it: read from the pins of the attempts. */
import { type Lineage, type LineageNode, lineageNodeSchema, TraceError } from "@trace/contracts";
import type { Database } from "@trace/kit";
import { lineageDepthMax, lineageNodesMax, lineageReadersMax } from "./limits.ts";
import { noCommit, noDataset, noGeneration } from "./resolve.ts";
import { findGeneration, type LineageNodesRow, lineageNodes, readersOfCommit } from "./sql/statements.gen.ts";

interface Place {
  readonly generation_id: number;
  readonly commit: number;
}

interface InputJson extends Place {
  readonly dataset: string;
  readonly generation: number;
}

export class Lineages {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Of the head unless a commit is named. Level by level, so that what is nearest is told when not all of it fits. */
  async get(orgId: number, name: string, commit: number | undefined): Promise<Lineage> {
    const [found] = await this.#db.query(findGeneration, { org_id: orgId, name, generation: null });
    if (found === undefined) throw noDataset(name);
    const { generation_id: id, number: generation, head_commit: head } = found;
    if (id === null || generation === null || head === null) throw noGeneration(name, undefined);
    if (commit === undefined && head === 0) {
      throw new TraceError("TR-4012", {
        detail: `dataset '${name}' has no commit yet`,
        fix: "run the DAG that writes it: 'trace run DAG'",
      });
    }
    const root = { generation_id: id, commit: commit ?? head };
    const { nodes, more } = await this.#upwards(root);
    if (nodes.length === 0) throw noCommit(name, String(root.commit));
    const readers = await this.#db.query(readersOfCommit, {
      generation_id: id,
      commit_no: root.commit,
      limit: lineageReadersMax + 1,
    });
    const shown = readers.slice(0, lineageReadersMax);
    return {
      root: { dataset: name, generation, commit: root.commit },
      nodes: nodes.map(nodeOf),
      readers: (
        await this.#nodes(shown.map((row) => ({ generation_id: row.generation_id, commit: row.commit_no })))
      ).map(nodeOf),
      more: more || readers.length > shown.length,
    };
  }

  async #upwards(root: Place): Promise<{ nodes: LineageNodesRow[]; more: boolean }> {
    const nodes: LineageNodesRow[] = [];
    const seen = new Set([keyOf(root)]);
    let level: Place[] = [root];
    for (let depth = 0; depth <= lineageDepthMax && level.length > 0; depth += 1) {
      const room = level.slice(0, lineageNodesMax - nodes.length);
      const rows = await this.#nodes(room);
      nodes.push(...rows);
      if (room.length < level.length) return { nodes, more: true };
      level = rows
        .flatMap((row) => row.inputs as InputJson[])
        .filter((input) => input.commit > 0 && !seen.has(keyOf(input)) && seen.add(keyOf(input)));
    }
    return { nodes, more: level.length > 0 };
  }

  async #nodes(places: readonly Place[]): Promise<LineageNodesRow[]> {
    if (places.length === 0) return [];
    return this.#db.query(lineageNodes, {
      generation_ids: places.map((place) => place.generation_id),
      commit_nos: places.map((place) => place.commit),
    });
  }
}

function keyOf({ generation_id, commit }: Place): string {
  return `${generation_id}:${commit}`;
}

function nodeOf(row: LineageNodesRow): LineageNode {
  const { task_public_id, attempt, dag, job, content_sha256, dag_number } = row;
  return lineageNodeSchema.parse({
    dataset: row.dataset,
    generation: row.number,
    commit: row.commit_no,
    kind: row.kind,
    committed_at: row.committed_at,
    rows: row.row_count,
    task:
      task_public_id === null
        ? null
        : {
            task_id: task_public_id,
            attempt,
            lease_no: row.lease_no,
            dag,
            job,
            dag_version: content_sha256,
            dag_number,
          },
    actor: row.actor,
    inputs: (row.inputs as InputJson[]).map(({ dataset, generation, commit }) => ({ dataset, generation, commit })),
  });
}
