/** The order of a run inside the child: gate, views, lock, query. Nothing of the user's runs before the lock. */
import { statSync } from "node:fs";
import { progressEveryMs } from "../limits.ts";
import type { ChildOutput, Reply, Request } from "../messages.ts";
import type { DuckInput, DuckParams } from "../types.ts";
import { BadRows } from "./bad-rows.ts";
import { writeParquet } from "./copy.ts";
import type { Engine } from "./engine.ts";
import { type Context, explain } from "./failures.ts";
import { sendFiles } from "./footer.ts";
import { type GateFindings, inspect, notOneSelect, Refusal } from "./gate.ts";
import { createView } from "./inputs.ts";
import { withParams } from "./params.ts";
import { placeOf } from "./place.ts";
import { type RowsDone, sendRows } from "./rows.ts";
import { unpack } from "./unpack.ts";
import { viewNameOf, viewsOf, withViews } from "./versions.ts";

export type Send = (reply: Reply) => Promise<void>;

/** Answers one request: replies end with `done`, `tables` or `error`. */
export async function answer(engine: Engine, request: Request, send: Send): Promise<void> {
  let context: Context = { stage: "run", request, sql: "" };
  try {
    if (request.kind === "tables") {
      context = { ...context, sql: request.sql };
      const { findings } = await gate(engine, request.sql, undefined, "any");
      return await send({ kind: "tables", tables: findings.tables });
    }
    const views = viewsOf(request.inputs);
    const passed: Passed[] = [];
    for (const { sql } of request.queries) {
      context = { stage: "run", request, sql };
      passed.push(await gate(engine, sql, views, request.params ?? {}));
    }
    const done = await withProgress(engine, send, async () => {
      const opened = await openInputs(engine, request, send, (inputs) => {
        context = { stage: "open", request: { ...request, inputs }, sql: "" };
      });
      await lock(engine, request, opened);
      let last: RowsDone = { rowCount: 0, truncated: false };
      for (const [index, { sql, output }] of request.queries.entries()) {
        const { findings, regenerated } = passed[index] as Passed;
        context = { ...context, stage: "run", sql, findings };
        last = await execute(engine, regenerated, output, {
          index,
          rowBytes: opened.rowBytes,
          bytes: opened.bytes,
          send,
        });
      }
      return last;
    });
    await send({ kind: "done", ...done, peakRssBytes: process.resourceUsage().maxRSS * 1024 });
  } catch (error) {
    await send({ kind: "error", error: explain(error, context) });
  }
}

type RunRequest = Extract<Request, { kind: "run" }>;

interface OpenedInputs {
  /** Exactly what the views read. */
  readonly files: readonly string[];
  /** About what the largest row weighs, and the most columns of an input. */
  readonly rowBytes: number;
  readonly columns: number;
  /** Of all files. */
  readonly bytes: number;
}

/** Makes the views. `looking` hears of the inputs as they are read, which is not under their own paths where unpacked. */
async function openInputs(
  engine: Engine,
  request: RunRequest,
  send: Send,
  looking: (inputs: readonly DuckInput[]) => void,
): Promise<OpenedInputs> {
  const budget = { left: request.unpackBytesMax, max: request.unpackBytesMax };
  const bad = request.badFolder === undefined ? undefined : await BadRows.open(engine);
  const inputs = [...request.inputs];
  const files: string[] = [];
  let rowBytes = 0;
  let columns = 0;
  looking(inputs);
  for (const [index, given] of request.inputs.entries()) {
    const { input, compression } = await unpack(given, engine.folder, budget);
    inputs[index] = input;
    looking(inputs);
    const view = await createView(engine, { ...input, name: viewNameOf(input, index) }, bad);
    files.push(...view.files);
    rowBytes = Math.max(rowBytes, view.rowBytes);
    columns = Math.max(columns, view.inference.columns.length);
    const packed = given.files.length === 0 || given.format === "parquet" ? {} : { compression };
    await send({ kind: "inference", inference: { ...view.inference, input: given.name, ...packed } });
  }
  if (bad !== undefined && request.badFolder !== undefined) await bad.write(request.badFolder, send);
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  return { files, rowBytes, columns, bytes };
}

