/** Rules between the keys of one job: each mistake once, at its place, with what to write instead. */
import { describe, expect, test } from "vitest";
import type { Diagnostic } from "./diagnostic.ts";
import { parseDag } from "./parse.ts";

const job = (lines: string) => `dag: d\njobs:\n  a:\n    ${lines.replaceAll("\n", "\n    ")}\n`;
/** A sql job whose further lines begin at line 6. */
const sql = (more: string, text = "select 1") => job(`operator: sql\nsql: ${text}\n${more}`);
/** A sql job with input and output, whose further lines begin at line 8. */
const whole = (more: string, text = "select 1") => sql(`inputs: [q]\noutputs: [a]\n${more}`, text);
const ingest = (more: string) => job(`operator: ingest\nsource: { file: x.csv }\n${more}`);

function found(text: string): Diagnostic[] {
  const result = parseDag(text, "f");
  return result.ok ? result.warnings : result.diagnostics;
}

function place(one: Diagnostic): string {
  return `${one.code} ${one.line}:${one.column}-${one.endColumn} ${one.path}`;
}

type Case = [name: string, text: string, places: string[], suggestion?: string];
const cases: Case[] = [
  [
    "a further output without SQL",
    sql("inputs: [q]\noutputs: [a, b]"),
    ["TR-2028 7:18-19 jobs.a.outputs[1]"],
    "write { dataset: ..., sql: SELECT ... }",
  ],
  [
    "a further output of an ingest without SQL",
    ingest("outputs: [a, b]"),
    ["TR-2028 6:18-19 jobs.a.outputs[1]"],
    "write { dataset: ..., sql: SELECT ... }, or 'bad_rows: true' if it is to receive rows set aside",
  ],
  [
    "SQL of the first output",
    sql("inputs: [q]\noutputs: [{ dataset: a, sql: select 2 }]"),
    ["TR-2027 7:29-32 jobs.a.outputs[0].sql"],
    "write it as the 'sql' of the job",
  ],
  [
    "blank SQL of an output",
    sql("inputs: [q]\noutputs: [a, { dataset: b, sql: ' ' }]"),
    ["TR-2007 7:37-40 jobs.a.outputs[1].sql"],
  ],
  [
    "a column and partitions",
    sql("inputs: [q]\noutputs: [{ dataset: a, partition_by: m }]\npartitions: { keys: [x] }"),
    ["TR-2027 7:29-41 jobs.a.outputs[0].partition_by"],
    "remove one of them",
  ],
  [
    "a column and per_partition",
    sql("inputs: [q]\noutputs: [{ dataset: a, partition_by: m }]\nexecution: per_partition"),
    ["TR-2027 7:29-41 jobs.a.outputs[0].partition_by"],
    "remove one of them",
  ],
  [
    "partitions and per_partition",
    whole("partitions: { keys: [x] }\nexecution: per_partition"),
    ["TR-2027 9:16-29 jobs.a.execution"],
    "remove one of them",
  ],
  ["an ingest per partition", ingest("outputs: [a]\nexecution: per_partition"), ["TR-2008 7:5-14 jobs.a.execution"]],
  [
    "partitions of a noop",
    job("operator: noop\npartitions: { keys: [x] }"),
    ["TR-2008 5:5-15 jobs.a.partitions"],
    "remove 'partitions', or change the operator",
  ],
  [
    "another execution",
    whole("execution: per_partitions"),
    ["TR-2007 8:16-30 jobs.a.execution"],
    "did you mean 'per_partition'?",
  ],
  [
    "new rows into an output that is replaced",
    sql("inputs: [{ dataset: q, read: new }]\noutputs: [a]"),
    ["TR-2030 6:34-37 jobs.a.inputs[0].read"],
    "write { dataset: a, strategy: append } under 'outputs', or remove 'read: new'",
  ],
  [
    "new rows into a further output that is replaced",
    sql(
      "inputs: [{ dataset: q, read: new }]\noutputs:\n  - { dataset: a, strategy: append }\n  - { dataset: b, sql: x }",
    ),
    ["TR-2030 9:9-10 jobs.a.outputs[1]"],
  ],
  [
    "new rows and partitions",
    sql("inputs: [{ dataset: q, read: new }]\noutputs: [{ dataset: a, strategy: append }]\npartitions: { keys: [x] }"),
    ["TR-2027 6:34-37 jobs.a.inputs[0].read"],
  ],
  [
    "another way to read",
    sql("inputs: [{ dataset: q, read: news }]\noutputs: [a]"),
    ["TR-2007 6:34-38 jobs.a.inputs[0].read"],
    "did you mean 'new'?",
  ],
  [
    "a filter of an input that nothing reads",
    job("operator: noop\ninputs: [{ dataset: q, where: { c: 1 } }]"),
    ["TR-2008 5:28-33 jobs.a.inputs[0].where"],
  ],
  ["no filters", sql("inputs: [{ dataset: q, where: {} }]\noutputs: [a]"), ["TR-2007 6:28-33 jobs.a.inputs[0].where"]],
  [
    "no values",
    sql("inputs: [{ dataset: q, where: { c: [] } }]\noutputs: [a]"),
    ["TR-2007 6:37-38 jobs.a.inputs[0].where.c"],
  ],
  [
    "nothing after a column",
    sql("inputs:\n  - dataset: q\n    where:\n      c:\noutputs: [a]"),
    ["TR-2007 9:11-12 jobs.a.inputs[0].where.c"],
    "write the value, or null for rows that have none",
  ],
  [
    "a mapping as a value",
    sql("inputs: [{ dataset: q, where: { c: { gt: 1 } } }]\noutputs: [a]"),
    ["TR-2006 6:37-38 jobs.a.inputs[0].where.c"],
  ],
  [
    "a list in a list",
    sql("inputs: [{ dataset: q, where: { c: [1, [2]] } }]\noutputs: [a]"),
    ["TR-2006 6:44-45 jobs.a.inputs[0].where.c[1]"],
  ],
  [
    "a value listed twice",
    sql("inputs: [{ dataset: q, where: { c: [1, x, 1] } }]\noutputs: [a]"),
    ["TR-2025 6:47-48 jobs.a.inputs[0].where.c[2]"],
  ],
  [
    "a number that no double holds",
    sql("inputs: [{ dataset: q, where: { c: 9007199254740993 } }]\noutputs: [a]"),
    ["TR-2007 6:40-56 jobs.a.inputs[0].where.c"],
  ],
  [
    "a number as a key",
    sql("inputs: [{ dataset: q, where: { partition: 2001 } }]\noutputs: [a]"),
    ["TR-2006 6:48-52 jobs.a.inputs[0].where.partition"],
    "put the value in quotes",
  ],
  [
    "too many filters",
    sql(
      `inputs: [{ dataset: q, where: { ${Array.from({ length: 21 }, (_, c) => `c${c}: 1`).join(", ")} } }]\noutputs: [a]`,
    ),
    ["TR-2007 6:28-33 jobs.a.inputs[0].where"],
  ],
  [
    "an unknown key of an input",
    sql("inputs: [{ dataset: q, were: { c: 1 } }]\noutputs: [a]"),
    ["TR-2004 6:28-32 jobs.a.inputs[0].were"],
    "did you mean 'where'?",
  ],
  ["an input without a dataset", sql("inputs: [{ read: all }]\noutputs: [a]"), ["TR-2005 6:14-15 jobs.a.inputs[0]"]],
  [
    "an input listed in both forms",
    sql("inputs: [q, { dataset: q }]\noutputs: [a]"),
    ["TR-2025 6:28-29 jobs.a.inputs[1].dataset"],
  ],
  [
    "an unknown key of an output",
    sql("inputs: [q]\noutputs: [{ dataset: a, partition_on: m }]"),
    ["TR-2004 7:29-41 jobs.a.outputs[0].partition_on"],
    "did you mean 'partition_by'?",
  ],
  [
    "a key of an output in the job",
    whole("partition_by: m"),
    ["TR-2004 8:5-17 jobs.a.partition_by"],
    "'partition_by' belongs in an item of 'outputs'",
  ],
  ["a key of a range in the job", whole("every: month"), ["TR-2004 8:5-10 jobs.a.every"], "'every' belongs in 'range'"],
  [
    "version 0",
    sql("inputs: [q]\noutputs: [{ dataset: a, version: 0 }]"),
    ["TR-2007 7:38-39 jobs.a.outputs[0].version"],
  ],
  [
    "a version with a fraction",
    sql("inputs: [q]\noutputs: [{ dataset: a, version: 1.5 }]"),
    ["TR-2007 7:38-41 jobs.a.outputs[0].version"],
  ],
  [
    "a version as text",
    sql("inputs: [q]\noutputs: [{ dataset: a, version: v2 }]"),
    ["TR-2006 7:38-40 jobs.a.outputs[0].version"],
  ],
  [
    "rows set aside to nowhere",
    ingest("outputs: [a]\non_bad_row: set_aside"),
    ["TR-2029 7:17-26 jobs.a.on_bad_row"],
    "add { dataset: name_of_a_dataset, bad_rows: true } under 'outputs'",
  ],
  [
    "an output for bad rows of a job that fails at them",
    ingest("outputs: [a, { dataset: b, bad_rows: true }]"),
    ["TR-2029 6:32-40 jobs.a.outputs[1].bad_rows"],
    "add 'on_bad_row: set_aside' to the job",
  ],
  [
    "two outputs for bad rows",
    ingest("on_bad_row: set_aside\noutputs: [a, { dataset: b, bad_rows: true }, { dataset: c, bad_rows: true }]"),
    ["TR-2029 7:64-72 jobs.a.outputs[2].bad_rows"],
  ],
  [
    "bad rows before what the job makes",
    ingest("on_bad_row: set_aside\noutputs: [{ dataset: b, bad_rows: true }]"),
    ["TR-2029 7:29-37 jobs.a.outputs[0].bad_rows"],
    "put the output that the job makes before it",
  ],
  [
    "bad rows kept longer than the rows beside them",
    ingest("on_bad_row: set_aside\noutputs: [a, { dataset: b, bad_rows: true, strategy: append }]"),
    ["TR-2029 7:58-64 jobs.a.outputs[1].strategy"],
    "remove 'strategy' here: it is that of the first output",
  ],
  [
    "bad rows with SQL of their own",
    ingest("on_bad_row: set_aside\noutputs: [a, { dataset: b, bad_rows: true, sql: x }]"),
    ["TR-2027 7:48-51 jobs.a.outputs[1].sql"],
  ],
  [
    "bad rows of a sql job",
    sql("inputs: [q]\noutputs: [a, { dataset: b, bad_rows: true }]"),
    ["TR-2029 7:32-40 jobs.a.outputs[1].bad_rows"],
  ],
  ["another rule for bad rows", ingest("outputs: [a]\non_bad_row: skip"), ["TR-2007 7:17-21 jobs.a.on_bad_row"]],
  [
    "bad rows set aside by a sql job",
    whole("on_bad_row: set_aside"),
    ["TR-2008 8:5-15 jobs.a.on_bad_row"],
    "remove 'on_bad_row', or change the operator",
  ],
  ["neither keys nor a range", whole("partitions: {}"), ["TR-2031 8:5-15 jobs.a.partitions"]],
  [
    "both keys and a range",
    whole("partitions: { keys: [x], range: { from: 2001, to: 2002, every: year } }"),
    ["TR-2031 8:19-23 jobs.a.partitions.keys"],
  ],
  ["no keys", whole("partitions: { keys: [] }"), ["TR-2007 8:19-23 jobs.a.partitions.keys"]],
  ["a key listed twice", whole("partitions: { keys: [x, y, x] }"), ["TR-2025 8:32-33 jobs.a.partitions.keys[2]"]],
  [
    "a key that is a number",
    whole("partitions: { keys: [007] }"),
    ["TR-2006 8:26-29 jobs.a.partitions.keys[0]"],
    "put the value in quotes if it is meant as text",
  ],
  ["an empty key", whole("partitions: { keys: [''] }"), ["TR-2007 8:26-28 jobs.a.partitions.keys[0]"]],
  [
    "a key too long",
    whole(`partitions: { keys: [${"k".repeat(257)}] }`),
    ["TR-2007 8:26-283 jobs.a.partitions.keys[0]"],
  ],
  [
    "a range without an end",
    whole("partitions: { range: { from: 2001, every: year } }"),
    ["TR-2005 8:19-24 jobs.a.partitions.range"],
  ],
  [
    "an unknown step",
    whole("partitions: { range: { from: 2001, to: 2002, every: months } }"),
    ["TR-2007 8:57-63 jobs.a.partitions.range.every"],
    "did you mean 'month'?",
  ],
  [
    "a bound that is no time",
    whole("partitions: { range: { from: 2001-13, to: 2002-01, every: month } }"),
    ["TR-2031 8:34-41 jobs.a.partitions.range.from"],
  ],
  [
    "a bound within a step",
    whole("partitions: { range: { from: 2001-01-15, to: 2002-01, every: month } }"),
    ["TR-2031 8:34-44 jobs.a.partitions.range.from"],
    "write 2001-01",
  ],
  [
    "a range that runs backwards",
    whole("partitions: { range: { from: 2002-01, to: 2001-01, every: month } }"),
    ["TR-2031 8:47-54 jobs.a.partitions.range.to"],
  ],
  [
    "a range of too many steps",
    whole("partitions: { range: { from: 2001, to: 2003, every: hour } }"),
    ["TR-2031 8:44-48 jobs.a.partitions.range.to"],
    "take longer steps, or a shorter range",
  ],
  [
    "a year of three digits",
    whole("partitions: { range: { from: 201, to: 2003, every: year } }"),
    ["TR-2007 8:34-37 jobs.a.partitions.range.from"],
  ],
  [
    "a parameter without partitions",
    whole("retries: 1", "select $partition"),
    ["TR-2032 5:17-27 jobs.a.sql"],
    "add 'partitions:' to the job, or write the value itself",
  ],
  [
    "a parameter of time without times",
    whole("partitions: { keys: [x] }", "select $partition, $partition_end"),
    ["TR-2032 5:29-43 jobs.a.sql"],
    "use $partition, which is the key itself",
  ],
  [
    "a parameter of time with the keys of inputs",
    whole("execution: per_partition", "select $partition, $partition_start"),
    ["TR-2032 5:29-45 jobs.a.sql"],
  ],
  [
    "a misspelt parameter",
    whole("partitions: { range: { from: 2001, to: 2002, every: year } }", "select $partition_stat"),
    ["TR-2032 5:17-32 jobs.a.sql"],
    "did you mean '$partition_start'?",
  ],
  [
    "a parameter in a block, at its own line",
    job(
      "operator: sql\nsql: |\n  select 'it''s $partition' -- $partition\n  where x = $partition\ninputs: [q]\noutputs: [a]",
    ),
    ["TR-2032 7:17-27 jobs.a.sql"],
  ],
  [
    "a parameter of a further output",
    sql("inputs: [q]\noutputs: [a, { dataset: b, sql: select $1 }]"),
    ["TR-2032 7:44-46 jobs.a.outputs[1].sql"],
    "known here: $partition, $partition_start, $partition_end",
  ],
  [
    "a Parquet file that is packed twice",
    job("operator: ingest\noutputs: [a]\nsource: { file: x.parquet, compression: zstd }"),
    ["TR-2007 6:32-43 jobs.a.source.compression"],
  ],
  [
    "another way of packing",
    job("operator: ingest\noutputs: [a]\nsource: { file: x.csv, compression: gzipp }"),
    ["TR-2007 6:41-46 jobs.a.source.compression"],
    "did you mean 'gzip'?",
  ],
  [
    "a comment that is the delimiter",
    job('operator: ingest\noutputs: [a]\nsource: { file: x.csv, csv: { delimiter: ";", comment: ";" } }'),
    ["TR-2007 6:60-63 jobs.a.source.csv.comment"],
  ],
  [
    "lines to skip below none",
    job("operator: ingest\noutputs: [a]\nsource: { file: x.csv, csv: { skip: -1 } }"),
    ["TR-2007 6:41-43 jobs.a.source.csv.skip"],
  ],
  [
    "another rule for ragged rows",
    job("operator: ingest\noutputs: [a]\nsource: { file: x.csv, csv: { ragged: padd } }"),
    ["TR-2007 6:43-47 jobs.a.source.csv.ragged"],
    "did you mean 'pad'?",
  ],
];

