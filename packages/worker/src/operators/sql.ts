/** `sql`: one SELECT over the job's pinned inputs, each a view of its dataset's name. */
import type { DuckInput } from "@trace/duck";
import { fetchInputs } from "../inputs.ts";
import { configOf, type Operator } from "./operator.ts";
import { queryAndStage } from "./query.ts";

export const sql: Operator = {
  async run(context) {
    const { sql } = configOf(context, "sql");
    const fetched = await fetchInputs(context);
    const inputs = fetched.map(({ dataset, files }): DuckInput => {
      const input = { name: dataset.dataset, files, format: "parquet" } as const;
      // Without a file there is nothing to find the columns in.
      if (files.length > 0) return input;
      return { ...input, columns: Object.fromEntries(dataset.schema.map(({ name, type }) => [name, type])) };
    });
    return [await queryAndStage(context, { inputs, sql })];
  },
};
