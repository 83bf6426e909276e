import fc from "fast-check";
import { expect, test } from "vitest";
import { ansiColors, noColors } from "./ansi.ts";
import { renderTable, type TableCell } from "./table.ts";
import { columnsOf } from "./width.ts";

const columns = [{ title: "region" }, { title: "quakes", align: "right" as const }];

test("numbers line up on the right, texts on the left", () => {
  const rows = [
    ["Japan", "1,707"],
    ["Fiji", "9"],
  ];
  expect(renderTable({ columns, rows, width: 80, palette: noColors }).lines).toEqual([
    "region  quakes",
    "Japan    1,707",
    "Fiji         9",
  ]);
});

test("wide characters keep the columns aligned", () => {
  const rows = [
    ["東京", "1"],
    ["Oslo", "2"],
  ];
  const { lines } = renderTable({ columns, rows, width: 80, palette: noColors });
  expect(lines.map(columnsOf)).toEqual([14, 14, 14]);
  expect(lines[1]).toBe("東京         1");
});

test("a null is drawn dim and differs from the text null and from nothing", () => {
  const rows: TableCell[][] = [[null], ["null"], [""]];
  const { lines } = renderTable({ columns: [{ title: "x" }], rows, width: 80, palette: ansiColors });
  expect(lines.slice(1)).toEqual([ansiColors.dim("null"), "null", ""]);
});

test("a second header line tells the types", () => {
  const { lines } = renderTable({
    columns: [{ title: "x", note: "varchar" }],
    rows: [["a"]],
    width: 80,
    palette: noColors,
  });
  expect(lines).toEqual(["x", "varchar", "a"]);
});

test("a narrow terminal cuts texts and no number", () => {
  const rows = [["a region with a rather long name", "1,234,567"]];
  const { lines, hidden } = renderTable({ columns, rows, width: 24, palette: noColors });
  expect(lines[1]).toBe("a region wit…  1,234,567");
  expect(hidden).toBe(0);
});

test("what does not fit at all is left out and counted", () => {
  const many = Array.from({ length: 12 }, (_, index) => ({ title: `column_${index}` }));
  const { lines, hidden } = renderTable({
    columns: many,
    rows: [many.map(() => "value")],
    width: 40,
    palette: noColors,
  });
  expect(hidden).toBeGreaterThan(0);
  for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(40);
});

test("an escape in a cell never reaches the terminal", () => {
  const { lines } = renderTable({
    columns: [{ title: "x\u001b[1m" }],
    rows: [["\u001b]0;owned\u0007"]],
    width: 80,
    palette: noColors,
  });
  expect(lines.join("")).not.toContain("\u001b");
});

test("no line is wider than the terminal, whatever the cells hold", () => {
  const cell = fc.oneof(fc.constant(null), fc.string({ unit: "grapheme" }));
  const table = fc.integer({ min: 1, max: 8 }).chain((width) =>
    fc.record({
      titles: fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { minLength: width, maxLength: width }),
      rows: fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 6 }),
      right: fc.boolean(),
    }),
  );
  fc.assert(
    fc.property(table, fc.integer({ min: 10, max: 90 }), ({ titles, rows, right }, width) => {
      const align = right ? ("right" as const) : ("left" as const);
      const rendered = renderTable({
        columns: titles.map((title) => ({ title, align })),
        rows,
        width,
        palette: noColors,
      });
      for (const line of rendered.lines) expect(columnsOf(line)).toBeLessThanOrEqual(width);
      expect(rendered.lines).toHaveLength(rows.length + 1);
    }),
  );
});
