/** Follows a run to its end: polls, draws or says what changes, rides out a service that is away for a while. */
import { type Run, TraceError } from "@trace/contracts";
import type { Cli, UserClient } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import { redrawMs, runPollMs, runRetryMs, runSilenceMsMax } from "../limits.ts";
import { duration } from "../terminal/format.ts";
import { LiveBlock } from "../terminal/live.ts";
import { RunMeters } from "./tally.ts";
import { RunChanges, runLines } from "./view.ts";

export interface WatchOptions {
  /** Give up watching after this, milliseconds; the run goes on. */
  readonly timeoutMs?: number | undefined;
}

/** Shows nothing, lines, or a block that is redrawn. */
interface Display {
  show(run: Run, trouble: string | undefined): void;
  end(): void;
  /** How often `show` wants to be called. */
  readonly everyMs: number;
}

function displayOf(cli: Cli): Display {
  const { clock, stderr } = cli.io;
  if (cli.json || cli.options.quiet) return { show: () => {}, end: () => {}, everyMs: runPollMs };
  if (stderr.isTTY && cli.io.env.TERM !== "dumb") {
    const block = new LiveBlock(stderr);
    const meters = new RunMeters();
    let tick = 0;
    let last: Run | undefined;
    const show = (run: Run, trouble: string | undefined) => {
      last = run;
      meters.take(run, clock.nowMs());
      const { errWidth: width, errColors: palette } = cli;
      const height = stderr.rows ?? 24;
      block.draw(runLines(run, { nowMs: clock.nowMs(), width, height, tick: tick++, palette, trouble, meters }));
    };
    cli.onWaiting = (text) => {
      if (last !== undefined) show(last, text);
    };
    const end = () => {
      cli.onWaiting = undefined;
      block.end();
    };
    return { show, end, everyMs: redrawMs };
  }
  const changes = new RunChanges();
  let lastTrouble: string | undefined;
  const show = (run: Run, trouble: string | undefined) => {
    cli.say(...changes.next(run, clock.nowMs()));
    if (trouble !== undefined && lastTrouble === undefined) cli.say(`! ${trouble}`);
    lastTrouble = trouble;
  };
  return { show, end: () => {}, everyMs: runPollMs };
}

/** Asks for the run, again and again while the error is one that may pass. */
class RunPoll {
  readonly #cli: Cli;
  readonly #client: UserClient;
  readonly #signal: AbortSignal;
  #silentSinceMs: number | undefined;
  #tries = 0;
  #dueMs = 0;
  trouble: string | undefined;

  constructor(cli: Cli, client: UserClient, signal: AbortSignal) {
    this.#cli = cli;
    this.#client = client;
    this.#signal = signal;
  }

  /** The newest state, or the one given when it is not time yet or nobody answers. */
  async next(run: Run): Promise<Run> {
    const { clock } = this.#cli.io;
    if (clock.nowMs() < this.#dueMs) return run;
    try {
      const newest = await this.#client.getRun({ params: { run_id: run.run_id } }, { signal: this.#signal });
      this.#silentSinceMs = undefined;
      this.#tries = 0;
      this.trouble = undefined;
      this.#dueMs = clock.nowMs() + runPollMs;
      return newest;
    } catch (error) {
      if (this.#signal.aborted) return run;
      if (!(error instanceof TraceError) || !error.retryable) throw error;
      this.#silentSinceMs ??= clock.nowMs();
      const silentMs = clock.nowMs() - this.#silentSinceMs;
      if (silentMs >= runSilenceMsMax) throw error;
      const since = silentMs < 1_000 ? "" : ` for ${duration(silentMs)}`;
      this.trouble = `no answer${since} (${error.code}); the run goes on, trying again`;
      const { backoffMs } = await import("@trace/kit");
      this.#dueMs = clock.nowMs() + backoffMs(runRetryMs, this.#tries++, Math.random);
      return run;
    }
  }
}

/**
 * Resolves with the run when it has ended. Throws TR-7009 when it takes longer than `timeoutMs`, Interrupted on
 * Ctrl-C, and what the dispatcher answers; in each case the run itself goes on.
 */
export async function watchRun(cli: Cli, client: UserClient, first: Run, options: WatchOptions): Promise<Run> {
  const { clock } = cli.io;
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort());
  const display = displayOf(cli);
  const poll = new RunPoll(cli, client, abort.signal);
  const startedMs = clock.nowMs();
  let run = first;
  try {
    for (;;) {
      display.show(run, poll.trouble);
      if (run.state !== "running") return run;
      if (options.timeoutMs !== undefined && clock.nowMs() - startedMs >= options.timeoutMs)
        throw tooLong(run, options);
      await cli.io.pause(display.everyMs, abort.signal);
      if (abort.signal.aborted) throw new Interrupted();
      run = await poll.next(run);
    }
  } finally {
    display.end();
    release();
  }
}

function tooLong(run: Run, options: WatchOptions): TraceError {
  return new TraceError("TR-7009", {
    detail: `run ${run.run_id} did not end within ${duration(options.timeoutMs ?? 0)}`,
    where: `DAG ${run.dag}`,
    why: "only the watching ended: the run itself goes on",
    fix: `see how it does: trace task list --dag ${run.dag}`,
  });
}
