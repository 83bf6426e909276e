/** `trace deploy FILE`: check a DAG file here, send it, say what changed. */
import { relative, resolve } from "node:path";
import {
  canonicalJson,
  type DagDefinition,
  type Diagnostic,
  dagSourceBytesMax,
  decodeDag,
  type JobDefinition,
  parseDag,
  renderDiagnostics,
  TraceError,
} from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { DagFileError } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { readSmallBytes } from "../state/settings-file.ts";
import { plural } from "../terminal/format.ts";
import { printable } from "../terminal/width.ts";
import { examples } from "./arguments.ts";
import { planLines } from "./deploy-plan.ts";

interface DagFile {
  /** As people see it: relative to where they are. */
  readonly name: string;
  readonly source: string;
  readonly dag: DagDefinition;
  readonly contentHash: string;
  readonly warnings: readonly Diagnostic[];
}

export function registerDeploy(program: Command, cliOf: CliOf): void {
  program
    .command("deploy")
    .summary("check a DAG file and make it current")
    .description("Checks a DAG file, all errors at once, and makes it the current version of its DAG.")
    .argument("<file>", "DAG file, YAML")
    .option("--check", "only check the file; nothing is sent, no stack is needed")
    .option("--plan", "tell what deploying it would change and start; nothing is written")
    .addHelpText(
      "after",
      examples(
        ["trace deploy quakes.yaml", "deploy it"],
        ["trace deploy quakes.yaml --check", "find every error first; exit code 1 when there is one"],
        ["trace deploy quakes.yaml --check --json", "the same for an editor or CI"],
        ["trace deploy quakes.yaml --plan", "what would change: jobs, datasets, and the tasks that would start"],
      ),
    )
    .action(async (file: string, options: { check?: boolean; plan?: boolean }, command: Command) => {
      const cli = cliOf(command);
      if (options.check === true && options.plan === true) {
        throw new TraceError("TR-7001", {
          detail: "--check and --plan exclude each other",
          fix: "take --check to find errors without a stack, or --plan to ask the stack what a deploy would do",
        });
      }
      const dagFile = await readDagFile(cli, file);
      if (dagFile.warnings.length > 0) {
        cli.say(renderDiagnostics(dagFile.warnings, { color: cli.errColors.bold("x") !== "x" }), "");
      }
      if (options.check === true) answerCheck(cli, dagFile);
      else if (options.plan === true) await plan(cli, dagFile);
      else await deploy(cli, dagFile);
    });
}

/** Throws TR-7004 (unreadable), DagFileError with every diagnostic. */
async function readDagFile(cli: Cli, file: string): Promise<DagFile> {
  const path = resolve(cli.io.cwd, file);
  const below = relative(cli.io.cwd, path);
  const name = below !== "" && !below.startsWith("..") ? below : path;
  const fault = { code: "TR-7004", what: "the DAG file", fix: "name a YAML file: trace deploy quakes.yaml" } as const;
  // A little above the bound, so that the parser says by how much the file is too large.
  const decoded = decodeDag(await readSmallBytes(path, fault, 4 * dagSourceBytesMax), name);
  if (!decoded.ok) throw new DagFileError(name, decoded.diagnostics);
  const source = decoded.text;
  const parsed = parseDag(source, name);
  if (!parsed.ok) throw new DagFileError(name, parsed.diagnostics);
  return { name, source, dag: parsed.dag, contentHash: parsed.contentHash, warnings: parsed.warnings };
}

function answerCheck(cli: Cli, file: DagFile): void {
  const { dag } = file;
  const datasets = dag.jobs.flatMap((job) => job.outputs.map((output) => output.dataset));
  if (cli.json) {
    const jobs = dag.jobs.map((job) => job.name);
    cli.printJson({ ok: true, dag: dag.dag, version: file.contentHash, jobs, datasets, warnings: file.warnings });
    return;
  }
  const { green, bold } = cli.outColors;
  const parts = `${plural(dag.jobs.length, "job")}, ${plural(datasets.length, "dataset")}`;
  cli.print(`${green("ok")} ${printable(file.name)}: DAG ${bold(dag.dag)}, ${parts}`);
  cli.say("");
  cli.sayNext([[cli.command("deploy", file.name), "make it current"]]);
}