async function lock(engine: Engine, request: RunRequest, opened: OpenedInputs): Promise<void> {
  const folders = request.queries.flatMap(({ output }) => (output.kind === "parquet" ? [output.folder] : []));
  if (folders.length > 0) await engine.boundPartitions(opened.rowBytes, opened.columns);
  await engine.lock(opened.files, folders);
}

interface Execution {
  readonly index: number;
  readonly bytes: number;
  readonly rowBytes: number;
  readonly send: Send;
}

async function execute(engine: Engine, sql: string, output: ChildOutput, run: Execution): Promise<RowsDone> {
  const { index, rowBytes, bytes, send } = run;
  if (output.kind === "rows") return sendRows(engine, sql, output, send);
  const written = await writeParquet(engine, sql, output, { rowBytes, bytes });
  await sendFiles(engine, output.folder, written, index, send);
  return { rowCount: 0, truncated: false };
}

interface Passed {
  readonly findings: GateFindings;
  /** What DuckDB writes back from the tree that was inspected: the only text of the user's that runs. */
  readonly regenerated: string;
}

/** `params`: "any" stands for values that are not known yet. */
async function gate(
  engine: Engine,
  sql: string,
  views: ReadonlyMap<string, string> | undefined,
  params: DuckParams | "any",
): Promise<Passed> {
  const [serialized] = await engine.rows("SELECT json_serialize_sql($1::VARCHAR)::VARCHAR AS tree", [sql]);
  let text = serialized?.tree ?? "";
  const written = parseTree(text);
  if (written.error === true) throw parseError(sql, written);
  text = withParams(text, params);
  const tree = parseTree(text);
  const findings = inspect(tree, sql, views && new Set(views.keys()));
  if (views !== undefined && findings.tables.some((table) => table.at !== undefined)) {
    text = withViews(text, views);
    // What runs is what was inspected, so the tree is inspected again as it is now.
    inspect(parseTree(text), sql, new Set(views.values()));
  }
  const [regenerated] = await engine.rows("SELECT json_deserialize_sql($1::JSON)::VARCHAR AS sql", [text]);
  return { findings, regenerated: (regenerated?.sql ?? "").replace(/;\s*$/, "") };
}

function parseTree(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    // DuckDB writes an infinite number literal (1e400) as a bare word that is not JSON.
    throw Object.assign(
      new Refusal({
        code: "TR-5202",
        detail: "The SQL holds a number that is too large to be checked.",
        fix: "Write 'infinity'::DOUBLE for infinity.",
      }),
      { cause },
    );
  }
}

function parseError(sql: string, tree: Record<string, unknown>): Refusal {
  const message = String(tree.error_message ?? "");
  if (tree.error_type !== "parser") {
    if (!/pivot/i.test(sql)) return notOneSelect();
    return new Refusal({
      code: "TR-5201",
      detail: "The SQL is not exactly one SELECT statement.",
      why: "A PIVOT without IN (...) becomes two statements: the first looks up which columns there will be.",
      fix: "Name the values: PIVOT t ON k IN ('a', 'b') USING count(*).",
    });
  }
  const offset = tree.position === undefined ? undefined : Number(tree.position);
  return new Refusal({
    code: "TR-5200",
    detail: `The SQL cannot be parsed: ${message}.`,
    where: placeOf(sql, offset),
    fix: /\bat\s*\(\s*(version|timestamp)\b/i.test(sql)
      ? "Correct the SQL at that place. An alias stands before AT: FROM quakes AS q AT (VERSION => 12)."
      : "Correct the SQL at that place.",
  });
}

async function withProgress<T>(engine: Engine, send: Send, work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    const percent = engine.percent();
    // A progress message that cannot be sent means the parent is gone, which ends this process by itself.
    if (percent !== undefined) send({ kind: "progress", percent }).catch(() => {});
  }, progressEveryMs);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
