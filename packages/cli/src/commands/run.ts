/** `trace run DAG`: start a run, watch it, show what it committed. */
import { type CommitRef, type Run, TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli, UserClient } from "../cli.ts";
import { exitCodes, Interrupted } from "../exit.ts";
import { errorLines } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { watchRun } from "../runs/watch.ts";
import { bytes, count, duration, plural } from "../terminal/format.ts";
import { renderTable } from "../terminal/table.ts";
import { durationArgument, examples, keyArguments, nameArgument, nameArguments } from "./arguments.ts";
import { withMeantDag } from "./dag-names.ts";

interface RunOptions {
  readonly job?: readonly string[];
  readonly partition?: readonly string[];
  readonly wait: boolean;
  readonly timeout?: number;
}

export function registerRun(program: Command, cliOf: CliOf): void {
  program
    .command("run")
    .summary("run a DAG now and watch it")
    .description(
      "Starts a run of a DAG and watches it to its end. The run belongs to Trace, not to this command: Ctrl-C or a lost connection ends the watching only.",
    )
    .argument("<dag>", "name of a deployed DAG", nameArgument)
    .option("--job <job...>", "only these jobs, and what depends on them", nameArguments)
    .option("--partition <key...>", "only these partitions of the jobs, which must all have them", keyArguments)
    .option("--no-wait", "start it and do not watch")
    .option("--timeout <time>", "stop watching after this, for example 10m (exit code 4)", durationArgument)
    .addHelpText(
      "after",
      examples(
        ["trace run quakes", "run it and watch; exit code 3 when it fails"],
        ["trace run quakes --job by_region", "one job"],
        ["trace run flights --job split --partition 2001-01 2001-02", "two partitions of a job"],
        ["trace run quakes --no-wait --json", "print the run and go on"],
      ),
    )
    .action(async (dag: string, options: RunOptions, command: Command) => {
      const cli = cliOf(command);
      await cli.withClient((client) => runDag(cli, client, dag, options));
    });
}

/** Throws TR-1006 and TR-3010 with the name that was probably meant. */
async function startRun(client: UserClient, dag: string, { job: jobs, partition }: RunOptions): Promise<Run> {
  try {
    const body = {
      ...(jobs === undefined ? {} : { jobs: [...jobs] }),
      ...(partition === undefined ? {} : { partitions: [...partition] }),
    };
    return await client.run({ params: { dag }, body });
  } catch (error) {
    throw await withMeantDag(client, error, { dag, jobs });
  }
}

async function runDag(cli: Cli, client: UserClient, dag: string, options: RunOptions): Promise<void> {
  const started = await startRun(client, dag, options);
  if (!options.wait) {
    if (cli.json) cli.printJson(started);
    else {
      cli.print(`run ${started.run_id} of ${dag} started: ${plural(started.tasks.length, "task")}`);
      cli.sayNext([[cli.command("task", "list", "--dag", dag), "see how it does"]]);
    }
    return;
  }
  const { dim, bold } = cli.errColors;
  cli.say(`run of ${bold(dag)} ${dim(started.run_id)}`);
  let ended: Run;
  try {
    ended = await watchRun(cli, client, started, { timeoutMs: options.timeout });
  } catch (error) {
    if (error instanceof Interrupted) sayItGoesOn(cli, started);
    throw error;
  }
  if (ended.state !== "completed") cli.endWith(exitCodes.endedBadly);
  if (cli.json) cli.printJson(ended);
  else await answerRun(cli, client, ended);
}

function sayItGoesOn(cli: Cli, run: Run): void {
  cli.say("", `The run goes on without you: ${run.run_id}`);
  cli.sayNext([[cli.command("task", "list", "--dag", run.dag), "see how it does"]]);
}

async function answerRun(cli: Cli, client: UserClient, run: Run): Promise<void> {
  const { green, red, bold } = cli.outColors;
  const tookMs = run.ended_at === null ? 0 : Date.parse(run.ended_at) - Date.parse(run.created_at);
  const good = run.state === "completed";
  cli.say("");
  cli.print(
    `${good ? green("completed") : red("failed")} run of ${bold(run.dag)} in ${duration(tookMs)}, ${plural(run.tasks.length, "task")}, ${plural(run.commits.length, "commit")}`,
  );
  if (run.commits.length > 0) await printCommits(cli, client, run.commits);
  for (const task of run.tasks) {
    if (task.state !== "dead" || task.error === null) continue;
    const more = cli.command("task", "show", task.task_id);
    const error = new TraceError(task.error.code, { ...task.error, where: task.error.where ?? `job ${task.job}` });
    cli.say("", ...errorLines(error, { width: cli.errWidth, palette: cli.errColors, more }));
  }
  const [first] = run.commits;
  if (!good) {
    const dead = run.tasks.find((task) => task.state === "dead" || task.state === "canceled");
    if (dead !== undefined) cli.say("");
    if (dead !== undefined) cli.sayNext([[cli.command("task", "logs", dead.task_id), "what it wrote"]]);
  } else if (first !== undefined) {
    const last = run.commits.at(-1) ?? first;
    cli.say("");
    cli.sayNext([
      [cli.command("query", `SELECT * FROM ${last.dataset} LIMIT 10`), "look at it"],
      last.commit > 1
        ? [cli.command("dataset", "diff", last.dataset), "what the newest commit changed"]
        : [cli.command("dataset", "show", last.dataset), "schema, commits, lineage"],
    ]);
  }
}

interface CommitSpan extends CommitRef {
  /** The first one of the run; `commit` is the last. */
  readonly first: number;
}

/** A dataset once, however many tasks committed to it. */
function spans(commits: readonly CommitRef[]): CommitSpan[] {
  const found = new Map<string, CommitSpan>();
  for (const ref of commits) {
    const key = `${ref.dataset} ${ref.generation}`;
    const before = found.get(key);
    const first = Math.min(before?.first ?? ref.commit, ref.commit);
    found.set(key, { ...ref, commit: Math.max(before?.commit ?? ref.commit, ref.commit), first });
  }
  return [...found.values()];
}

/** Commits with their sizes, where these are to be had: the commits stand, listed or not. */
async function printCommits(cli: Cli, client: UserClient, commits: readonly CommitRef[]): Promise<void> {
  let datasets: Awaited<ReturnType<UserClient["listDatasets"]>>["datasets"] = [];
  try {
    ({ datasets } = await client.listDatasets({}));
  } catch (error) {
    // The answer is complete without sizes; a refusal that matters comes up with the next command.
    if (!(error instanceof TraceError)) throw error;
  }
  const { lines } = renderTable({
    columns: [
      { title: "dataset", whole: true },
      { title: "commit", align: "right" },
      { title: "rows", align: "right" },
      { title: "size", align: "right" },
    ],
    rows: spans(commits).map((commit) => {
      const found = datasets.find(({ name, head, generation }) => {
        return name === commit.dataset && head === commit.commit && generation === commit.generation;
      });
      const sizes = found === undefined ? ["", ""] : [count(found.rows), bytes(found.bytes)];
      const numbers = commit.first === commit.commit ? String(commit.commit) : `${commit.first} to ${commit.commit}`;
      return [commit.dataset, numbers, ...sizes];
    }),
    width: cli.outWidth - 2,
    palette: cli.outColors,
  });
  cli.print(...lines.map((line) => `  ${line}`));
}
