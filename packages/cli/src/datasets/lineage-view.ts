/** Where a commit came from, as a tree, and what was made from it. Pure. */
import type { CommitRef, Lineage, LineageNode } from "@trace/contracts";
import { lineageLinesMax } from "../limits.ts";
import { shortTaskId } from "../runs/task-id.ts";
import type { Palette } from "../terminal/ansi.ts";
import { plural, relative } from "../terminal/format.ts";
import { columnsOf, cut, printable } from "../terminal/width.ts";

export interface LineageViewOptions {
  readonly nowMs: number;
  readonly width: number;
  readonly palette: Palette;
}

const keyOf = ({ dataset, generation, commit }: CommitRef) => `${dataset} ${generation} ${commit}`;

/** A part of a line and how it is painted; the whole is cut before it is painted. */
type Piece = readonly [text: string, paint?: (text: string) => string];

function line(pieces: readonly Piece[], width: number): string {
  let room = width - 1;
  let whole = "";
  for (const [text, paint] of pieces) {
    if (room <= 0) break;
    const fitting = cut(text, room);
    room -= columnsOf(fitting);
    whole += paint === undefined ? fitting : paint(fitting);
    if (fitting !== text) break;
  }
  return whole;
}

class Tree {
  readonly lines: string[] = [];
  readonly #nodes: ReadonlyMap<string, LineageNode>;
  readonly #options: LineageViewOptions;
  readonly #shown = new Set<string>();
  left = 0;

  constructor(lineage: Lineage, options: LineageViewOptions) {
    this.#nodes = new Map(lineage.nodes.map((node) => [keyOf(node), node]));
    this.#options = options;
  }

  add(ref: CommitRef, head: string, below: string): void {
    const { palette, nowMs } = this.#options;
    const node = this.#nodes.get(keyOf(ref));
    const name: Piece = [`${ref.dataset} ${ref.commit}`, palette.bold];
    const stem: Piece = [head, palette.dim];
    const known = node !== undefined && !this.#shown.has(keyOf(ref));
    if (!known) {
      const why = node === undefined ? "no longer known: purged, or too far up" : "(see above)";
      this.#push([stem, name, [`  ${why}`, palette.dim]]);
      return;
    }
    this.#shown.add(keyOf(ref));
    const facts = `  ${node.kind}, ${plural(node.rows, "row")}, ${relative(node.committed_at, nowMs)}`;
    this.#push([stem, name, [facts, palette.dim]]);
    const last = node.inputs.length === 0;
    this.#push([[`${below}${last ? "   " : "│  "}`, palette.dim], ...maker(node, palette)]);
    node.inputs.forEach((input, index) => {
      const end = index === node.inputs.length - 1;
      this.add(input, `${below}${end ? "└─ " : "├─ "}`, `${below}${end ? "   " : "│  "}`);
    });
  }

  #push(pieces: readonly Piece[]): void {
    if (this.lines.length >= lineageLinesMax) this.left += 1;
    else this.lines.push(line(pieces, this.#options.width));
  }
}

/** `by quakes.by_region, version 3 (ab12cd34ef56), task 3f9ac01b22d4 attempt 1`. */
function maker(node: LineageNode, palette: Palette): Piece[] {
  const { task } = node;
  if (task === null) return [[`by ${node.actor === null ? "a person" : printable(node.actor)}`, palette.yellow]];
  return [
    ["by "],
    [`${task.dag}.${task.job}`, palette.cyan],
    [
      `, version ${task.dag_number} (${task.dag_version.slice(0, 12)}), task ${shortTaskId(task.task_id)} attempt ${task.attempt}`,
    ],
  ];
}

export function lineageLines(lineage: Lineage, options: LineageViewOptions): string[] {
  const { palette, nowMs, width } = options;
  const tree = new Tree(lineage, options);
  tree.add(lineage.root, "", "");
  const lines = [...tree.lines];
  if (tree.left > 0) lines.push(palette.dim(`and ${plural(tree.left, "line")} more: --json has all`));
  lines.push("", palette.bold("Read by"));
  for (const reader of lineage.readers) {
    const ref: Piece = [`${reader.dataset} ${reader.commit}`, palette.bold];
    lines.push(
      line(
        [["  "], ref, [`  ${relative(reader.committed_at, nowMs)}  `, palette.dim], ...maker(reader, palette)],
        width,
      ),
    );
  }
  if (lineage.readers.length === 0) lines.push(palette.dim("  nothing was made from it"));
  return lines;
}
