/** Deploying a DAG file: check, store as a version named by its content, make current; all in one transaction. */
import { createHash } from "node:crypto";
import { type DagDefinition, type Diagnostic, dagDefinitionSchema, parseDag, TraceError } from "@trace/contracts";
import { type Database, newId, type Queryable } from "@trace/kit";
import { ancestorsOf } from "./runs.ts";
import {
  addDagVersion,
  addDataset,
  addJobInputs,
  addJobOutputs,
  addJobs,
  addJobVersions,
  type FindDatasetsRow,
  findDagVersion,
  findDatasets,
  listDags,
  lockDag,
  lockDeploys,
  lockJobs,
  queueByName,
  releaseDatasets,
  setCurrentVersion,
  setDataset,
} from "./sql/statements.gen.ts";
import { settle } from "./triggers.ts";
import type { WakeupRow } from "./wakeups.ts";

export interface Deployed {
  readonly dag: string;
  readonly version: string;
  readonly number: number;
  readonly changed: boolean;
  readonly jobs: string[];
  readonly datasets: string[];
}

function fromDiagnostic(diagnostic: Diagnostic): TraceError {
  return new TraceError(diagnostic.code, {
    detail: diagnostic.message,
    where: `${diagnostic.file}:${diagnostic.line}:${diagnostic.column}`,
    // Without a suggestion the message itself says what the place must hold.
    fix: diagnostic.suggestion ?? "correct this place of the file; 'trace deploy FILE --check' shows it in its line",
  });
}

export class Deploys {
  readonly #db: Database;
  readonly #onReady: (wakeups: readonly WakeupRow[]) => void;

  constructor(db: Database, onReady: (wakeups: readonly WakeupRow[]) => void) {
    this.#db = db;
    this.#onReady = onReady;
  }

  async deploy(orgId: number, fileName: string, source: string): Promise<Deployed> {
    const parsed = parseDag(source, fileName);
    if (!parsed.ok) {
      const errors = parsed.diagnostics.filter((diagnostic) => diagnostic.severity === "error").map(fromDiagnostic);
      const first = errors[0] ?? new TraceError("TR-1000", { detail: "the file was refused without a reason" });
      // The call ends with the first error; the others travel beside it, so that all can be mended at once.
      throw Object.assign(new TraceError(first.code, { detail: first.message, where: first.where, fix: first.fix }), {
        errors,
      });
    }
    const { dag, contentHash } = parsed;
    const { wakeups, ...deployed } = await this.#db.transaction((tx) =>
      store(tx, orgId, fileName, source, dag, contentHash),
    );
    if (wakeups.length > 0) this.#onReady(wakeups);
    return deployed;
  }

  async list(orgId: number) {
    const rows = await this.#db.query(listDags, { org_id: orgId });
    return rows.map((row) => {
      const definition = dagDefinitionSchema.parse(row.definition);
      return {
        dag: row.name,
        description: definition.description ?? null,
        version: row.content_sha256,
        number: row.number,
        deployed_at: row.deployed_at.toISOString(),
        jobs: definition.jobs,
      };
    });
  }
}

async function store(
  tx: Queryable,
  orgId: number,
  fileName: string,
  source: string,
  dag: DagDefinition,
  contentHash: string,
): Promise<Deployed & { readonly wakeups: readonly WakeupRow[] }> {
  await tx.query(lockDeploys, { org_id: orgId });
  const [held] = await tx.query(lockDag, { org_id: orgId, name: dag.dag });
  if (held === undefined) throw new Error("the DAG's row is gone under its lock");
  const dagId = held.dag_id;
  const datasets = dag.jobs.flatMap((job) => job.outputs.map((output) => output.dataset));
  const answer = { dag: dag.dag, version: contentHash, jobs: dag.jobs.map((job) => job.name), datasets };
  const jobIds = new Map(
    (await tx.query(addJobs, { org_id: orgId, dag_id: dagId, names: answer.jobs })).map((row) => [
      row.name,
      row.job_id,
    ]),
  );
  const known = await claimDatasets(tx, orgId, dagId, dag, jobIds);

  const [old] = await tx.query(findDagVersion, { dag_id: dagId, content_sha256: contentHash });
  if (old !== undefined) {
    await tx.query(setCurrentVersion, { dag_id: dagId, dag_version_id: old.dag_version_id });
    const wakeups = await startWaiting(tx, jobIds);
    return { ...answer, number: old.number, changed: held.current_version_id !== old.dag_version_id, wakeups };
  }
  const [version] = await tx.query(addDagVersion, {
    org_id: orgId,
    dag_id: dagId,
    content_sha256: contentHash,
    definition: JSON.stringify(dag),
    file_name: fileName,
    source,
  });
  const [queue] = await tx.query(queueByName, { org_id: orgId, name: "default" });
  if (version === undefined || queue === undefined) throw new Error("a version was not stored");
  await addJobRows(tx, orgId, version.dag_version_id, queue.queue_id, dag, jobIds, known);
  await tx.query(setCurrentVersion, { dag_id: dagId, dag_version_id: version.dag_version_id });
  const wakeups = await startWaiting(tx, jobIds);
  return { ...answer, number: version.number, changed: true, wakeups };
}

