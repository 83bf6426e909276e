/** What differs between two versions of a dataset, in lines for a terminal. Pure. */
import type { Column, DatasetDiff, DatasetVersion, Extent, PartitionChange } from "@trace/contracts";
import { diffPartitionsShownMax } from "../limits.ts";
import { numeric } from "../query/render.ts";
import type { Paint, Palette } from "../terminal/ansi.ts";
import { bytes, count, moment, plural, relative } from "../terminal/format.ts";
import { renderTable, type TableCell } from "../terminal/table.ts";
import { cut, printable } from "../terminal/width.ts";
import { deltaCell, signed } from "./delta.ts";
import type { RowChange, RowDiff, RowPlan } from "./diff-rows.ts";

export interface DiffViewOptions {
  readonly nowMs: number;
  readonly width: number;
  readonly palette: Palette;
}

export interface ColumnChange {
  readonly change: "added" | "removed" | "changed";
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** By name: what a column is called is what a query knows of it. */
export function columnChanges(before: readonly Column[], after: readonly Column[]): ColumnChange[] {
  const old = new Map(before.map((column) => [column.name, column.type]));
  const now = new Set(after.map((column) => column.name));
  const changes = after.flatMap(({ name, type }): ColumnChange[] => {
    const was = old.get(name);
    if (was === undefined) return [{ change: "added", name, before: null, after: type }];
    return was === type ? [] : [{ change: "changed", name, before: was, after: type }];
  });
  const gone = before.filter((column) => !now.has(column.name));
  return [
    ...changes,
    ...gone.map(({ name, type }) => ({ change: "removed" as const, name, before: type, after: null })),
  ];
}

const marks = { added: "+", removed: "-", changed: "~" } as const;

function paintOf(change: keyof typeof marks, palette: Palette): Paint {
  return { added: palette.green, removed: palette.red, changed: palette.yellow }[change];
}

/** `1,707 rows, 84 kB in 1 file`. */
export function extentText(extent: Extent): string {
  return `${plural(extent.rows, "row")}, ${bytes(extent.bytes)} in ${plural(extent.files, "file")}`;
}

/** `commit 12  2026-11-24 06:00:00 UTC (2 h ago)  1,707 rows, 84 kB in 1 file`. */
function sideLine(label: string, side: DatasetVersion, { nowMs, palette, width }: DiffViewOptions): string {
  if (side.commit === 0) return `  ${palette.dim(label)}  nothing: before the first commit`;
  const ago = side.committed_at === null || width < 100 ? "" : ` (${relative(side.committed_at, nowMs)})`;
  const when = side.committed_at === null ? "" : `${moment(side.committed_at)}${ago}`;
  const text = [`commit ${side.commit}`, when, extentText(side)].filter((part) => part !== "").join("  ");
  return `  ${palette.dim(label)}  ${cut(text, width - label.length - 5)}`;
}

/** The two sides, the schema and the partitions. */
export function diffLines(diff: DatasetDiff, options: DiffViewOptions): string[] {
  const { palette } = options;
  const { from, to } = diff;
  const rows = signed(to.rows - from.rows, "rows");
  const size = signed(to.bytes - from.bytes, "bytes");
  return [
    palette.bold(`${diff.dataset}, commit ${from.commit} to ${to.commit}`),
    sideLine("from", from, options),
    sideLine("to  ", to, options),
    `  ${palette.dim("sum ")}  ${rows === "±0" ? "as many rows" : `${rows} ${Math.abs(to.rows - from.rows) === 1 ? "row" : "rows"}`}, ${size === "±0" ? "the same size" : size}`,
    ...schemaLines(diff, options),
    ...partitionLines(diff, options),
  ];
}

function schemaLines(diff: DatasetDiff, { palette, width }: DiffViewOptions): string[] {
  const changes = columnChanges(diff.from.schema, diff.to.schema);
  if (changes.length === 0) return [];
  const rows = changes.map(({ change, name, before, after }): TableCell[] => {
    const paint = paintOf(change, palette);
    const type = change === "changed" ? `${before} → ${after}` : (after ?? before ?? "");
    return [{ text: marks[change], paint }, { text: name, paint }, type];
  });
  const columns = [{ title: "" }, { title: "column", whole: true }, { title: "type" }];
  return ["", palette.bold("Schema"), ...table(columns, rows, { palette, width })];
}

function changeOf({ before, after }: PartitionChange): keyof typeof marks {
  return before === null ? "added" : after === null ? "removed" : "changed";
}

function partitionLines(diff: DatasetDiff, { palette, width }: DiffViewOptions): string[] {
  const { partitions, partitions_changed: changed, partitions_unchanged: unchanged } = diff;
  // A dataset without partitions has one, without a name: its sizes are said above.
  if (changed + unchanged <= 1 && partitions.every((one) => one.partition === "")) return [];
  const title = palette.bold("Partitions");
  if (changed === 0) return ["", `${title}  ${palette.dim(`${plural(unchanged, "partition")} unchanged`)}`];
  const none: Extent = { rows: 0, bytes: 0, files: 0 };
  const shown = partitions.slice(0, diffPartitionsShownMax);
  const rows = shown.map((one): TableCell[] => {
    const change = changeOf(one);
    const paint = paintOf(change, palette);
    const { before, after } = one;
    const [was, now] = [before ?? none, after ?? none];
    return [
      { text: marks[change], paint },
      { text: one.partition === "" ? "(none)" : one.partition, paint },
      before === null ? "" : count(was.rows),
      after === null ? "" : count(now.rows),
      deltaCell(now.rows - was.rows, "rows", palette),
      before === null ? "" : bytes(was.bytes),
      after === null ? "" : bytes(now.bytes),
    ];
  });
  const columns = [
    { title: "" },
    { title: "partition", whole: true },
    { title: "rows before", align: "right" as const },
    { title: "after", align: "right" as const },
    { title: "", align: "right" as const },
    { title: "size before", align: "right" as const },
    { title: "after", align: "right" as const },
  ];
  const left = changed - shown.length;
  const sum = palette.dim(`${count(changed)} changed, ${count(unchanged)} unchanged`);
  const more = left > 0 ? [palette.dim(`  and ${count(left)} more`)] : [];
  return ["", `${title}  ${sum}`, ...table(columns, rows, { palette, width }), ...more];
}

function table(
  columns: Parameters<typeof renderTable>[0]["columns"],
  rows: readonly (readonly TableCell[])[],
  { palette, width }: { palette: Palette; width: number },
): string[] {
  return renderTable({ columns, rows, width: width - 2, palette }).lines.map((line) => `  ${line}`.trimEnd());
}

/** Counts of the rows that differ, and the sample: whole rows with + and -, of changed ones what changed. */
export function rowLines(plan: RowPlan, found: RowDiff, { palette, width }: DiffViewOptions): string[] {
  const { added, removed, changed, sample } = found;
  const counted = (number: number, mark: string, what: string, paint: Paint) =>
    number === 0 ? palette.dim(`no row ${what}`) : paint(`${mark}${count(number)} ${what}`);
  const parts = [
    counted(removed, "-", "removed", palette.red),
    counted(added, "+", "added", palette.green),
    ...(changed === undefined ? [] : [counted(changed, "~", "changed", palette.yellow)]),
  ];
  const lines = ["", `${palette.bold("Rows")}  ${parts.join(", ")}`];
  const whole = sample.filter((change) => change.change !== "changed");
  if (whole.length > 0) {
    const columns = [
      { title: "" },
      ...plan.columns.map((title, index) => ({ title, align: sideOf(plan.types[index] ?? "") })),
    ];
    const rows = whole.map((change): TableCell[] => {
      const paint = paintOf(change.change, palette);
      return [{ text: marks[change.change], paint }, ...cells(change.row, paint)];
    });
    lines.push(...table(columns, rows, { palette, width }));
  }
  for (const change of sample) {
    if (change.change === "changed") lines.push(changedLine(plan, change, { palette, width }));
  }
  const left = added + removed + (changed ?? 0) - sample.length;
  if (left > 0) lines.push(palette.dim(`  and ${count(left)} more`));
  return lines;
}

function sideOf(type: string): "left" | "right" {
  return numeric.test(type) ? "right" : "left";
}

function cells(row: readonly unknown[], paint: Paint): TableCell[] {
  return row.map((value) => (value === null ? null : { text: textOf(value), paint }));
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** `~ id us1000  magnitude 4.2 → 4.4, place "x" → null`. */
function changedLine(
  plan: RowPlan,
  change: Extract<RowChange, { change: "changed" }>,
  { palette, width }: { palette: Palette; width: number },
): string {
  const at = (row: readonly unknown[], name: string) => row[plan.columns.indexOf(name)] ?? null;
  const key = plan.key.map((name) => `${name} ${printable(textOf(at(change.after, name)))}`).join(", ");
  const differing = plan.columns.filter(
    (name) => JSON.stringify(at(change.before, name)) !== JSON.stringify(at(change.after, name)),
  );
  const shown = differing
    .map(
      (name) => `${name} ${printable(textOf(at(change.before, name)))} → ${printable(textOf(at(change.after, name)))}`,
    )
    .join(", ");
  // Long values are cut, and may differ behind that.
  const text = shown === "" ? "differs behind the beginning of its values" : shown;
  const head = cut(key, Math.floor(width / 2));
  return `  ${palette.yellow("~")}  ${palette.yellow(head)}  ${cut(text, width - 1 - head.length - 7)}`;
}