describe("one mistake is shown once, at its place", () => {
  test.each(cases)("%s", (_name, text, places, suggestion) => {
    expect(found(text).map(place)).toEqual(places);
    if (suggestion !== undefined) expect(found(text)[0]?.suggestion).toBe(suggestion);
  });
});

describe("what is meant is taken", () => {
  const taken = (text: string) => {
    const result = parseDag(text, "f");
    if (!result.ok) throw new Error(result.diagnostics.map((one) => one.message).join("\n"));
    return { ...result.dag.jobs[0], warnings: result.warnings };
  };

  test("a range of months, whose years YAML reads as numbers or text", () => {
    const text = whole(
      "partitions: { range: { from: 2001, to: 2001-07, every: month } }",
      "select $partition, $partition_start, $partition_end",
    );
    expect(taken(text)).toMatchObject({
      partitions: { kind: "range", from: "2001-01", to: "2001-07", every: "month" },
      warnings: [],
    });
  });

  test("filters of one value, of several, and of none", () => {
    const where = "{ origin: SFO, carrier: [UA, AA], delay: null, partition: ['2001-01'], on: true }";
    expect(taken(sql(`inputs: [{ dataset: q, where: ${where} }]\noutputs: [a]`))).toMatchObject({
      inputs: [
        {
          dataset: "q",
          read: "all",
          where: { origin: ["SFO"], carrier: ["UA", "AA"], delay: [null], partition: ["2001-01"], on: [true] },
        },
      ],
    });
  });

  test("new rows into an output that is added to", () => {
    const text = sql("inputs: [{ dataset: q, read: new }]\noutputs: [{ dataset: a, strategy: append }]");
    expect(taken(text)).toMatchObject({ inputs: [{ read: "new" }], outputs: [{ strategy: "append" }] });
  });

  test("bad rows are kept as the rows beside them", () => {
    const text = ingest(
      "on_bad_row: set_aside\noutputs: [{ dataset: a, strategy: append, version: 3 }, { dataset: b, bad_rows: true }]",
    );
    expect(taken(text)).toMatchObject({
      config: { on_bad_row: "set_aside" },
      outputs: [
        { dataset: "a", strategy: "append", version: 3 },
        { dataset: "b", strategy: "append", version: 1, bad_rows: true },
      ],
    });
    const plain = ingest("outputs: [a, { dataset: b, sql: select 1, bad_rows: false }]");
    expect(taken(plain)).toMatchObject({
      outputs: [
        { dataset: "a", strategy: "replace", version: 1 },
        { dataset: "b", strategy: "replace", version: 1, sql: "select 1" },
      ],
    });
  });

  test("a job named like a key whose entries have names of their own", () => {
    expect(found("dag: d\njobs:\n  columns: { operator: noop, retires: 1 }").map(place)).toEqual([
      "TR-2004 3:30-37 jobs.columns.retires",
    ]);
    expect(found("dag: d\njobs:\n  where: { operator: noop, retries: many }")[0]?.message).toBe(
      "'retries' must be a whole number from 0 to 20, not 'many'",
    );
  });
});
