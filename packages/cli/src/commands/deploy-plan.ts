/** How a plan reads on a terminal: what comes, goes and changes, and what would start. Pure: a plan in, lines out. */
import type { DagPlan, KeyChange, PlanDataset, PlanJob } from "@trace/contracts";
import { planLinesMax } from "../limits.ts";
import type { Palette } from "../terminal/ansi.ts";
import { plural } from "../terminal/format.ts";
import { cut, printable } from "../terminal/width.ts";

interface Look {
  readonly palette: Palette;
  readonly width: number;
}

export function planLines(plan: DagPlan, look: Look): string[] {
  const { bold, dim } = look.palette;
  const name = bold(plan.dag);
  const at = plan.current === null ? "is new" : `is at version ${plan.current.number}`;
  if (!plan.changed) return [`DAG ${name} ${at}: this file is that version, and deploying it changes nothing`];
  const lines = [`DAG ${name} ${at}; deploying this file would change:`];
  const jobs = plan.jobs.filter((job) => job.change !== "unchanged");
  const same = plan.jobs.length - jobs.length;
  if (plan.jobs.length > 0) lines.push("", bold("jobs"), ...jobs.flatMap((job) => jobLines(job, look)));
  if (same > 0) lines.push(dim(`  = ${plural(same, "job")} unchanged`));
  if (plan.datasets.length > 0) lines.push("", bold("datasets"));
  lines.push(...plan.datasets.flatMap((dataset) => datasetLines(dataset, look)));
  lines.push("", bold("starts at once"));
  if (plan.starts.length === 0) lines.push(dim("  nothing"));
  for (const { dag, job, tasks, partitions } of plan.starts) {
    const more = tasks > partitions.length ? ", …" : "";
    const keys = partitions.length === 0 ? "" : `: ${partitions.map(printable).join(", ")}${more}`;
    lines.push(cut(`  ${dag === plan.dag ? job : `${dag}.${job}`}  ${plural(tasks, "task")}${keys}`, look.width));
  }
  return lines;
}

function mark(change: PlanJob["change"], palette: Palette): string {
  if (change === "added") return palette.green("+");
  return change === "removed" ? palette.red("-") : palette.yellow("~");
}

function jobLines({ job, change, operator, changes, live_tasks }: PlanJob, look: Look): string[] {
  const live =
    live_tasks === 0 || change === "added"
      ? ""
      : `  ${look.palette.dim(`${plural(live_tasks, "live task")} ${live_tasks === 1 ? "goes" : "go"} on as before`)}`;
  const head = `  ${mark(change, look.palette)} ${job}${change === "changed" ? "" : `  ${operator}`}${live}`;
  return [head, ...changes.flatMap((one) => changeLines(one, look))];
}

/** `timeout: 10m -> 20m`; of a text of several lines, the lines that differ. */
function changeLines({ key, before, after }: KeyChange, { palette, width }: Look): string[] {
  const [was, is] = [valueText(before), valueText(after)];
  const one = `      ${printable(key)}: ${was} -> ${is}`;
  if (!`${before}${after}`.includes("\n") && one.length <= width) return [one];
  const [old, fresh] = [linesOf(before), linesOf(after)];
  let same = 0;
  while (same < old.length && same < fresh.length && old[same] === fresh[same]) same += 1;
  let tail = 0;
  while (tail < Math.min(old.length, fresh.length) - same && old.at(-1 - tail) === fresh.at(-1 - tail)) tail += 1;
  const part = (lines: readonly string[], sign: string, paint: (text: string) => string) => {
    const changed = lines.slice(same, lines.length - tail);
    const shown = changed.slice(0, planLinesMax).map((line) => paint(cut(`        ${sign} ${printable(line)}`, width)));
    const left = changed.length - shown.length;
    return left === 0 ? shown : [...shown, palette.dim(`        ${sign} and ${plural(left, "more line")}`)];
  };
  return [`      ${printable(key)}:`, ...part(old, "-", palette.red), ...part(fresh, "+", palette.green)];
}

function linesOf(value: unknown): string[] {
  if (value === null || value === undefined) return [];
  return typeof value === "string" ? value.split("\n") : [JSON.stringify(value)];
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

function datasetLines(dataset: PlanDataset, look: Look): string[] {
  const { palette, width } = look;
  const { generation, readers } = dataset;
  const sign = dataset.created ? "added" : "changed";
  const lines = [`  ${mark(sign, palette)} ${dataset.dataset}  ${writerText(dataset)}`];
  if (generation !== null) {
    const because = generation.because.map((one) => `${one.key} ${valueText(one.before)} -> ${valueText(one.after)}`);
    const what = generation.made ? "a new generation" : "back to generation";
    lines.push(
      `      ${what} ${generation.after}${because.length === 0 ? "" : ` (${printable(because.join(", "))})`}`,
      palette.dim(
        generation.switched
          ? "      queries and other DAGs see it at once"
          : `      queries and other DAGs see generation ${generation.before} until all that is built anew has a commit`,
      ),
    );
  }
  if (readers.length > 0) {
    const names = readers.map(({ dag, job }) => `${dag}.${job}`).join(", ");
    lines.push(cut(`      read by ${names}`, width));
  }
  return lines;
}

function writerText({ created, writer_before: before, writer_after: after }: PlanDataset): string {
  const name = (writer: NonNullable<typeof before>) => `${writer.dag}.${writer.job}`;
  if (created) return after === null ? "would be made" : `would be made, written by ${after.job}`;
  if (after === null) return "stays, and no job writes it any more";
  if (before === null) return `nobody writes it now; ${after.job} would`;
  return name(before) === name(after) ? `written by ${after.job}` : `written by ${after.job} instead of ${before.job}`;
}
