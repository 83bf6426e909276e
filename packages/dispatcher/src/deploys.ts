/** Deploying a DAG file: check, store as a version named by its content, make current; all in one transaction. */
import {
  type DagDefinition,
  type Diagnostic,
  dagDefinitionSchema,
  nearest,
  parseDag,
  partitionKeys,
  TraceError,
} from "@trace/contracts";
import type { Database, Queryable } from "@trace/kit";
import { generationsFor, makeDataset, type NewGeneration, wantGenerations } from "./generations.ts";
import { misspeltInputsMax } from "./limits.ts";
import {
  type GenerationDefinition,
  generationDefinitions,
  keyAncestorsOf,
  partitionFaults,
  partitionFilterFaults,
} from "./rules/generations.ts";
import { ancestorsOf } from "./runs.ts";
import {
  addDagVersion,
  addInvalidations,
  addJobInputs,
  addJobOutputs,
  addJobs,
  addJobVersions,
  type FindDatasetsRow,
  findDagVersion,
  findDatasets,
  fitInvalidations,
  inputsUnread,
  listDags,
  lockDag,
  lockDeploys,
  lockJobs,
  lockJobsOfDeploy,
  partitioningOf,
  queueByName,
  releaseDatasets,
  type SwitchDatasetsRow,
  setCurrentVersion,
  setDataset,
  someDatasetNames,
  unparkInvalidations,
} from "./sql/statements.gen.ts";
import { settle, tellElsewhere } from "./triggers.ts";
import type { WakeupRow } from "./wakeups.ts";

export interface Deployed {
  readonly dag: string;
  readonly version: string;
  readonly number: number;
  readonly changed: boolean;
  readonly jobs: string[];
  readonly datasets: string[];
  /** Generations that were made beside what is there; those of datasets that are new themselves are not told. */
  readonly generations: NewGeneration[];
}

function fromDiagnostic(diagnostic: Diagnostic): TraceError {
  return new TraceError(diagnostic.code, {
    detail: diagnostic.message,
    where: `${diagnostic.file}:${diagnostic.line}:${diagnostic.column}`,
    // Without a suggestion the message itself says what the place must hold.
    fix: diagnostic.suggestion ?? "correct this place of the file; 'trace deploy FILE --check' shows it in its line",
  });
}

