/** What a file holds, found out by DuckDB in its locked-down child: columns, their types, and how CSV is written. */
import type { IngestSource } from "@trace/contracts";
import type { DuckDialect, DuckInput } from "@trace/duck";
import { inferDeadlineMs } from "../limits.ts";
import type { QueryEngine } from "../query/engine.ts";
import { type Draft, type DraftColumn, type DraftCsv, declarable } from "./draft.ts";

export interface Inferred {
  readonly columns: readonly DraftColumn[];
  readonly csv: DraftCsv | undefined;
  readonly lookedAt: Draft["lookedAt"];
  /** Columns whose types can be declared, so that the file is read as it was found now. */
  readonly declared: readonly DraftColumn[];
}

/** Throws what DuckDB refuses the file with. */
export async function infer(
  engine: QueryEngine,
  path: string,
  format: IngestSource["format"],
  signal: AbortSignal,
): Promise<Inferred> {
  const source = { name: "source", files: [path], format } as const;
  const look = (input: DuckInput) =>
    engine.run({
      sql: "SELECT * FROM source LIMIT 0",
      inputs: [input],
      output: { kind: "rows", rowsMax: 0, bytesMax: 0 },
      limits: { deadlineMs: inferDeadlineMs },
      signal,
    });
  const result = await look(source);
  const found = result.inference?.find((one) => one.input === source.name);
  const columns = result.columns.map(({ name, type }) => ({ name, type }));
  const csv = format === "csv" && found?.dialect !== undefined ? optionsOf(found.dialect) : undefined;
  const lookedAt = found?.lookedAt ?? (format === "parquet" ? "declared" : "sample");
  const declared = declarable(format, columns);
  if (declared.length === 0) return { columns, csv, lookedAt, declared };
  // Names may have been made up for the file's own, and a declared type is read in another way than one that is found.
  const types = Object.fromEntries(declared.map(({ name, type }) => [name, type]));
  const again = await look({ ...source, columns: types, ...(csv === undefined ? {} : { csv }) }).catch(() => undefined);
  signal.throwIfAborted();
  const same = again !== undefined && JSON.stringify(again.columns) === JSON.stringify(result.columns);
  return { columns, csv: same ? csv : undefined, lookedAt, declared: same ? declared : [] };
}

/** What a reader of the DAG file should see, and nothing that is so in most files. */
function optionsOf(dialect: DuckDialect): DraftCsv {
  const { delimiter, quote, escape: before, header, skip, comment } = dialect;
  return {
    header,
    ...(delimiter.length === 1 ? { delimiter } : {}),
    ...(quote === '"' || quote.length > 1 ? {} : { quote }),
    ...(before === quote || before === '"' || before.length !== 1 ? {} : { escape: before }),
    ...(skip > 0 ? { skip } : {}),
    ...(comment !== undefined && comment.length === 1 ? { comment } : {}),
  };
}