async function plan(cli: Cli, file: DagFile): Promise<void> {
  await cli.withClient(async (client) => {
    const answer = await client.planDag({ body: { file_name: file.name.slice(-255), source: file.source } });
    if (cli.json) {
      cli.printJson({ ...answer, warnings: file.warnings });
      return;
    }
    cli.print(...planLines(answer, { palette: cli.outColors, width: cli.outWidth }));
    cli.say("", "Nothing was written.");
    if (answer.changed) cli.sayNext([[cli.command("deploy", file.name), "do it"]]);
  });
}

async function deploy(cli: Cli, file: DagFile): Promise<void> {
  await cli.withClient(async (client) => {
    const before = await jobsBefore(client, file.dag.dag);
    const answer = await client.deploy({ body: { file_name: file.name.slice(-255), source: file.source } });
    if (cli.json) {
      cli.printJson({ ...answer, warnings: file.warnings });
      return;
    }
    const { green, bold, dim } = cli.outColors;
    const version = `version ${answer.number} ${dim(`(${answer.version.slice(0, 12)})`)}`;
    if (!answer.changed) {
      cli.print(`${green("unchanged")} DAG ${bold(answer.dag)}: ${version} is current already`);
    } else {
      const parts = `${plural(answer.jobs.length, "job")}, ${plural(answer.datasets.length, "dataset")}`;
      cli.print(`${green("deployed")} DAG ${bold(answer.dag)} as ${version}: ${parts}`);
      for (const line of changeLines(before, file.dag.jobs)) cli.print(`  ${line}`);
      for (const { dataset, generation } of answer.generations ?? []) {
        cli.print(
          `  ${dataset} begins generation ${generation}; readers elsewhere see the one before until all are there`,
        );
      }
    }
    cli.say("");
    cli.sayNext([[cli.command("run", answer.dag), "run it now and watch"]]);
  });
}

/** The jobs of the version that is current until now; undefined for a DAG not seen before. */
async function jobsBefore(client: UserClient, dag: string): Promise<readonly JobDefinition[] | undefined> {
  const { dags } = await client.listDags({});
  return dags.find((candidate) => candidate.dag === dag)?.jobs;
}

function writes(job: JobDefinition): string {
  const from = job.inputs.length === 0 ? "" : ` from ${job.inputs.map((input) => input.dataset).join(", ")}`;
  const to = job.outputs.length === 0 ? "" : ` to ${job.outputs.map((output) => output.dataset).join(", ")}`;
  return `${job.operator}${from}${to}`;
}

/** One line per job that came, went or changed; for a new DAG, every job. Pure. */
export function changeLines(before: readonly JobDefinition[] | undefined, after: readonly JobDefinition[]): string[] {
  const known = new Map((before ?? []).map((job) => [job.name, job]));
  const lines: string[] = [];
  for (const job of after) {
    const old = known.get(job.name);
    known.delete(job.name);
    if (old === undefined) lines.push(`+ ${job.name}  ${writes(job)}`);
    else if (canonicalJson(old) !== canonicalJson(job)) lines.push(`~ ${job.name}  ${changedKeys(old, job)} changed`);
  }
  for (const job of known.values()) lines.push(`- ${job.name}  ${writes(job)}`);
  return lines;
}

function changedKeys(old: JobDefinition, job: JobDefinition): string {
  const a = old as unknown as Record<string, unknown>;
  const b = job as unknown as Record<string, unknown>;
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.filter((key) => canonicalJson(a[key] ?? null) !== canonicalJson(b[key] ?? null)).join(", ");
}