/** A file as what it defines. Throws the first error; the others travel beside it, so that all can be mended at once. */
export function parsedFile(source: string, fileName: string): { dag: DagDefinition; contentHash: string } {
  const parsed = parseDag(source, fileName);
  if (parsed.ok) return parsed;
  const errors = parsed.diagnostics.filter((diagnostic) => diagnostic.severity === "error").map(fromDiagnostic);
  const first = errors[0] ?? new TraceError("TR-1000", { detail: "the file was refused without a reason" });
  throw Object.assign(new TraceError(first.code, { detail: first.message, where: first.where, fix: first.fix }), {
    errors,
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
    const { dag, contentHash } = parsedFile(source, fileName);
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

/** All of a deploy but what must not happen before it is committed. A plan does it and takes it back. */
export async function store(
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
  const readers = await tx.query(lockJobsOfDeploy, { dag_id: dagId, datasets });
  const answer = { dag: dag.dag, version: contentHash, jobs: dag.jobs.map((job) => job.name), datasets };
  const jobIds = new Map(
    (await tx.query(addJobs, { org_id: orgId, dag_id: dagId, names: answer.jobs })).map((row) => [
      row.name,
      row.job_id,
    ]),
  );
  const claimed = await claimDatasets(tx, orgId, dagId, dag, jobIds);

  const [old] = await tx.query(findDagVersion, { dag_id: dagId, content_sha256: contentHash });
  const version =
    old === undefined
      ? await addVersion(tx, orgId, dagId, { fileName, source, dag, contentHash }, jobIds, claimed)
      : { ...old, made: [] };
  await tx.query(setCurrentVersion, { dag_id: dagId, dag_version_id: version.dag_version_id });
  const switched = await wantGenerations(tx, dagId, version.dag_version_id);
  const locked = new Set([...readers.map((row) => row.job_id), ...jobIds.values()]);
  const wakeups = await startWaiting(tx, dagId, held.current_version_id, locked, switched);
  return {
    ...answer,
    number: version.number,
    changed: held.current_version_id !== version.dag_version_id,
    generations: version.made,
    wakeups,
  };
}

interface File {
  readonly fileName: string;
  readonly source: string;
  readonly dag: DagDefinition;
  readonly contentHash: string;
}

async function addVersion(
  tx: Queryable,
  orgId: number,
  dagId: number,
  { fileName, source, dag, contentHash }: File,
  jobIds: ReadonlyMap<string, number>,
  { datasetIds, definitions }: Claimed,
): Promise<{ dag_version_id: number; number: number; made: NewGeneration[] }> {
  const written = await generationsFor(tx, dagId, datasetIds, definitions);
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
  const kinds = new Map([...definitions].map(([name, { partitioning }]) => [name, partitioning]));
  const jobs = jobRows(dag, queue.queue_id, jobIds, kinds);
  await tx.query(addJobVersions, {
    dag_version_id: version.dag_version_id,
    org_id: orgId,
    jobs: JSON.stringify(jobs),
  });
  await addReadsAndWrites(tx, version.dag_version_id, dag, jobIds, datasetIds, written.generationIds);
  return { ...version, made: written.made };
}

/**
 * What a job waited for may be no ancestor of its any more: nothing that ends later would look at the job again. And what is to
 * be built anew, or is to read other generations than before, is told by nothing but the deploy of the commits that these have.
 */
async function startWaiting(
  tx: Queryable,
  dagId: number,
  before: number | null,
  jobs: ReadonlySet<number>,
  switched: readonly SwitchDatasetsRow[],
): Promise<WakeupRow[]> {
  const ids = [...jobs].sort((a, b) => a - b);
  await tx.query(lockJobs, { job_ids: ids });
  await tx.query(fitInvalidations, { dag_id: dagId });
  await tx.query(unparkInvalidations, { job_ids: ids });
  await tellElsewhere(tx, ids, switched, null);
  const inputs = await tx.query(inputsUnread, { dag_id: dagId, before_version_id: before });
  if (inputs.length > 0) {
    const told = inputs.map(({ generation_id, head_commit }) => ({
      generation_id,
      commit_no: head_commit,
      partitions: null,
      elsewhere: false,
    }));
    const jobIds = [...new Set(inputs.map((row) => row.job_id))];
    await tx.query(addInvalidations, { commits: JSON.stringify(told), job_ids: jobIds, run_id: null });
  }
  return settle(tx, ids);
}

function jobRows(
  dag: DagDefinition,
  queueId: number,
  jobIds: ReadonlyMap<string, number>,
  kinds: ReadonlyMap<string, string>,
) {
  const ancestors = ancestorsOf(dag);
  const keyAncestors = keyAncestorsOf(dag, ancestors, kinds);
  return dag.jobs.map((job) => ({
    job_id: jobIds.get(job.name),
    queue_id: queueId,
    definition: job,
    failures_max: job.retries + 1,
    timeout_ms: job.timeout_ms,
    ancestors: [...(ancestors.get(job.name) ?? [])].map((name) => jobIds.get(name)),
    key_ancestors: (keyAncestors.get(job.name) ?? []).map((name) => jobIds.get(name)),
    max_concurrency: job.max_concurrency ?? null,
    tracked: job.inputs.length > 0 || job.outputs.length > 0,
    partition_keys: job.partitions === undefined ? null : partitionKeys(job.partitions),
    per_partition: job.execution === "per_partition",
  }));
}

/** Within the DAG a version reads the generations that it writes itself; of other DAGs, whatever is current. */
async function addReadsAndWrites(
  tx: Queryable,
  versionId: number,
  dag: DagDefinition,
  jobIds: ReadonlyMap<string, number>,
  datasetIds: ReadonlyMap<string, number>,
  generationIds: ReadonlyMap<string, number>,
): Promise<void> {
  const inputs = dag.jobs.flatMap((job) =>
    job.inputs.map((input, position) => ({
      job_id: jobIds.get(job.name),
      dataset_id: datasetIds.get(input.dataset),
      position,
      read: input.read,
      generation_id: generationIds.get(input.dataset) ?? null,
    })),
  );
  await tx.query(addJobInputs, { dag_version_id: versionId, inputs: JSON.stringify(inputs) });
  const outputs = dag.jobs.flatMap((job) =>
    job.outputs.map(({ dataset, strategy, partition_by }) => ({
      job_id: jobIds.get(job.name),
      dataset_id: datasetIds.get(dataset),
      strategy,
      partition_by: partition_by ?? null,
      generation_id: generationIds.get(dataset),
    })),
  );
  await tx.query(addJobOutputs, { dag_version_id: versionId, outputs: JSON.stringify(outputs) });
}

/** Datasets that the DAG names, and how those that it writes are defined. */
interface Claimed {
  readonly datasetIds: ReadonlyMap<string, number>;
  readonly definitions: ReadonlyMap<string, GenerationDefinition>;
}

/** Makes the datasets this DAG writes, checks those it only reads, and records who writes what. */
async function claimDatasets(
  tx: Queryable,
  orgId: number,
  dagId: number,
  dag: DagDefinition,
  jobIds: ReadonlyMap<string, number>,
): Promise<Claimed> {
  const writers = new Map(dag.jobs.flatMap((job) => job.outputs.map((output) => [output.dataset, job.name] as const)));
  const read = dag.jobs.flatMap((job) => job.inputs.map((input) => input.dataset));
  const names = [...new Set([...writers.keys(), ...read])].sort();
  const found = new Map((await tx.query(findDatasets, { org_id: orgId, names })).map((row) => [row.name, row]));
  const elsewhere = names.filter((name) => !writers.has(name));
  const missing = elsewhere.filter((name) => !found.has(name));
  refuse([
    ...[...writers].flatMap(([dataset]) => foreignWriter(found.get(dataset), dag.dag)),
    ...(missing.length === 0 ? [] : await missingInputs(tx, orgId, dag, missing)),
  ]);
  const kinds = await tx.query(partitioningOf, { org_id: orgId, names: elsewhere });
  const others = new Map(kinds.map((row) => [row.name, row.partitioning]));
  const definitions = generationDefinitions(dag, others);
  for (const [name, { partitioning }] of definitions) others.set(name, partitioning);
  refuse([...partitionFaults(dag, others).map(notByPartition), ...partitionFilterFaults(dag, others).map(notFiltered)]);
  const datasetIds = new Map([...found].map(([name, row]) => [name, row.dataset_id]));
  for (const [dataset, job] of writers) {
    let generationId: number | null = null;
    if (!datasetIds.has(dataset)) {
      const made = await makeDataset(tx, orgId, dataset, definitions.get(dataset) as GenerationDefinition);
      datasetIds.set(dataset, made.dataset_id);
      generationId = made.generation_id;
    }
    await tx.query(setDataset, {
      dataset_id: datasetIds.get(dataset) ?? 0,
      generation_id: generationId,
      producer_job_id: jobIds.get(job) ?? null,
    });
  }
  await tx.query(releaseDatasets, {
    dag_id: dagId,
    kept_dataset_ids: [...writers.keys()].map((name) => datasetIds.get(name) ?? 0),
  });
  return { datasetIds, definitions };
}

/** The call ends with the first of them; the others travel beside it. */
function refuse(errors: readonly TraceError[]): void {
  const [first] = errors;
  if (first === undefined) return;
  const parts = { detail: first.message, where: first.where, why: first.why, fix: first.fix };
  throw Object.assign(new TraceError(first.code, parts), { errors });
}

function notByPartition({ job, detail }: { readonly job: string; readonly detail: string }): TraceError {
  return new TraceError("TR-4030", {
    detail,
    where: `jobs.${job}.execution`,
    why: "a task of such a job is for one partition of its inputs, and reads the partition with the same key of each",
    fix: "take 'execution: per_partition' out, or read datasets whose partitions have the same keys",
  });
}

function notFiltered({ job, dataset, at }: { job: string; dataset: string; at: number }): TraceError {
  return new TraceError("TR-4032", {
    detail: `job '${job}' reads '${dataset}' by the keys of partitions, and '${dataset}' has no partitions`,
    where: `jobs.${job}.inputs[${at}].where.partition`,
    why: "no row would pass, and the job would work on nothing",
    fix: `filter by a column ('trace dataset show ${dataset}' shows them), take 'partition' out of 'where', or give the job that writes '${dataset}' partitions`,
  });
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

/** Each with the dataset that may have been meant, as far as they are few: the deploy holds its locks meanwhile. */
async function missingInputs(
  tx: Queryable,
  orgId: number,
  dag: DagDefinition,
  names: readonly string[],
): Promise<TraceError[]> {
  const known = (await tx.query(someDatasetNames, { org_id: orgId })).map((row) => row.name);
  return names.map((name, index) => {
    return missingInput(dag, name, index < misspeltInputsMax ? nearest(name, known) : undefined);
  });
}

function missingInput(dag: DagDefinition, name: string, near: string | undefined): TraceError {
  const reader = dag.jobs.find((job) => job.inputs.some((input) => input.dataset === name));
  return new TraceError("TR-4010", {
    detail: `input '${name}' is written by no job of this DAG and is no dataset of this installation`,
    where: `jobs.${reader?.name}.inputs`,
    fix: `${near === undefined ? "correct the name," : `did you mean '${near}'? Otherwise`} add the job that writes it, or deploy the DAG that does ('trace dataset list' shows what there is)`,
  });
}
