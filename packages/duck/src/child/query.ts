/** The order of a run inside the child: gate, views, lock, query. Nothing of the user's runs before the lock. */
import { progressEveryMs } from "../limits.ts";
import type { Reply, Request } from "../messages.ts";
import type { Engine } from "./engine.ts";
import { type Context, explain } from "./failures.ts";
import { type GateFindings, inspect, notOneSelect, Refusal } from "./gate.ts";
import { createView } from "./inputs.ts";
import { writeParquet } from "./parquet.ts";
import { placeOf } from "./place.ts";
import { sendRows } from "./rows.ts";
import { viewNameOf, viewsOf, withViews } from "./versions.ts";

export type Send = (reply: Reply) => Promise<void>;

/** Answers one request: replies end with `done`, `tables` or `error`. */
export async function answer(engine: Engine, request: Request, send: Send): Promise<void> {
  let context: Context = { stage: "run", request };
  try {
    const views = request.kind === "run" ? viewsOf(request.inputs) : undefined;
    const { findings, regenerated } = await gate(engine, request.sql, views);
    if (request.kind === "tables") return await send({ kind: "tables", tables: findings.tables });

    context = { stage: "open", request, findings };
    for (const [index, input] of request.inputs.entries()) {
      await createView(engine, { ...input, name: viewNameOf(input, index) });
    }

    context = { stage: "run", request, findings };
    const { output } = request;
    const files = request.inputs.flatMap((input) => input.files);
    await engine.lock(files, output.kind === "parquet" ? output.folder : undefined);
    await send(await withProgress(engine, send, () => execute(engine, regenerated, output, send)));
  } catch (error) {
    await send({ kind: "error", error: explain(error, context) });
  }
}

type RunRequest = Extract<Request, { kind: "run" }>;

async function execute(engine: Engine, sql: string, output: RunRequest["output"], send: Send): Promise<Reply> {
  const peakRssBytes = () => process.resourceUsage().maxRSS * 1024;
  if (output.kind === "rows") {
    const { rowCount, truncated } = await sendRows(engine, sql, output, send);
    return { kind: "done", rowCount, truncated, peakRssBytes: peakRssBytes() };
  }
  const { rowCount, stats } = await writeParquet(engine, sql, output.file);
  return { kind: "done", rowCount, truncated: false, stats, peakRssBytes: peakRssBytes() };
}

interface Passed {
  readonly findings: GateFindings;
  /** What DuckDB writes back from the tree that was inspected: the only text of the user's that runs. */
  readonly regenerated: string;
}

async function gate(engine: Engine, sql: string, views: ReadonlyMap<string, string> | undefined): Promise<Passed> {
  const [serialized] = await engine.rows("SELECT json_serialize_sql($1::VARCHAR)::VARCHAR AS tree", [sql]);
  let text = serialized?.tree ?? "";
  const tree = parseTree(text);
  if (tree.error === true) throw parseError(sql, tree);
  const findings = inspect(tree, sql, views && new Set(views.keys()));
  if (views !== undefined && findings.tables.some((table) => table.at !== undefined)) {
    text = withViews(text, views);
    // What runs is what was inspected, so the tree is inspected again as it is now.
    inspect(parseTree(text), sql, new Set(views.values()));
  }
  const [written] = await engine.rows("SELECT json_deserialize_sql($1::JSON)::VARCHAR AS sql", [text]);
  return { findings, regenerated: (written?.sql ?? "").replace(/;\s*$/, "") };
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
    fix: "Correct the SQL at that place.",
  });
}

async function withProgress(engine: Engine, send: Send, work: () => Promise<Reply>): Promise<Reply> {
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