/** What a job waited for may be no ancestor of its any more: nothing that ends later would look at the job again. */
async function startWaiting(tx: Queryable, jobIds: ReadonlyMap<string, number>): Promise<WakeupRow[]> {
  const ids = [...jobIds.values()].sort((a, b) => a - b);
  await tx.query(lockJobs, { job_ids: ids });
  return settle(tx, ids);
}

async function addJobRows(
  tx: Queryable,
  orgId: number,
  versionId: number,
  queueId: number,
  dag: DagDefinition,
  jobIds: ReadonlyMap<string, number>,
  datasets: ReadonlyMap<string, number>,
): Promise<void> {
  const ancestors = ancestorsOf(dag);
  await tx.query(addJobVersions, {
    dag_version_id: versionId,
    org_id: orgId,
    jobs: JSON.stringify(
      dag.jobs.map((job) => ({
        job_id: jobIds.get(job.name),
        queue_id: queueId,
        definition: job,
        failures_max: job.retries + 1,
        timeout_ms: job.timeout_ms,
        ancestors: [...(ancestors.get(job.name) ?? [])].map((name) => jobIds.get(name)),
        max_concurrency: job.max_concurrency ?? null,
        tracked: job.inputs.length > 0 || job.outputs.length > 0,
      })),
    ),
  });
  const inputs = dag.jobs.flatMap((job) =>
    job.inputs.map((input, position) => ({
      job_id: jobIds.get(job.name),
      dataset_id: datasets.get(input.dataset),
      position,
    })),
  );
  await tx.query(addJobInputs, { dag_version_id: versionId, inputs: JSON.stringify(inputs) });
  const outputs = dag.jobs.flatMap((job) =>
    job.outputs.map(({ dataset, strategy }) => ({
      job_id: jobIds.get(job.name),
      dataset_id: datasets.get(dataset),
      strategy,
    })),
  );
  await tx.query(addJobOutputs, { dag_version_id: versionId, outputs: JSON.stringify(outputs) });
}

/** Makes the datasets this DAG writes, checks those it only reads, and records who writes what. Returns ids by name. */
async function claimDatasets(
  tx: Queryable,
  orgId: number,
  dagId: number,
  dag: DagDefinition,
  jobIds: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const writers = new Map(dag.jobs.flatMap((job) => job.outputs.map((output) => [output.dataset, job.name] as const)));
  const names = [
    ...new Set([...writers.keys(), ...dag.jobs.flatMap((job) => job.inputs.map((input) => input.dataset))]),
  ].sort();
  const found = new Map((await tx.query(findDatasets, { org_id: orgId, names })).map((row) => [row.name, row]));
  const errors = [
    ...[...writers].flatMap(([dataset]) => foreignWriter(found.get(dataset), dag.dag)),
    ...names.filter((name) => !writers.has(name) && !found.has(name)).map((name) => missingInput(dag, name)),
  ];
  if (errors[0] !== undefined) {
    const first = errors[0];
    throw Object.assign(
      new TraceError(first.code, { detail: first.message, where: first.where, why: first.why, fix: first.fix }),
      { errors },
    );
  }
  const ids = new Map([...found].map(([name, row]) => [name, row.dataset_id]));
  for (const [dataset, job] of writers) {
    let generationId: number | null = null;
    if (!ids.has(dataset)) {
      const publicId = newId();
      const storageId = createHash("sha256").update(publicId).digest("hex").slice(0, 20);
      const [made] = await tx.query(addDataset, {
        public_id: publicId,
        org_id: orgId,
        name: dataset,
        storage_id: storageId,
      });
      if (made === undefined) throw new Error("a dataset was not stored");
      ids.set(dataset, made.dataset_id);
      generationId = made.generation_id;
    }
    await tx.query(setDataset, {
      dataset_id: ids.get(dataset) ?? 0,
      generation_id: generationId,
      producer_job_id: jobIds.get(job) ?? null,
    });
  }
  await tx.query(releaseDatasets, {
    dag_id: dagId,
    kept_dataset_ids: [...writers.keys()].map((name) => ids.get(name) ?? 0),
  });
  return ids;
}

function foreignWriter(row: FindDatasetsRow | undefined, dag: string): TraceError[] {
  if (row === undefined || row.producer_dag === null || row.producer_dag === dag) return [];
  return [
    new TraceError("TR-4011", {
      detail: `dataset '${row.name}' is written by ${row.producer_dag}.${row.producer_job}`,
      why: "a dataset has one writer, so that its commits have one order",
      fix: "give the output another name, or take it out of the other DAG and deploy that first",
    }),
  ];
}

function missingInput(dag: DagDefinition, name: string): TraceError {
  const reader = dag.jobs.find((job) => job.inputs.some((input) => input.dataset === name));
  return new TraceError("TR-4010", {
    detail: `input '${name}' is written by no job of this DAG and is no dataset of this installation`,
    where: `jobs.${reader?.name}.inputs`,
    fix: "correct the name, add the job that writes it, or deploy the DAG that does ('trace dataset list' shows what there is)",
  });
}
