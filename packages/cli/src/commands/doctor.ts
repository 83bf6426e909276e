/** `trace doctor`: looks at everything that has to be well, and names the fix of what is not. */
import { TraceError } from "@trace/contracts";
import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { type CheckResult, type CheckStatus, type DoctorWorld, type HolderSeen, runChecks } from "../doctor/check.ts";
import { machineChecks } from "../doctor/machine.ts";
import { serviceChecks } from "../doctor/services.ts";
import { stateChecks } from "../doctor/state.ts";
import { exitCodes } from "../exit.ts";
import { withoutUrlSecrets } from "../failure.ts";
import type { CliOf } from "../program.ts";
import { type Endpoints, readEndpoints } from "../state/endpoints.ts";
import type { Paint, Palette } from "../terminal/ansi.ts";
import { plural } from "../terminal/format.ts";
import { cut, printable, wrap } from "../terminal/width.ts";
import { examples } from "./arguments.ts";

export function registerDoctor(program: Command, cliOf: CliOf): void {
  program
    .command("doctor")
    .summary("check the machine, the state folder and the stack")
    .description(
      "Checks the machine, the state folder and the running stack, each with its fix. Exit code 1 when a check fails; a warning is no failure.",
    )
    .addHelpText(
      "after",
      examples(
        ["trace doctor", "everything"],
        [`trace doctor --json | jq '.checks[] | select(.status == "fail")'`, "what fails, for a script"],
      ),
    )
    .action(async (_options: unknown, command: Command) => {
      const cli = cliOf(command);
      const results = await examine(cli);
      const failed = results.some((result) => result.status === "fail");
      if (failed) cli.endWith(exitCodes.failed);
      if (cli.json) cli.printJson({ ok: !failed, checks: results });
      else show(cli, results);
    });
}

async function findHolderOf(dir: string): Promise<HolderSeen | "unknown" | undefined> {
  // Loaded here alone: it brings the embedded stack along.
  const { findHolder } = await import("@trace/localcloud");
  return await findHolder(dir);
}

async function examine(cli: Cli): Promise<CheckResult[]> {
  const { state } = cli;
  const damage: CheckResult[] = [];
  let endpoints: Endpoints | undefined;
  try {
    endpoints = await readEndpoints(state.dir);
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    const detail = [error.message, error.why].filter(Boolean).join(": ");
    damage.push({ name: "endpoints", group: "state", status: "fail", detail, fix: error.fix });
  }
  const world: DoctorWorld = {
    env: cli.io.env,
    clock: cli.io.clock,
    state,
    endpoints,
    url: cli.options.url,
    holder: state.exists ? await findHolderOf(state.dir) : undefined,
    withClient: (use) => cli.withClient(use),
  };
  const checks = [...machineChecks(world), ...stateChecks(world), ...serviceChecks(world)];
  const results = [...damage, ...(await runChecks(checks))];
  return results.map((result) => ({ ...result, detail: withoutUrlSecrets(result.detail) }));
}

const titles = { machine: "Machine", state: "State", services: "Services" } as const;

function badge(status: CheckStatus, palette: Palette): string {
  const paints: Record<CheckStatus, Paint> = {
    ok: palette.green,
    warn: palette.yellow,
    fail: palette.red,
    skip: palette.dim,
  };
  return paints[status](status.padEnd(4));
}

function show(cli: Cli, results: readonly CheckResult[]): void {
  const palette = cli.outColors;
  const nameWidth = Math.max(...results.map((result) => result.name.length));
  const indent = " ".repeat(2 + 4 + 2 + nameWidth + 2);
  for (const group of ["machine", "state", "services"] as const) {
    const shown = results.filter((result) => result.group === group);
    if (shown.length === 0) continue;
    cli.print(...(group === "machine" ? [] : [""]), palette.bold(titles[group]));
    for (const result of shown) {
      const lines = wrap(printable(result.detail), cli.outWidth - indent.length - 1);
      const paint = result.status === "skip" ? palette.dim : (text: string) => text;
      const head = `  ${badge(result.status, palette)}  ${result.name.padEnd(nameWidth)}  `;
      cli.print(...lines.map((line, index) => (index === 0 ? head : indent) + paint(line)));
      if (result.fix === undefined || result.status === "ok") continue;
      const fix = wrap(printable(result.fix), cli.outWidth - indent.length - 6);
      cli.print(
        ...fix.map((line, index) => `${indent}${index === 0 ? palette.dim("fix: ") : "     "}${palette.cyan(line)}`),
      );
    }
  }
  const number = (status: CheckStatus) => results.filter((result) => result.status === status).length;
  const parts = [`${number("ok")} ok`, plural(number("warn"), "warning"), plural(number("fail"), "failure")];
  cli.say("", cut(parts.join(", "), cli.errWidth));
}
