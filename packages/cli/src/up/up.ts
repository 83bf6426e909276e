/** `trace up`: the local stack in the foreground until Ctrl-C. */
import { createLog, type Environment, prettyLine } from "@trace/kit";
import type { UnitStatus } from "@trace/localcloud";
import type { Cli } from "../cli.ts";
import { duration } from "../terminal/format.ts";
import { settingsOf } from "./settings.ts";
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
  const settings = settingsOf(cli.state.dir, { roots: options.root, allow: options.allow }, parts.env, cwd);
  return new Stack({
    dir: cli.state.dir,
    roots: settings.roots,
    guardAllow: settings.allow,
    slots: options.slots,
    env: parts.env,
    command: parts.command,
    log: createLog({ role: "supervisor", level: parts.quiet ? "error" : "info", pretty }),
    onLine: parts.quiet ? undefined : (line) => stderr.write(pretty ? prettyLine(line) : `${line}\n`),
    onState: cli.json ? undefined : stateTeller(cli),
  });
}

function announce(cli: Cli, stack: Stack): void {
  const { endpoints } = stack;
  if (cli.json) {
    cli.printJson(endpoints);
    return;
  }
  const { bold, dim } = cli.errColors;
  cli.say(`${bold("Trace is up")}: user API ${endpoints.user_api}, S3 ${endpoints.s3}`);
  const roots = endpoints.file_roots ?? [];
  cli.say(
    dim(roots.length === 0 ? "no files are read: name folders with --root" : `files are read from ${roots.join(", ")}`),
  );
  cli.say(dim(`logs in ${endpoints.logs}; Ctrl-C stops it`));
}

/** Ends without an error when a signal asks it to, whether it is up by then or still starting. */
export async function up(cli: Cli, options: UpOptions, env: Environment): Promise<void> {
  const signal = untilStopped();
  const stack = stackOf(cli, options, { env, command: "trace up", quiet: cli.options.quiet });
  cli.say(`starting in ${cli.state.dir}`);
  try {
    const up = await Promise.race([stack.start().then(() => true), signal.stopped.then(() => false)]);
    if (up) {
      announce(cli, stack);
      await signal.stopped;
    }
    cli.say("", "stopping");
  } finally {
    await stack.stop();
    signal.free();
  }
}
