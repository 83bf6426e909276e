/**
 * Generations: a dataset whose definition changed is built anew beside what is there, and readers elsewhere see the old one until
 * everything that the DAG version writes anew has a commit. Then all of its datasets switch in one transaction.
 */
import { createHash } from "node:crypto";
import { newId, type Queryable } from "@trace/kit";
import { type GenerationDefinition, notPartitioned, sameDefinition } from "./rules/generations.ts";
import {
  addDataset,
  addGeneration,
  generationsOf,
  generationsOfVersion,
  lockSwitches,
  type SwitchDatasetsRow,
  setSwitches,
  switchDatasets,
} from "./sql/statements.gen.ts";

/** A generation that a deploy made. */
export interface NewGeneration {
  readonly dataset: string;
  readonly generation: number;
}

/** What a version of a DAG writes, by dataset, and what had to be made for it. */
export interface Written {
  readonly generationIds: ReadonlyMap<string, number>;
  readonly made: NewGeneration[];
}

/**
 * These generations have their first commit: switches whatever waited for the last of them. Returns what is current now and was
 * not. Few commits are a first one, and the rest never come here.
 */
export async function switchGenerations(
  tx: Queryable,
  generationIds: readonly number[],
): Promise<readonly SwitchDatasetsRow[]> {
  const waiting = await tx.query(lockSwitches, { generation_ids: generationIds });
  if (waiting.length === 0) return [];
  return tx.query(switchDatasets, { dag_ids: [...new Set(waiting.map((row) => row.dag_id))] });
}

/** The id of a folder of objects: generated, and never a name. */
function newStorageId(): string {
  return createHash("sha256").update(newId()).digest("hex").slice(0, 20);
}

/** A dataset that nobody has written yet, with its first generation. */
export async function makeDataset(tx: Queryable, orgId: number, name: string, definition: GenerationDefinition) {
  const [made] = await tx.query(addDataset, {
    public_id: newId(),
    org_id: orgId,
    name,
    storage_id: newStorageId(),
    strategy: definition.strategy,
    definition: JSON.stringify(definition),
    partitioned: definition.partitioning !== notPartitioned,
  });
  if (made === undefined) throw new Error("a dataset was not stored");
  return made;
}

/**
 * The generations that a new version writes: the one that the deployed version writes or the current one, where it is made by the
 * same definition, else one beside them. The caller holds the datasets.
 */
export async function generationsFor(
  tx: Queryable,
  dagId: number,
  datasetIds: ReadonlyMap<string, number>,
  definitions: ReadonlyMap<string, GenerationDefinition>,
): Promise<Written> {
  const wanted = [...definitions.keys()].map((name) => datasetIds.get(name) ?? 0);
  const rows = await tx.query(generationsOf, { dataset_ids: wanted, dag_id: dagId });
  const generationIds = new Map<string, number>();
  const made: NewGeneration[] = [];
  for (const row of rows) {
    const definition = definitions.get(row.name);
    if (definition === undefined) throw new Error(`dataset '${row.name}' has no definition`);
    if (row.written_id !== null && sameDefinition(row.written_definition, definition)) {
      generationIds.set(row.name, row.written_id);
    } else if (sameDefinition(row.current_definition, definition)) {
      generationIds.set(row.name, row.current_id);
    } else {
      const [added] = await tx.query(addGeneration, {
        dataset_id: row.dataset_id,
        storage_id: newStorageId(),
        strategy: definition.strategy,
        definition: JSON.stringify(definition),
        partitioned: definition.partitioning !== notPartitioned,
      });
      if (added === undefined) throw new Error(`dataset '${row.name}' is gone under its lock`);
      generationIds.set(row.name, added.generation_id);
      made.push({ dataset: row.name, generation: added.number });
    }
  }
  return { generationIds, made };
}

/**
 * A version of the DAG is current from now on: what it writes is to be switched to, at once if all of it has commits. Returns what
 * was switched.
 */
export async function wantGenerations(
  tx: Queryable,
  dagId: number,
  versionId: number,
): Promise<readonly SwitchDatasetsRow[]> {
  const rows = await tx.query(generationsOfVersion, { dag_version_id: versionId });
  const wanted = rows.filter((row) => row.generation_id !== row.current_id).map((row) => row.generation_id);
  await tx.query(setSwitches, { dag_id: dagId, generation_ids: wanted });
  return wanted.length === 0 ? [] : switchGenerations(tx, wanted);
}
