/** What a deploy would do, as `trace deploy --plan` shows it. Nothing of it has been done. */
import { z } from "zod";
import { operatorNames } from "./dag/definition.ts";
import { nameSchema, sha256Schema } from "./names.ts";

export const keyChangeSchema = z.object({
  /** In the words of the file, with datasets by name: `sql`, `outputs.flights.version`. */
  key: z.string(),
  /** Any JSON value; null where there was none. */
  before: z.unknown(),
  after: z.unknown(),
});

const jobOfDagSchema = z.object({ dag: nameSchema, job: nameSchema });

export const planJobSchema = z.object({
  job: nameSchema,
  change: z.enum(["added", "removed", "changed", "unchanged"]),
  operator: z.enum(operatorNames),
  changes: z.array(keyChangeSchema),
  /** Tasks that read or write datasets, queued or running now: they go on as the version they were made with. */
  live_tasks: z.int().nonnegative(),
});
export type PlanJob = z.infer<typeof planJobSchema>;

export const planDatasetSchema = z.object({
  dataset: nameSchema,
  /** There is no such dataset yet. */
  created: z.boolean(),
  /** Who writes it; null: nobody. */
  writer_before: jobOfDagSchema.nullable(),
  writer_after: jobOfDagSchema.nullable(),
  /** Null: it goes on in the generation that it has. */
  generation: z
    .object({
      before: z.int().positive(),
      after: z.int().positive(),
      /** It would be made, empty; else it is one that was written before. */
      made: z.boolean(),
      /** Readers elsewhere would see it at once; else when all that the DAG writes anew has a commit. */
      switched: z.boolean(),
      because: z.array(keyChangeSchema),
    })
    .nullable(),
  /** Jobs of other DAGs that read it. */
  readers: z.array(jobOfDagSchema),
});
export type PlanDataset = z.infer<typeof planDatasetSchema>;

export const planStartSchema = jobOfDagSchema.extend({
  tasks: z.int().positive(),
  /** Keys of the first few of them, for a job of partitions. */
  partitions: z.array(z.string()),
});

export const dagPlanSchema = z
  .object({
    dag: nameSchema,
    version: sha256Schema,
    /** False: this version is the current one already. */
    changed: z.boolean(),
    /** The version that is current now; null for a DAG that is new. */
    current: z.object({ version: sha256Schema, number: z.int().positive() }).nullable(),
    jobs: z.array(planJobSchema),
    /** Datasets with something to tell, by name. */
    datasets: z.array(planDatasetSchema),
    /** Tasks that the deploy itself would start. */
    starts: z.array(planStartSchema),
  })
  .meta({ id: "DagPlan" });
export type DagPlan = z.infer<typeof dagPlanSchema>;
