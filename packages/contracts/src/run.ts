/** DAG versions and runs as they cross a process. */
import { z } from "zod";
import { jobDefinitionSchema } from "./dag/definition.ts";
import { commitRefSchema } from "./dataset.ts";
import { nameSchema, sha256Schema, timeSchema, uuidSchema } from "./names.ts";
import { taskSchema } from "./task.ts";

export const deployAnswerSchema = z.object({
  dag: nameSchema,
  /** Content hash of the definition: comments and formatting do not change it. */
  version: sha256Schema,
  /** 1 for the first version of this DAG, and so on. */
  number: z.int().positive(),
  /** False when this version was the current one already. */
  changed: z.boolean(),
  jobs: z.array(nameSchema),
  datasets: z.array(nameSchema),
  /**
   * Generations that were made because the definition of a dataset changed. Readers in other DAGs see the ones before until each
   * of these has a commit.
   */
  generations: z.array(z.object({ dataset: nameSchema, generation: z.int().positive() })).optional(),
});

export const dagSchema = z
  .object({
    dag: nameSchema,
    description: z.string().nullable(),
    version: sha256Schema,
    number: z.int().positive(),
    deployed_at: timeSchema,
    jobs: z.array(jobDefinitionSchema),
  })
  .meta({ id: "Dag" });

export const runStates = ["running", "completed", "failed"] as const;

export const runSchema = z
  .object({
    run_id: uuidSchema,
    dag: nameSchema,
    version: sha256Schema,
    /** completed: every task of it ended well; failed: one is dead or canceled. */
    state: z.enum(runStates),
    created_at: timeSchema,
    ended_at: timeSchema.nullable(),
    tasks: z.array(taskSchema),
    /** Jobs of the DAG that this run will still start when what they read is committed. */
    waiting: z.array(nameSchema),
    commits: z.array(commitRefSchema),
  })
  .meta({ id: "Run" });
export type Run = z.infer<typeof runSchema>;
