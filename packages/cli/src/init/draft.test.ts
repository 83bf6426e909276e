/** A drafted file is read back as what was found, whatever the columns and paths are called. */
import { parseDag } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Draft, declarable, draftText, yamlText } from "./draft.ts";

const draft: Draft = {
  dag: "orders",
  path: "orders.csv",
  format: "csv",
  sayFormat: false,
  csv: { header: true, delimiter: ";" },
  columns: [
    { name: "id", type: "BIGINT" },
    { name: "placed at", type: "TIMESTAMP" },
    { name: "lines", type: "STRUCT(item VARCHAR, n BIGINT)[]" },
  ],
  lookedAt: "all",
  schema: "../docs/dag.schema.json",
  command: "trace init --from orders.csv",
};

function read(text: string) {
  const result = parseDag(text, "draft.yaml");
  if (!result.ok) throw new Error(`${text}\n${result.diagnostics.map((one) => one.message).join("\n")}`);
  const [job] = result.dag.jobs;
  if (job?.operator !== "ingest") throw new Error("no ingest");
  return { dag: result.dag, source: job.config.source, warnings: result.warnings };
}

test("every column stands in the file with its type; a type that cannot be declared is told as a comment", () => {
  const text = draftText(draft, declarable("csv", draft.columns));
  expect(text.split("\n").slice(0, 25)).toEqual([
    "# yaml-language-server: $schema=../docs/dag.schema.json",
    "# Made by: trace init --from orders.csv",
    "# Every key: docs/dag-files.md",
    "dag: orders",
    "",
    "jobs:",
    "  ingest_orders:",
    "    operator: ingest",
    "    source:",
    "      file: orders.csv",
    "      csv: # as the file was found to be written",
    "        header: true",
    '        delimiter: ";"',
    "      columns: # types found by looking at every row; correct them here",
    "        id: BIGINT",
    '        "placed at": TIMESTAMP',
    "        # found at each run:",
    "        # lines: STRUCT(item VARCHAR, n BIGINT)[]",
    "    # sql: SELECT * FROM source # what is to be kept, by other names or of other types",
    "    # on_bad_row: set_aside     # rows that cannot be read go to an output with 'bad_rows: true'",
    "    outputs:",
    "      - dataset: orders",
    "        # strategy: append       # add to what is there, instead of taking its place",
    "        # partition_by: column   # a partition for each value of a column",
    "",
  ]);
  expect(read(text)).toMatchObject({
    dag: { dag: "orders", jobs: [{ name: "ingest_orders", outputs: [{ dataset: "orders" }] }] },
    source: { csv: { header: true, delimiter: ";" }, columns: { id: "BIGINT", "placed at": "TIMESTAMP" } },
    warnings: [],
  });
});

test("what the file has itself is told and not declared: types of Parquet, columns of GeoJSON's own", () => {
  expect(declarable("parquet", draft.columns)).toEqual([]);
  const text = draftText({ ...draft, path: "x.parquet", format: "parquet", csv: undefined, lookedAt: "declared" }, []);
  expect(text).toContain("      # columns: types as the file itself has them\n        # id: BIGINT\n");
  expect(read(text).source).toEqual({ kind: "file", path: "x.parquet", format: "parquet", compression: "auto" });
  const places = ["ID", "coordinates", "mag"].map((name) => ({ name, type: "DOUBLE" }));
  expect(declarable("geojson", places)).toEqual([{ name: "mag", type: "DOUBLE" }]);
});

test("the example of a job behind it can be taken as it stands", () => {
  const text = draftText(draft, []).replace(/^ {2}# ( *)(summarize|operator|inputs|sql|outputs)/gm, "  $1$2");
  expect(read(text.replace(/^ {2}#.*starts whenever.*\n/m, "")).dag.jobs.map((job) => job.name)).toEqual([
    "ingest_orders",
    "summarize_orders",
  ]);
});

test("hostile names and paths are read back as they are, and never end a comment", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
    fc.constantFrom(
      "null",
      "true",
      "<<",
      "__proto__",
      "a: b",
      "- x",
      "#",
      "*a",
      "&a",
      "!t",
      "'",
      '"',
      "\n",
      "\u0085",
      "\ufeff",
      "~",
      "no",
      "1",
      "%x",
    ),
  );
  fc.assert(
    fc.property(fc.uniqueArray(hostile, { minLength: 1, maxLength: 8 }), hostile, (names, path) => {
      const columns = names.map((name, index) => ({
        name,
        type: index % 3 === 2 ? `STRUCT("${name}" BIGINT)` : "BIGINT",
      }));
      const declared = declarable("json", columns);
      const safe =
        path.includes("\0") || !path.isWellFormed() || path.trim() === "" || /\.\.|:\/\//.test(path) ? "x" : path;
      const text = draftText(
        {
          ...draft,
          path: safe,
          format: "json",
          sayFormat: true,
          csv: undefined,
          columns,
          command: `trace init --from ${path}`,
        },
        declared,
      );
      const { source } = read(text);
      expect(source).toMatchObject({ path: safe });
      expect(Object.keys(source.columns ?? {}).sort()).toEqual(declared.map((column) => column.name).sort());
      expect(text.split("\n").filter((line) => line.startsWith("jobs:"))).toHaveLength(1);
    }),
    { numRuns: 300 },
  );
});

test("words that YAML reads as something else stand in quotes", () => {
  for (const word of ["null", "true", "No", "on", "12", "", "a b", "2001-01"]) expect(yamlText(word)).toBe(`"${word}"`);
  for (const word of ["orders", "data/a.csv", "x_1"]) expect(yamlText(word)).toBe(word);
});
