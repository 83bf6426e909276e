/**
 * Tables for a terminal: a header, aligned columns, cells cut with `…` so that no line wraps, and columns left out
 * (and counted) when even that is too wide. Pure: rows in, lines out.
 */
import { cellColumnsMax } from "../limits.ts";
import type { Paint, Palette } from "./ansi.ts";
import { columnsOf, cut, printable } from "./width.ts";

export interface TableColumn {
  readonly title: string;
  /** A second, dim header line: the type of a column. */
  readonly note?: string;
  readonly align?: "left" | "right";
  /** Never cut below its full width: identifiers that people copy. */
  readonly whole?: boolean;
}

/** `null` is drawn dim, as `null`; `paint` colours a cell without changing its width. */
export type TableCell = string | null | { readonly text: string; readonly paint: Paint };

export interface Table {
  readonly columns: readonly TableColumn[];
  readonly rows: readonly (readonly TableCell[])[];
  /** Terminal columns to fit into. */
  readonly width: number;
  readonly palette: Palette;
  /** Columns a cell may take at most. */
  readonly cellMax?: number;
}

export interface RenderedTable {
  readonly lines: readonly string[];
  /** Columns at the right that did not fit. */
  readonly hidden: number;
}

const gap = "  ";
/** A cut column keeps at least this, so that what is left still says something. */
const columnMin = 8;

function cellText(cell: TableCell | undefined): string {
  if (cell === undefined) return "";
  if (cell === null) return "null";
  return printable(typeof cell === "string" ? cell : cell.text);
}

function naturalWidths(table: Table, texts: readonly (readonly string[])[]): number[] {
  return table.columns.map((column, index) => {
    let width = Math.max(columnsOf(column.title), columnsOf(column.note ?? ""));
    for (const row of texts) width = Math.max(width, columnsOf(row[index] ?? ""));
    return column.whole ? width : Math.min(width, table.cellMax ?? cellColumnsMax);
  });
}

/** Takes a column at a time from the widest column that may be cut, until the line fits or nothing gives. */
function fit(table: Table, widths: readonly number[]): number[] {
  const fitted = [...widths];
  const total = () => fitted.reduce((sum, width) => sum + width, 0) + gap.length * Math.max(0, fitted.length - 1);
  while (total() > table.width) {
    let widest = -1;
    fitted.forEach((width, index) => {
      const column = table.columns[index];
      // Numbers are not cut: half a number is a wrong number.
      if (column?.whole || column?.align === "right" || width <= columnMin) return;
      if (widest === -1 || width > (fitted[widest] ?? 0)) widest = index;
    });
    if (widest !== -1) fitted[widest] = (fitted[widest] ?? 0) - 1;
    else if (fitted.length > 1) fitted.pop();
    else {
      fitted[0] = table.width;
      break;
    }
  }
  return fitted;
}

/** Lines without a line end; trailing spaces are not kept. */
export function renderTable(table: Table): RenderedTable {
  const texts = table.rows.map((row) => row.map(cellText));
  const widths = fit(table, naturalWidths(table, texts));
  const { bold, dim } = table.palette;
  const line = (cells: readonly string[], paintOf: (index: number) => Paint): string => {
    const last = widths.length - 1;
    return widths
      .map((width, index) => {
        const { align = "left" } = table.columns[index] ?? {};
        const text = cut(cells[index] ?? "", width);
        const fill = " ".repeat(Math.max(0, width - columnsOf(text)));
        const painted = paintOf(index)(text);
        if (align === "right") return fill + painted;
        return index === last ? painted : painted + fill;
      })
      .join(gap)
      .trimEnd();
  };
  const titles = table.columns.map((column) => printable(column.title));
  const lines = [line(titles, () => bold)];
  if (table.columns.some((column) => column.note !== undefined)) {
    const notes = table.columns.map((column) => printable(column.note ?? ""));
    lines.push(line(notes, () => dim));
  }
  table.rows.forEach((row, number) => {
    lines.push(line(texts[number] ?? [], (index) => paintOfCell(row[index], dim)));
  });
  return { lines, hidden: table.columns.length - widths.length };
}

function paintOfCell(cell: TableCell | undefined, dim: Paint): Paint {
  if (cell === null) return dim;
  return typeof cell === "object" ? cell.paint : (text) => text;
}
