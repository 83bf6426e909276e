/**
 * `sql`: one SELECT for each output over the job's pinned inputs, each a view of its dataset's name. It always runs: functions
 * such as `now()` and `random()` make something new of the same inputs.
 */
import type { JobInput } from "@trace/contracts";
import type { DuckInput } from "@trace/duck";
import { type FetchedInput, fetchInputs, partitionName } from "../inputs.ts";
import { configOf, type Operator } from "./operator.ts";
import { queryAndStage } from "./query.ts";

export const sql: Operator = {
  async run(context) {
    const { sql } = configOf(context, "sql");
    const declared = new Map(context.task.job.inputs.map((input) => [input.dataset, input]));
    const fetched = await fetchInputs(context);
    const inputs = fetched.map((input) => inputOf(input, declared.get(input.dataset.dataset)));
    return queryAndStage(context, { inputs, sql });
  },
};

/** The columns are those that were committed, whatever each file has: files of a time before a column have none of it. */
function inputOf({ dataset, files }: FetchedInput, declared: JobInput | undefined): DuckInput {
  const where = Object.entries(declared?.where ?? {}).filter(([name]) => name !== partitionName);
  return {
    name: dataset.dataset,
    files,
    format: "parquet",
    schema: dataset.schema.map(({ name, type }) => ({ name, type })),
    ...(where.length === 0 ? {} : { where: Object.fromEntries(where) }),
  };
}
