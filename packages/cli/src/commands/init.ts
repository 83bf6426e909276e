/** `trace init`: writes a DAG file to begin with, from an example or for a file of data. */
import { copyFile, mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { type DagDefinition, parseDag, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { dagSchemaFile, exampleData, exampleFile, exampleNames, inCheckout } from "../examples.ts";
import { Interrupted } from "../exit.ts";
import { type DraftColumn, draftText } from "../init/draft.ts";
import { infer } from "../init/infer.ts";
import { nameOf } from "../init/names.ts";
import { sniff } from "../init/sniff.ts";
import { columnsShownMax } from "../limits.ts";
import type { CliOf } from "../program.ts";
import type { QueryEngine } from "../query/engine.ts";
import { systemReason } from "../state/settings-file.ts";
import { plural } from "../terminal/format.ts";
import { cut, pad, printable } from "../terminal/width.ts";
import { examples, oneOf } from "./arguments.ts";

interface InitOptions {
  readonly template?: string;
  readonly from?: string;
  readonly force?: boolean;
}

/** What was written, for the answer. */
interface Written {
  readonly file: string;
  readonly dag: DagDefinition;
  /** The folder that the stack must be allowed to read. */
  readonly root: string;
  /** Files of data that were put beside the DAG file. */
  readonly data: readonly string[];
  readonly template?: string;
  readonly format?: string;
  readonly columns?: readonly (DraftColumn & { readonly declared: boolean })[];
}

export function registerInit(program: Command, cliOf: CliOf, engine: () => Promise<QueryEngine>): void {
  const names = exampleNames();
  program
    .command("init")
    .summary("write a DAG file to begin with")
    .description(
      "Writes a DAG file: an example with its data, or one that reads a file of yours, with every column and its type.",
    )
    .argument("[folder]", "where it is written (default: here)")
    .option("--template <name>", `an example: ${names.join(", ")} (default: quakes)`, oneOf(names))
    .option("--from <file>", "CSV, JSON, JSON Lines, GeoJSON or Parquet, packed with gzip or zstd or not")
    .option("--force", "replace the DAG file if it exists")
    .addHelpText(
      "after",
      examples(
        ["trace init --from orders.csv", "writes orders.yaml, which reads orders.csv"],
        ["trace init pipelines --from data/orders.jsonl.gz", "into another folder"],
        ["trace init demo --template quakes", "the example, with its data"],
      ),
    )
    .action(async (folder: string | undefined, options: InitOptions, command: Command) => {
      const cli = cliOf(command);
      if (options.from !== undefined && options.template !== undefined) {
        throw new TraceError("TR-7001", {
          detail: "--from and --template exclude each other",
          fix: "take an example, or a file of yours",
        });
      }
      const target = resolve(cli.io.cwd, folder ?? ".");
      const written =
        options.from === undefined
          ? await fromTemplate(target, options.template ?? "quakes", options.force === true)
          : await fromFile(cli, { target, from: options.from, force: options.force === true, folder, engine });
      await answer(cli, written);
    });
}

async function fromTemplate(target: string, name: string, force: boolean): Promise<Written> {
  const example = await readFile(exampleFile(name), "utf8");
  const text = example.replace(
    /^# yaml-language-server: .*$/m,
    `# yaml-language-server: $schema=${schemaFrom(target)}`,
  );
  const dag = parsed(text, exampleFile(name));
  const folder = exampleData();
  const file = join(target, `${name}.yaml`);
  await write(file, text, force);
  const data: string[] = [];
  for (const job of dag.jobs) {
    if (job.operator !== "ingest" || job.config.source.kind !== "file") continue;
    const { path } = job.config.source;
    if (await place(join(folder, path), join(target, path))) data.push(join(target, path));
  }
  return { file, dag, root: target, data, template: name };
}

/** Copies a file that is not there yet. Whatever is there stays, as it may be somebody's own. */
async function place(from: string, to: string): Promise<boolean> {
  try {
    await mkdir(dirname(to), { recursive: true });
    await copyFile(from, to, 1);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw unwritable(to, error);
  }
}

interface FromFile {
  readonly target: string;
  readonly from: string;
  readonly force: boolean;
  readonly folder: string | undefined;
  readonly engine: () => Promise<QueryEngine>;
}

async function fromFile(cli: Cli, { target, from, force, folder, engine }: FromFile): Promise<Written> {
  const path = resolve(cli.io.cwd, from);
  const { format, sayFormat } = await sniff(path);
  const name = nameOf(path);
  const file = join(target, `${name}.yaml`);
  if (!force) await mustBeFree(file);
  const found = await looked(cli, engine, path, format);
  const below = relative(target, path);
  const inside = !below.startsWith(`..${sep}`) && below !== path;
  const text = draftText(
    {
      dag: name,
      path: inside ? below.split(sep).join("/") : path,
      format,
      sayFormat,
      csv: found.csv,
      columns: found.columns,
      lookedAt: found.lookedAt,
      schema: schemaFrom(target),
      command: cli.command("init", ...(folder === undefined ? [] : [folder]), "--from", from),
    },
    found.declared,
  );
  const dag = parsed(text, path);
  await write(file, text, force);
  const declared = new Set(found.declared.map((column) => column.name));
  const columns = found.columns.map((column) => ({ ...column, declared: declared.has(column.name) }));
  return { file, dag, root: inside ? target : dirname(path), data: [], format, columns };
}

async function looked(
  cli: Cli,
  startEngine: () => Promise<QueryEngine>,
  path: string,
  format: Parameters<typeof infer>[2],
) {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const engine = await startEngine();
  try {
    return await infer(engine, path, format, abort.signal);
  } catch (error) {
    if (abort.signal.aborted) throw new Interrupted();
    throw error;
  } finally {
    await engine.stop();
    release();
  }
}

/** What was written must be what can be deployed; else the path is one that no DAG file can say. Throws TR-7014. */
function parsed(text: string, path: string): DagDefinition {
  const result = parseDag(text, basename(path));
  if (result.ok) return result.dag;
  const [first] = result.diagnostics;
  throw new TraceError("TR-7014", {
    detail: "no DAG file can be written for this file",
    where: path,
    why: first === undefined ? undefined : `${first.message} (${first.path})`,
    fix: "give the file a shorter name of plain letters, or put it into another folder",
  });
}

/** How the first line names the schema: from a folder of this checkout by a path that moves with it. */
function schemaFrom(target: string): string {
  return inCheckout(target) ? relative(target, dagSchemaFile).split(sep).join("/") : dagSchemaFile;
}

/** Before any work, as looking at a large file takes its time. Writing looks again. */
async function mustBeFree(file: string): Promise<void> {
  try {
    await realpath(file);
  } catch {
    return;
  }
  throw exists(file);
}

function exists(file: string): TraceError {
  return new TraceError("TR-7005", {
    detail: "the DAG file exists already",
    where: file,
    fix: "name another folder, or replace it with --force",
  });
}

async function write(file: string, text: string, force: boolean): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { flag: force ? "w" : "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && !force) throw exists(file);
    throw unwritable(file, error);
  }
}

function unwritable(file: string, cause: unknown): TraceError {
  const fix = "name a folder that you can write to";
  return new TraceError("TR-7005", {
    detail: "the file cannot be written",
    where: file,
    why: systemReason(cause),
    fix,
    cause,
  });
}

async function answer(cli: Cli, written: Written): Promise<void> {
  const { dag, columns, template, format, data, root } = written;
  const datasets = dag.jobs.flatMap((job) => job.outputs.map((output) => output.dataset));
  const jobs = dag.jobs.map((job) => job.name);
  const roots = await rootsWith(cli, root);
  if (cli.json) {
    const of = { ...(template === undefined ? {} : { template }), ...(format === undefined ? {} : { format }) };
    const found = columns === undefined ? {} : { columns };
    const missing = roots.length === 0 ? null : root;
    cli.printJson({
      file: written.file,
      dag: dag.dag,
      jobs,
      datasets,
      ...of,
      ...found,
      data,
      root,
      missing_root: missing,
    });
    return;
  }
  const { green, bold } = cli.outColors;
  const shown = shownPath(cli, written.file);
  const parts = columns === undefined ? plural(jobs.length, "job") : `${plural(columns.length, "column")} of ${format}`;
  cli.print(`${green("wrote")} ${printable(shown)}: DAG ${bold(dag.dag)}, ${parts}`);
  for (const path of data) cli.print(`  with its data ${printable(shownPath(cli, path))}`);
  if (columns !== undefined) cli.print(...columnLines(columns, cli.outWidth));
  cli.say("");
  const up = roots.flatMap((one) => ["--root", one]);
  cli.sayNext([
    ...(up.length === 0 ? [] : [[cli.command("up", ...up), "a stack that may read the data"] as const]),
    [cli.command("deploy", shown), "make it current"],
    [cli.command("run", dag.dag), "run it and watch"],
  ]);
}

function shownPath(cli: Cli, path: string): string {
  const below = relative(cli.io.cwd, path);
  return below !== "" && !below.startsWith("..") ? below : path;
}

function columnLines(columns: readonly DraftColumn[], width: number): string[] {
  const shown = columns.slice(0, columnsShownMax).map(({ name, type }) => [cut(printable(name), 40), type] as const);
  const widest = Math.max(0, ...shown.map(([name]) => name.length));
  const lines = shown.map(
    ([name, type]) => `  ${pad(name, widest)}  ${cut(printable(type), Math.max(20, width - widest - 4))}`,
  );
  if (columns.length > shown.length) lines.push(`  and ${plural(columns.length - shown.length, "more column")}`);
  return lines;
}

/**
 * The folders that the stack must be started with, so that it may read this one beside what it may read now; none where it may
 * already.
 */
async function rootsWith(cli: Cli, root: string): Promise<string[]> {
  // Loaded here alone: it brings the server side along.
  const { settingsOf } = await import("../up/settings.ts");
  const given = { roots: undefined, allow: undefined };
  const { roots } = settingsOf(cli.state.dir, given, cli.io.env, cli.io.cwd);
  return roots.includes(root) ? [] : [...roots, root];
}
