/**
 * What deploying a file would do. It is done, all of it, in a transaction that is then taken back: so the plan knows what the
 * deploy knows, refuses what it refuses, and cannot come apart from it. Meanwhile it holds the locks of a deploy, for milliseconds.
 */
import {
  canonicalJson,
  changesOf,
  compareDags,
  type DagDefinition,
  type DagPlan,
  dagDefinitionSchema,
  type KeyChange,
  type PlanDataset,
  type PlanJob,
} from "@trace/contracts";
import type { Database, Queryable } from "@trace/kit";
import { type Deployed, parsedFile, store } from "./deploys.ts";
import {
  findDagByName,
  type GenerationsWrittenRow,
  generationsWritten,
  liveTasksOfDag,
  lockDeploys,
  newestTaskId,
  readersElsewhere,
  tasksMadeHere,
  type WritersOfDatasetsRow,
  writersOfDatasets,
} from "./sql/statements.gen.ts";

/** Thrown to take the transaction back; carries what was seen. */
class TakenBack extends Error {
  readonly plan: DagPlan;

  constructor(plan: DagPlan) {
    super("the plan is made, and nothing is kept");
    this.plan = plan;
  }
}

export class Plans {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Throws what a deploy of the file would throw. */
  async plan(orgId: number, fileName: string, source: string): Promise<DagPlan> {
    const { dag, contentHash } = parsedFile(source, fileName);
    try {
      return await this.#db.transaction(async (tx) => {
        throw new TakenBack(await planned(tx, orgId, { fileName, source, dag, contentHash }));
      });
    } catch (error) {
      if (error instanceof TakenBack) return error.plan;
      throw error;
    }
  }
}

interface File {
  readonly fileName: string;
  readonly source: string;
  readonly dag: DagDefinition;
  readonly contentHash: string;
}

/** What is there before the deploy, under its lock. */
interface Before {
  readonly definition: DagDefinition | undefined;
  readonly current: DagPlan["current"];
  readonly writers: ReadonlyMap<string, WritersOfDatasetsRow>;
  readonly written: ReadonlyMap<string, GenerationsWrittenRow>;
  readonly liveTasks: ReadonlyMap<string, number>;
}

async function planned(tx: Queryable, orgId: number, file: File): Promise<DagPlan> {
  const { dag, contentHash, fileName, source } = file;
  await tx.query(lockDeploys, { org_id: orgId });
  const before = await look(tx, orgId, dag);
  const [newest] = await tx.query(newestTaskId, {});
  const deployed = await store(tx, orgId, fileName, source, dag, contentHash);
  const starts = await tx.query(tasksMadeHere, { after_task_id: newest?.task_id ?? 0 });
  return {
    dag: dag.dag,
    version: contentHash,
    changed: deployed.changed,
    current: before.current,
    jobs: compareDags(before.definition, dag).map(
      (job): PlanJob => ({ ...job, live_tasks: before.liveTasks.get(job.job) ?? 0 }),
    ),
    datasets: await datasetsOf(tx, orgId, dag, before, deployed),
    starts: starts.map((row) => ({ ...row, partitions: row.partitions.filter((key) => key !== "") })),
  };
}

async function look(tx: Queryable, orgId: number, dag: DagDefinition): Promise<Before> {
  const [found] = await tx.query(findDagByName, { org_id: orgId, name: dag.dag });
  const definition = found === undefined ? undefined : dagDefinitionSchema.parse(found.definition);
  const writers = await tx.query(writersOfDatasets, { org_id: orgId, names: writtenBy(dag, definition) });
  const written = found === undefined ? [] : await tx.query(generationsWritten, { dag_id: found.dag_id });
  const live = await tx.query(liveTasksOfDag, { org_id: orgId, dag: dag.dag });
  return {
    definition,
    current: found === undefined ? null : { version: found.content_sha256, number: found.number },
    writers: new Map(writers.map((row) => [row.name, row])),
    written: new Map(written.map((row) => [row.name, row])),
    liveTasks: new Map(live.map((row) => [row.name, row.tasks])),
  };
}

/** Datasets that the one or the other version writes. */
function writtenBy(...dags: readonly (DagDefinition | undefined)[]): string[] {
  return [...new Set(dags.flatMap((dag) => dag?.jobs ?? []).flatMap((job) => job.outputs.map((one) => one.dataset)))];
}

async function datasetsOf(
  tx: Queryable,
  orgId: number,
  dag: DagDefinition,
  before: Before,
  deployed: Deployed,
): Promise<PlanDataset[]> {
  const names = writtenBy(dag, before.definition).sort();
  const writers = new Map(
    (await tx.query(writersOfDatasets, { org_id: orgId, names })).map((row) => [row.name, row] as const),
  );
  const [stored] = await tx.query(findDagByName, { org_id: orgId, name: dag.dag });
  const written = stored === undefined ? [] : await tx.query(generationsWritten, { dag_id: stored.dag_id });
  const now = new Map(written.map((row) => [row.name, row]));
  const made = new Set(deployed.generations.map((one) => one.dataset));
  const datasets = names.map((dataset): PlanDataset => {
    const was = before.writers.get(dataset);
    return {
      dataset,
      created: was === undefined,
      writer_before: writerOf(was),
      writer_after: writerOf(writers.get(dataset)),
      generation: generationChange(before.written.get(dataset), was, now.get(dataset), made.has(dataset)),
      readers: [],
    };
  });
  const changed = datasets.filter(
    (one) =>
      one.created || one.generation !== null || canonicalJson(one.writer_before) !== canonicalJson(one.writer_after),
  );
  const readers = await tx.query(readersElsewhere, {
    org_id: orgId,
    dag: dag.dag,
    names: changed.map((one) => one.dataset),
  });
  return changed.map((one) => ({
    ...one,
    readers: readers.filter((row) => row.name === one.dataset).map((row) => ({ dag: row.dag, job: row.job })),
  }));
}

function writerOf(row: WritersOfDatasetsRow | undefined): PlanDataset["writer_before"] {
  if (row === undefined || row.producer_dag === null || row.producer_job === null) return null;
  return { dag: row.producer_dag, job: row.producer_job };
}

/** Another generation than the deployed version writes, or than is there where the DAG did not write it. */
function generationChange(
  written: GenerationsWrittenRow | undefined,
  current: WritersOfDatasetsRow | undefined,
  now: GenerationsWrittenRow | undefined,
  made: boolean,
): PlanDataset["generation"] {
  const before = written ?? (current === undefined ? undefined : { ...current, number: current.generation });
  if (before === undefined || now === undefined || before.number === now.number) return null;
  return {
    before: before.number,
    after: now.number,
    made,
    switched: now.current,
    because: definitionChanges(before.definition, now.definition),
  };
}

function definitionChanges(before: unknown, after: unknown): KeyChange[] {
  return changesOf(entriesOf(before), entriesOf(after));
}

function entriesOf(definition: unknown): Map<string, unknown> {
  return new Map(typeof definition === "object" && definition !== null ? Object.entries(definition) : []);
}
