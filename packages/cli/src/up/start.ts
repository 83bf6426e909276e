/**
 * `trace start` (`npm start`): boots the stack, deploys and runs the examples, shows their results and what to try next, and
 * stays up until Ctrl-C; with `--once` it ends when the examples have committed.
 *
 * It says nothing of its own about data: it runs the commands a person would type, in this process.
 */
import { join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Environment } from "@trace/kit";
import { diskUsage } from "@trace/localcloud";
import type { Cli } from "../cli.ts";
import { checkout, exampleData, exampleFile } from "../examples.ts";
import { type ExitCode, exitCodes } from "../exit.ts";
import { createProgram } from "../program.ts";
import { bytes, duration } from "../terminal/format.ts";
import { restMs } from "./limits.ts";
import type { Stack } from "./stack.ts";
import { stackOf, type UpOptions, untilStopped } from "./up.ts";

export interface StartOptions extends UpOptions {
  readonly once?: boolean;
}

interface Shown {
  readonly example: "quakes" | "flights";
  /** As it is run, and as it is shown. */
  readonly sql: string;
  readonly short: string;
}

const shown: readonly Shown[] = [
  {
    example: "quakes",
    sql: `SELECT region, day, quakes, strongest, mean_depth_km
FROM quakes_by_region_day ORDER BY quakes DESC, region, day LIMIT 12`,
    short: "SELECT … FROM quakes_by_region_day ORDER BY quakes DESC LIMIT 12",
  },
  {
    example: "flights",
    sql: `SELECT airport, name, city, flights, mean_delay_minutes, late_percent
FROM airport_delays WHERE flights >= 10000 ORDER BY mean_delay_minutes DESC, airport LIMIT 10`,
    short: "SELECT … FROM airport_delays WHERE flights >= 10000 ORDER BY mean_delay_minutes DESC LIMIT 10",
  },
];

/** Runs one command line as its user would, against the stack that has just been started. */
async function type(cli: Cli, env: Environment, argv: readonly string[]): Promise<void> {
  const io = { ...cli.io, env: { ...env, npm_lifecycle_event: "trace" } };
  const flags = ["--state", cli.state.dir, ...(cli.options.color ? [] : ["--no-color"])];
  const code: ExitCode = await createProgram(io).run([...argv, ...flags]);
  if (code !== exitCodes.ok) throw new StepFailed(code);
}

/** A step has said what is wrong; its exit code is ours. */
class StepFailed extends Error {
  readonly code: ExitCode;

  constructor(code: ExitCode) {
    super(`a step ended with exit code ${code}`);
    this.code = code;
  }
}

export async function startExample(cli: Cli, options: StartOptions, env: Environment): Promise<void> {
  const data = exampleData();
  const startedAt = performance.now();
  const signal = untilStopped();
  const withData = { ...options, root: [data, ...(options.root ?? [])] };
  const stack = stackOf(cli, withData, { env, command: "npm start", quiet: true });
  const { bold, dim, cyan } = cli.errColors;
  cli.say(`${bold("Trace")} starts in ${cli.state.dir}`, "");
  try {
    await Promise.race([
      runExamples(cli, stack, env),
      signal.stopped.then(() => Promise.reject(new StepFailed(exitCodes.interrupted))),
    ]);
    await report(cli, stack, performance.now() - startedAt);
    if (options.once === true) return;
    cli.say("", bold("Trace stays up. In another terminal, try:"));
    for (const [command, what] of next()) cli.say(`  ${cyan(command)}`, `      ${dim(what)}`);
    cli.say(
      "",
      `User API ${stack.endpoints.user_api}, S3 ${stack.endpoints.s3}, logs in ${stack.endpoints.logs}`,
      "Ctrl-C stops it; the data stays.",
    );
    await signal.stopped;
    cli.say("", "stopping");
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    cli.endWith(error.code);
  } finally {
    await stack.stop();
    signal.free();
  }
}

async function runExamples(cli: Cli, stack: Stack, env: Environment): Promise<void> {
  const { bold } = cli.errColors;
  await stack.start();
  for (const { example, sql, short } of shown) {
    const path = exampleFile(example);
    cli.say("", bold(`$ trace deploy ${relative(cli.io.cwd, path) || path}`));
    await type(cli, env, ["deploy", path, "--quiet"]);
    cli.say("", bold(`$ trace run ${example}`));
    await type(cli, env, ["run", example]);
    cli.say("", bold(`$ trace query "${short}"`));
    await type(cli, env, ["query", sql]);
  }
}

async function report(cli: Cli, stack: Stack, tookMs: number): Promise<void> {
  const { dim } = cli.errColors;
  // The child that ran the last query is gone by then, and what is measured is the stack at rest.
  await pause(restMs);
  const memory = await stack.memory();
  const state = diskUsage([cli.state.dir, ...stack.folders]);
  const programs = diskUsage([join(checkout, "node_modules"), join(checkout, ".cache")]);
  cli.say("", dim(`${duration(tookMs)} from start to the results of both examples`));
  if (memory !== undefined) cli.say(dim(`memory at rest ${bytes(memory)} (proportional set size of all processes)`));
  cli.say(dim(`disk ${bytes(state + programs)}: dependencies ${bytes(programs)}, data ${bytes(state)}`));
}

function next(): [string, string][] {
  const sql = "SELECT place, magnitude, time FROM quakes ORDER BY magnitude DESC LIMIT 5";
  return [
    [`npm run trace -- query "${sql}"`, "the strongest quakes of the week"],
    ["npm run trace -- dataset show quakes", "its schema, its commits and where they came from"],
    ["npm run trace -- dataset partitions flights", "three million flights, a partition for each month"],
    ["npm run trace -- run quakes", "run it again: nothing is committed, the file is the same"],
    ["npm run trace -- task list", "every task, with its attempts"],
    ["npm run trace -- doctor", "how the stack is, and where everything lives"],
  ];
}
