/** Follows a task to its end by its stream of events: draws or says what changes, and takes the stream up when it is lost. */
import { type LogEvent, type TaskDetail, TraceError } from "@trace/contracts";
import type { Cli, UserClient } from "../cli.ts";
import { Interrupted } from "../exit.ts";
import { redrawMs } from "../limits.ts";
import { duration } from "../terminal/format.ts";
import { LiveBlock } from "../terminal/live.ts";
import { ProgressMeter } from "./progress.ts";
import { TaskChanges, taskLines } from "./task-view.ts";

export interface WatchTaskOptions {
  readonly taskId: string;
  /** Give up watching after this, milliseconds; the task goes on. */
  readonly timeoutMs?: number | undefined;
  /** The log as it is written, as lines; without it, the log is not shown. */
  readonly logLines?: ((event: LogEvent) => readonly string[]) | undefined;
}

/** Shows nothing, lines, or a block that is redrawn. */
interface Display {
  task(task: TaskDetail): void;
  lines(lines: readonly string[]): void;
  trouble(text: string | undefined): void;
  end(): void;
}

const silent: Display = { task: () => {}, lines: () => {}, trouble: () => {}, end: () => {} };

/** One line per change. */
function spoken(cli: Cli): Display {
  const changes = new TaskChanges();
  let troubled = false;
  return {
    task: (task) => cli.say(...changes.next(task, cli.io.clock.nowMs())),
    lines: (lines) => cli.say(...lines),
    trouble: (text) => {
      if (text !== undefined && !troubled) cli.say(`! ${text}`);
      troubled = text !== undefined;
    },
    end: () => {},
  };
}

/** A block that moves by itself between two events: the spinner, the time, what is left. */
class Drawn implements Display {
  readonly #cli: Cli;
  readonly #block: LiveBlock;
  readonly #meter = new ProgressMeter();
  readonly #abort = new AbortController();
  #task: TaskDetail | undefined;
  #trouble: string | undefined;
  #tick = 0;

  constructor(cli: Cli) {
    this.#cli = cli;
    this.#block = new LiveBlock(cli.io.stderr);
    void this.#move();
  }

  task(task: TaskDetail): void {
    this.#task = task;
    this.#meter.take(task.progress, this.#cli.io.clock.nowMs());
    this.#draw();
  }

  lines(lines: readonly string[]): void {
    this.#block.above(lines);
  }

  trouble(text: string | undefined): void {
    this.#trouble = text;
    this.#draw();
  }

  end(): void {
    this.#abort.abort();
    this.#block.erase();
  }

  async #move(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await this.#cli.io.pause(redrawMs, signal);
      this.#tick += 1;
      if (!signal.aborted) this.#draw();
    }
  }

  #draw(): void {
    if (this.#task === undefined) return;
    const { errWidth: width, errColors: palette, io } = this.#cli;
    const nowMs = io.clock.nowMs();
    const parts = { nowMs, width, palette, tick: this.#tick, trouble: this.#trouble, meter: this.#meter };
    this.#block.draw(taskLines(this.#task, parts));
  }
}

function displayOf(cli: Cli): Display {
  if (cli.json || cli.options.quiet) return silent;
  return cli.io.stderr.isTTY && cli.io.env.TERM !== "dumb" ? new Drawn(cli) : spoken(cli);
}

/**
 * Resolves with the task when it is over. Throws TR-7009 when that takes longer than `timeoutMs`, Interrupted on Ctrl-C, and
 * what the dispatcher answers; in each case the task itself goes on.
 */
export async function watchTask(cli: Cli, client: UserClient, options: WatchTaskOptions): Promise<TaskDetail> {
  const abort = new AbortController();
  const release = cli.io.onInterrupt(() => abort.abort(new Interrupted()));
  const { taskId, timeoutMs } = options;
  const inTime =
    timeoutMs === undefined ? () => {} : cli.io.after(timeoutMs, () => abort.abort(tooLong(taskId, timeoutMs)));
  const display = displayOf(cli);
  const events = client.watchTask(
    { params: { task_id: taskId } },
    { signal: abort.signal, onTrouble: (error) => display.trouble(error === undefined ? undefined : lost(error)) },
  );
  let task: TaskDetail | undefined;
  try {
    for await (const event of events) {
      if (event.event === "task") {
        task = event.data;
        display.task(task);
      } else if (event.event === "log" && options.logLines !== undefined) display.lines(options.logLines(event.data));
    }
  } catch (error) {
    // What a call that was cut throws says less than why it was cut.
    if (abort.signal.aborted) throw abort.signal.reason;
    throw error;
  } finally {
    display.end();
    inTime();
    release();
  }
  if (task !== undefined) return task;
  throw new TraceError("TR-1010", { detail: `the stream of task ${taskId} ended without the task` });
}

function lost(error: TraceError): string {
  return `no news (${error.code}); the task goes on, trying again`;
}

function tooLong(taskId: string, timeoutMs: number): TraceError {
  return new TraceError("TR-7009", {
    detail: `task ${taskId} did not end within ${duration(timeoutMs)}`,
    why: "only the watching ended: the task itself goes on",
    fix: `see how it does: trace task show ${taskId}`,
  });
}
