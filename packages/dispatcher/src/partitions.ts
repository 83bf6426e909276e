/**
 * Partitions of jobs: which there are, which are missing, and the tasks that make those. Keys come from the job's own set, or from
 * the partitions of its inputs, of which there may be any number; so they are gone through in pages.
 */
import { nearest, type RepairAnswer, TraceError } from "@trace/contracts";
import type { Database, Queryable } from "@trace/kit";
import { missingPageKeys, repairKeysMax } from "./limits.ts";
import { type MissingPartition, missingOf } from "./rules/missing.ts";
import { addRepairAudit, knownPartitions, partitionsHeld, partitionsOfJob, producerOf } from "./sql/statements.gen.ts";
import type { Tasks } from "./tasks.ts";

/** A job of a version, and the partition that somebody asks of it. */
interface Asked {
  readonly index: number;
  readonly item: { readonly dag: string; readonly job: string; readonly partition?: string | undefined };
  readonly job: { readonly job_id: number; readonly dag_version_id: number; readonly in_partitions: boolean };
}

/** Those that ask for what their job does not have, by `index`, each with its error. */
export async function wrongPartitions(tx: Queryable, asked: readonly Asked[]): Promise<Map<number, TraceError>> {
  const wrong = new Map<number, TraceError>();
  const keyed: Asked[] = [];
  for (const one of asked) {
    const { partition, dag, job } = one.item;
    if (partition !== undefined && !one.job.in_partitions) wrong.set(one.index, withoutPartitions(dag, job));
    else if (partition === undefined && one.job.in_partitions) wrong.set(one.index, needsPartition(dag, job));
    else if (partition !== undefined) keyed.push(one);
  }
  if (keyed.length === 0) return wrong;
  const known = await tx.query(knownPartitions, {
    dag_version_ids: keyed.map(({ job }) => job.dag_version_id),
    job_ids: keyed.map(({ job }) => job.job_id),
    partition_keys: keyed.map(({ item }) => item.partition ?? ""),
  });
  const found = new Set(known.map((row) => `${row.job_id}:${row.partition_key}`));
  const keysOf = new Map<number, readonly string[]>();
  for (const { index, item, job } of keyed) {
    if (found.has(`${job.job_id}:${item.partition}`)) continue;
    const keys = keysOf.get(job.job_id) ?? (await allPartitions(tx, job)).keys;
    keysOf.set(job.job_id, keys);
    wrong.set(index, noSuchPartition(item.dag, item.job, item.partition ?? "", keys));
  }
  return wrong;
}

/** The keys of a job, in order; `more`: there are more than one call takes. */
export async function allPartitions(
  tx: Queryable,
  job: { readonly job_id: number; readonly dag_version_id: number },
): Promise<{ readonly keys: string[]; readonly more: boolean }> {
  const { dag_version_id, job_id } = job;
  const rows = await tx.query(partitionsOfJob, { dag_version_id, job_id, after_key: "", limit: repairKeysMax + 1 });
  const keys = rows.map((row) => row.partition_key);
  return { keys: keys.slice(0, repairKeysMax), more: keys.length > repairKeysMax };
}

/** TR-3017, for a job that runs as a whole. */
export function withoutPartitions(dag: string, job: string): TraceError {
  return new TraceError("TR-3017", {
    detail: `job '${dag}.${job}' has no partitions`,
    fix: "leave the partition out, or name a job whose tasks are for partitions",
  });
}

/** TR-3017: nothing of a dataset can be missing by itself where one task writes all of it. */
function madeWhole(dataset: string, { dag, job }: Producer, column: string | null): TraceError {
  const each = column === null ? "it has no partitions" : `its partitions are the values of column '${column}'`;
  return new TraceError("TR-3017", {
    detail: `one task of job '${dag}.${job}' writes all of '${dataset}': ${each}, and none can be missing by itself`,
    where: `dataset ${dataset}`,
    why: "what is repaired are partitions that have a task each",
    fix: `make all of it anew: 'trace run ${dag} --job ${job}'`,
  });
}

function needsPartition(dag: string, job: string): TraceError {
  return new TraceError("TR-3017", {
    detail: `job '${dag}.${job}' runs per partition, and no partition is named`,
    fix: `name one as \`partition\`, or run all of them: 'trace run ${dag} --job ${job}'`,
  });
}

function noSuchPartition(dag: string, job: string, key: string, keys: readonly string[]): TraceError {
  const near = nearest(key, keys);
  const some = keys.length === 0 ? "there is none yet" : `there is ${keys[0]} to ${keys.at(-1)}`;
  return new TraceError("TR-3017", {
    detail: `job '${dag}.${job}' has no partition '${key}'`,
    fix: near === undefined ? `name one that it has: ${some}` : `did you mean '${near}'?`,
  });
}

export interface Producer {
  readonly dag: string;
  readonly job: string;
  readonly job_id: number;
  readonly dag_version_id: number;
  /** The generation that the job writes, which may not be current yet. */
  readonly written_id: number;
}

export class Partitions {
  readonly #db: Database;
  readonly #tasks: Tasks;

  constructor(db: Database, tasks: Tasks) {
    this.#db = db;
    this.#tasks = tasks;
  }

