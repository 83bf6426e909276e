/**
 * What a run looks like while it goes: pure functions of its state, the time and the width. One line per task for a
 * terminal (`runLines`), one line per change for everything else (`changeLine`).
 */
import type { Run, Task } from "@trace/contracts";
import { progressTextColumnsMin, runLineEveryMs, taskBarColumns, tasksSaidMax, tasksTalliedMin } from "../limits.ts";
import type { Paint, Palette } from "../terminal/ansi.ts";
import { count, duration, relative } from "../terminal/format.ts";
import { columnsOf, cut, pad, printable } from "../terminal/width.ts";
import { paceText, progressBar, progressText } from "./progress.ts";
import { RunMeters, tallyText, taskName } from "./tally.ts";
import { waitingText } from "./waiting.ts";

export interface ViewOptions {
  readonly nowMs: number;
  /** Columns of the terminal. */
  readonly width: number;
  /** Lines it may take. */
  readonly height: number;
  /** Moves the spinner. */
  readonly tick: number;
  readonly palette: Palette;
  /** Why the newest state could not be had, when that is so. */
  readonly trouble?: string | undefined;
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

type Standing = Task["state"] | "retrying" | "waiting";

export function standingOf(task: Task): Standing {
  return task.state === "queued" && (task.failures > 0 || task.lease_losses > 0) ? "retrying" : task.state;
}

export function markOf(standing: Standing, tick: number, palette: Palette): { mark: string; paint: Paint } {
  switch (standing) {
    case "completed":
      return { mark: "✔", paint: palette.green };
    case "dead":
      return { mark: "✖", paint: palette.red };
    case "canceled":
      return { mark: "✖", paint: palette.yellow };
    case "retrying":
      return { mark: "↻", paint: palette.yellow };
    case "running":
      return { mark: spinner[tick % spinner.length] ?? "*", paint: palette.cyan };
    default:
      return { mark: "·", paint: palette.dim };
  }
}

/** How long the task has been at work, or was. */
export function elapsedMs(task: Task, nowMs: number): number | undefined {
  if (task.started_at === null) return undefined;
  const end = task.ended_at === null ? nowMs : Date.parse(task.ended_at);
  return Math.max(0, end - Date.parse(task.started_at));
}

export function noteOf(task: Task, standing: Standing, nowMs: number): string {
  const error = task.error === null ? "" : `${task.error.code} ${printable(task.error.detail)}`;
  switch (standing) {
    case "retrying": {
      const when = task.run_at === null || Date.parse(task.run_at) <= nowMs ? "soon" : relative(task.run_at, nowMs);
      const tries =
        task.failures > 0 ? `${task.failures} of ${task.failures_max} attempts failed` : "its worker was lost";
      return `again ${when}, ${tries}${error === "" ? "" : `: ${error}`}`;
    }
    case "dead":
      return error;
    case "completed":
      return task.commits.map((commit) => `${commit.dataset} commit ${commit.commit}`).join(", ");
    case "running":
      return task.progress === null ? "" : progressText(task.progress);
    case "queued":
      return waitingText(task, nowMs) ?? "";
    default:
      return "";
  }
}

/** Never in milliseconds: a unit that changes while one looks reads as a jump. */
export function clockText(ms: number): string {
  return ms < 999.5 ? `${(ms / 1_000).toFixed(1)} s` : duration(ms);
}

interface Row {
  readonly mark: string;
  readonly paint: Paint;
  readonly job: string;
  readonly standing: Standing;
  readonly attempt: string;
  readonly elapsed: string;
  readonly bar: string;
  readonly note: string;
}

export interface RunViewOptions extends ViewOptions {
  readonly meters: RunMeters;
}

function rowsOf(run: Run, options: RunViewOptions): Row[] {
  const rows = run.tasks.map((task): Row => {
    const standing = standingOf(task);
    const elapsed = elapsedMs(task, options.nowMs);
    return {
      ...markOf(standing, options.tick, options.palette),
      job: printable(taskName(task)),
      standing,
      attempt: task.attempt > 1 ? `attempt ${task.attempt}` : "",
      elapsed: elapsed === undefined || standing === "retrying" ? "" : clockText(elapsed),
      ...progressOf(task, options),
    };
  });
  const waiting = run.waiting.map((job): Row => {
    const { mark, paint } = markOf("waiting", options.tick, options.palette);
    return { mark, paint, job, standing: "waiting", attempt: "", elapsed: "", bar: "", note: "for what it reads" };
  });
  return [...rows, ...waiting];
}

function progressOf(task: Task, { meters, nowMs }: RunViewOptions): { bar: string; note: string } {
  const note = noteOf(task, standingOf(task), nowMs);
  const { progress } = task;
  if (task.state !== "running" || progress === null) return { bar: "", note };
  const pace = paceText(meters.of(task), progress, nowMs);
  return {
    bar: progressBar(progress, taskBarColumns) ?? "",
    note: [note, pace].filter((part) => part !== "").join(", "),
  };
}

/** Those that say most when not all fit: what runs or went wrong first, then what waits, then what is done. */
function mostTelling(rows: readonly Row[], max: number): { shown: readonly Row[]; left: number } {
  if (rows.length <= max) return { shown: rows, left: 0 };
  const order: readonly Standing[] = ["dead", "canceled", "running", "retrying", "queued", "waiting", "completed"];
  const ranked = [...rows].sort((a, b) => order.indexOf(a.standing) - order.indexOf(b.standing));
  return { shown: ranked.slice(0, max), left: rows.length - max };
}

/** The lines of a run on a terminal; none is wider than `width`. */
export function runLines(run: Run, options: RunViewOptions): string[] {
  const { palette, width } = options;
  const { shown, left } = mostTelling(rowsOf(run, options), Math.max(1, options.height - 4));
  const widest = (of: (row: Row) => string) => Math.max(0, ...shown.map((row) => columnsOf(of(row))));
  const jobWidth = Math.min(
    widest((row) => row.job),
    Math.max(12, Math.floor(width / 3)),
  );
  const stateWidth = widest((row) => row.standing);
  const attemptWidth = widest((row) => row.attempt);
  const elapsedWidth = widest((row) => row.elapsed);
  const lines = shown.map((row) => {
    const cells = [
      row.paint(row.mark),
      pad(cut(row.job, jobWidth), jobWidth),
      row.paint(pad(row.standing, stateWidth)),
      ...(elapsedWidth > 0 ? [pad(row.elapsed, elapsedWidth, "right")] : []),
      ...(attemptWidth > 0 ? [palette.dim(pad(row.attempt, attemptWidth))] : []),
    ];
    const gaps = cells.length - 1;
    const used = 1 + jobWidth + stateWidth + elapsedWidth + attemptWidth + gaps * 2;
    const room = width - 1 - used - 2;
    // Too narrow for everything: the note goes first, then the rest of the line is cut without colours.
    if (room < -2) return cut(`${row.mark} ${row.job} ${row.standing} ${row.elapsed}`, width - 1);
    // Too narrow for both: the words say what the bar shows, and more.
    const bar = row.bar !== "" && room >= columnsOf(row.bar) + 2 + progressTextColumnsMin ? `${row.bar}  ` : "";
    const note = room >= 8 ? cut(row.note, room - columnsOf(bar)) : "";
    return `${cells.join("  ")}${note === "" ? "" : `  ${palette.cyan(bar)}${palette.dim(note)}`}`.trimEnd();
  });
  if (left > 0) lines.push(palette.dim(`   and ${count(left)} more`));
  if (run.tasks.length > tasksTalliedMin)
    lines.push(palette.dim(cut(`   ${tallyText(run, options.nowMs)}`, width - 1)));
  if (options.trouble !== undefined) lines.push(palette.yellow(cut(`! ${options.trouble}`, width - 1)));
  return lines;
}

/** One line about one task, for a log: no spinner, no redraw. */
export function changeLine(task: Task, nowMs: number): string {
  const standing = standingOf(task);
  const elapsed = elapsedMs(task, nowMs);
  const parts = [`${printable(taskName(task))} ${standing}`];
  if (task.attempt > 1) parts.push(`attempt ${task.attempt}`);
  if (elapsed !== undefined && standing !== "retrying") parts.push(duration(elapsed));
  const note = noteOf(task, standing, nowMs);
  if (note !== "") parts.push(note);
  return parts.join(", ");
}

/** Says what changed since it was last asked, and every 10 s that what runs still does; of many tasks their sum. */
export class RunChanges {
  readonly #said = new Map<string, { what: string; atMs: number }>();
  readonly #meters = new RunMeters();
  #talliedMs: number | undefined;

