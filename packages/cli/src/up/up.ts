/** `trace up`: the local stack in the foreground until Ctrl-C. */
import { resolve } from "node:path";
import { createLog, type Environment, prettyLine } from "@trace/kit";
import type { UnitStatus } from "@trace/localcloud";
import type { Cli } from "../cli.ts";
import { duration } from "../terminal/format.ts";
import { Stack } from "./stack.ts";

export interface UpOptions {
  readonly root?: readonly string[];
  readonly allow?: readonly string[];
  readonly slots?: number;
}

/** Resolves when the stack has been asked to stop, by Ctrl-C or a signal. */
export function untilStopped(): { stopped: Promise<string>; free(): void } {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let tell: (signal: string) => void = () => {};
  const stopped = new Promise<string>((done) => {
    tell = done;
  });
  const listeners = signals.map((signal) => {
    const listener = () => tell(signal);
    process.on(signal, listener);
    return () => void process.off(signal, listener);
  });
  return { stopped, free: () => listeners.forEach((off) => void off()) };
}

/** A line for each part that became ready or is in trouble. */
export function stateTeller(cli: Cli): (status: UnitStatus) => void {
  const started = new Map<string, number>();
  return (status) => {
    const { green, yellow, dim } = cli.errColors;
    if (status.state === "starting") started.set(status.name, Date.parse(status.since));
    const tookMs = Date.parse(status.since) - (started.get(status.name) ?? Date.parse(status.since));
    const name = status.name.padEnd(14);
    if (status.state === "ready") cli.say(`  ${green("ready")}  ${name} ${dim(duration(tookMs))}`);
    if (status.state === "backoff") cli.say(`  ${yellow("ended")}  ${name} ${dim(status.lastFailure ?? "")}`);
  };
}

export function stackOf(
  cli: Cli,
  options: UpOptions,
  parts: { env: Environment; command: string; quiet: boolean },
): Stack {
  const { stderr, cwd } = cli.io;
  const pretty = stderr.isTTY;
  return new Stack({
    dir: cli.state.dir,
    roots: (options.root ?? []).map((root) => resolve(cwd, root)),
    guardAllow: options.allow ?? [],
    slots: options.slots,
    env: parts.env,
    command: parts.command,
    log: createLog({ role: "supervisor", level: parts.quiet ? "error" : "info", pretty }),
    onLine: parts.quiet ? undefined : (line) => stderr.write(pretty ? prettyLine(line) : `${line}\n`),
    onState: cli.json ? undefined : stateTeller(cli),
  });
}

export async function up(cli: Cli, options: UpOptions, env: Environment): Promise<void> {
  const signal = untilStopped();
  const stack = stackOf(cli, options, { env, command: "trace up", quiet: cli.options.quiet });
  cli.say(`starting in ${cli.state.dir}`);
  try {
    await Promise.race([stack.start(), signal.stopped]);
    if (stack.status().every((unit) => unit.state === "ready")) {
      if (cli.json) cli.printJson(stack.endpoints);
      else {
        const { bold, dim } = cli.errColors;
        cli.say(`${bold("Trace is up")}: user API ${stack.endpoints.user_api}, S3 ${stack.endpoints.s3}`);
        cli.say(dim(`logs in ${stack.endpoints.logs}; Ctrl-C stops it`));
      }
      await signal.stopped;
    }
    cli.say("", "stopping");
  } finally {
    await stack.stop();
    signal.free();
  }
}