  /** Creates tasks for partitions that are missing; tells of those that are live already. */
  async repair(
    caller: { readonly orgId: number; readonly name: string },
    dataset: string,
    body: { readonly partitions?: readonly string[] | undefined; readonly dry_run: boolean },
  ): Promise<RepairAnswer> {
    const producer = await this.#producer(caller.orgId, dataset);
    const { dag, job } = producer;
    if (body.partitions !== undefined) await this.#refuseUnknown(producer, body.partitions);
    const only = body.partitions === undefined ? undefined : new Set(body.partitions);
    const missing = await missingPartitions(this.#db, producer, only);
    const keys = missing.map(({ partition }) => partition);
    if (body.dry_run) return { dataset, missing: keys, tasks: [], dry_run: true };
    const wanted = missing.filter(({ taskId }) => taskId === null);
    const items = wanted.map(({ partition }) => ({ dag, job, partition, priority: 0, payload: {} }));
    // Each stands for itself: what became live meanwhile is told as what was.
    const made = await this.#tasks.create(caller.orgId, items);
    const tasks = new Map(missing.map(({ partition, taskId }) => [partition, taskId]));
    for (const [at, answer] of made.entries()) {
      if (answer.task_id === undefined && answer.error !== undefined)
        throw new TraceError(answer.error.code, answer.error);
      tasks.set(wanted[at]?.partition ?? "", answer.task_id ?? null);
    }
    const told = [...tasks].flatMap(([partition, task_id]) => (task_id === null ? [] : [{ partition, task_id }]));
    const created = made.flatMap((answer) => (answer.created && answer.task_id !== undefined ? [answer.task_id] : []));
    if (created.length > 0) {
      const detail = JSON.stringify({ dataset, partitions: created.length });
      await this.#db.query(addRepairAudit, {
        org_id: caller.orgId,
        actor: caller.name,
        task_ids: created,
        detail,
      });
    }
    return { dataset, missing: keys, tasks: told, dry_run: false };
  }

  async #producer(orgId: number, dataset: string): Promise<Producer> {
    const [row] = await this.#db.query(producerOf, { org_id: orgId, dataset });
    if (row === undefined) {
      throw new TraceError("TR-1006", {
        detail: `there is no dataset '${dataset}'`,
        fix: "'trace dataset list' shows the datasets there are",
      });
    }
    const producer = producerOfRow(row);
    if (producer === undefined) {
      throw new TraceError("TR-3010", {
        detail: `no deployed job writes dataset '${dataset}'`,
        fix: "deploy the DAG that does: 'trace deploy FILE'",
      });
    }
    if (!row.in_partitions) throw madeWhole(dataset, producer, row.partition_by);
    return producer;
  }

  async #refuseUnknown(producer: Producer, keys: readonly string[]): Promise<void> {
    const asked = keys.map((partition, index) => ({
      index,
      item: { dag: producer.dag, job: producer.job, partition },
      job: { ...producer, in_partitions: true },
    }));
    for (const error of (await wrongPartitions(this.#db, asked)).values()) throw error;
  }
}

/** Of these keys, those of the job that makes the dataset now. */
export async function partitionsYetToMake(
  tx: Queryable,
  orgId: number,
  dataset: string,
  keys: readonly string[],
): Promise<Set<string>> {
  const [row] = await tx.query(producerOf, { org_id: orgId, dataset });
  const producer = row?.in_partitions === true ? producerOfRow(row) : undefined;
  if (producer === undefined) return new Set();
  const known = await tx.query(knownPartitions, {
    dag_version_ids: keys.map(() => producer.dag_version_id),
    job_ids: keys.map(() => producer.job_id),
    partition_keys: [...keys],
  });
  return new Set(known.map((one) => one.partition_key));
}

/** The job that makes a dataset now; undefined where none does. */
export function producerOfRow(row: {
  readonly dag: string | null;
  readonly job: string | null;
  readonly job_id: number | null;
  readonly dag_version_id: number | null;
  readonly written_id: number | null;
}): Producer | undefined {
  const { dag, job, job_id, dag_version_id, written_id } = row;
  if (dag === null || job === null || job_id === null || dag_version_id === null || written_id === null)
    return undefined;
  return { dag, job, job_id, dag_version_id, written_id };
}

/** Partitions that the job should have made and has not, in the order of their keys; at most `repairKeysMax`. */
export async function missingPartitions(
  db: Queryable,
  producer: Producer,
  only?: ReadonlySet<string>,
): Promise<MissingPartition[]> {
  const missing: MissingPartition[] = [];
  const { dag_version_id, job_id, written_id } = producer;
  let after = "";
  while (missing.length < repairKeysMax) {
    const limit = missingPageKeys;
    const page = await db.query(partitionsOfJob, { dag_version_id, job_id, after_key: after, limit });
    const keys = page.map((row) => row.partition_key);
    const held = await db.query(partitionsHeld, { generation_id: written_id, job_id, partition_keys: keys });
    const looked = held.map((row) => ({ partition: row.partition_key, held: row.held, taskId: row.task_public_id }));
    missing.push(...missingOf(looked, only));
    const last = keys.at(-1);
    if (keys.length < limit || last === undefined) break;
    after = last;
  }
  return missing.slice(0, repairKeysMax);
}