  next(run: Run, nowMs: number): string[] {
    this.#meters.take(run, nowMs);
    if (run.tasks.length <= tasksSaidMax) return this.#changes(run.tasks, nowMs);
    const lines = this.#changes(run.tasks.filter(wentWrong), nowMs);
    if (this.#talliedMs === undefined || nowMs - this.#talliedMs >= runLineEveryMs || run.state !== "running") {
      lines.push(tallyText(run, nowMs));
      this.#talliedMs = nowMs;
    }
    return lines;
  }

  #changes(tasks: readonly Task[], nowMs: number): string[] {
    const lines: string[] = [];
    for (const task of tasks) {
      const what = `${standingOf(task)} ${task.attempt}`;
      const said = this.#said.get(task.task_id);
      const due = task.state === "running" && said !== undefined && nowMs - said.atMs >= runLineEveryMs;
      if (said?.what === what && !due) continue;
      this.#said.set(task.task_id, { what, atMs: nowMs });
      const pace = this.#pace(task, nowMs);
      lines.push(`${changeLine(task, nowMs)}${pace === "" ? "" : `, ${pace}`}`);
    }
    return lines;
  }

  #pace(task: Task, nowMs: number): string {
    const { progress, state } = task;
    return state === "running" && progress !== null ? paceText(this.#meters.of(task), progress, nowMs) : "";
  }
}

function wentWrong(task: Task): boolean {
  return task.state === "dead" || task.state === "canceled" || standingOf(task) === "retrying";
}
