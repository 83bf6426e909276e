import fc from "fast-check";
import { expect, test } from "vitest";
import { sqlParameters } from "./parameters.ts";

const names = (sql: string): string[] => sqlParameters(sql).map((found) => found.name);

test.each([
  ["SELECT $partition", ["partition"]],
  ["SELECT $partition::date, $Other+$1", ["partition", "Other", "1"]],
  ["SELECT '$no', '''$no', $yes", ["yes"]],
  ["SELECT e'\\'$no', E'\\\\', $yes", ["yes"]],
  ["SELECT 'ends in \\', $yes", ["yes"]],
  ['SELECT "$no""$no", $yes', ["yes"]],
  ["-- $no\nSELECT $yes -- $no", ["yes"]],
  ["/* $no /* $no */ $no */ SELECT $yes", ["yes"]],
  ["SELECT $$ $no $$, $tag$ $no $$ $no $tag$, $yes", ["yes"]],
  ["SELECT a$no, _b$no, 1$no", []],
  ["SELECT a-$yes", ["yes"]],
  ["SELECT 'never closed $no", []],
  ["SELECT /* never closed $no", []],
  ["SELECT $$ never closed $no", []],
  ["SELECT $ partition", []],
])("%s has the parameters %j", (sql, expected) => {
  expect(names(sql)).toEqual(expected);
});

test("each stands where it is said to, and any text is read to its end", () => {
  const piece = fc.constantFrom("'", '"', "$", "$$", "/*", "*/", "--", "\n", "e'", "\\", "$a", "x", " ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const sql = pieces.join("");
      for (const { name, start, end } of sqlParameters(sql)) expect(sql.slice(start, end)).toBe(`$${name}`);
    }),
  );
});

test("a text of nothing but openings takes no longer than it is long", () => {
  const started = performance.now();
  for (const opening of ["'", '"', "/*", "$$", "$a$", "e'", "$"])
    sqlParameters(opening.repeat(50_000 / opening.length));
  expect(performance.now() - started).toBeLessThan(2_000);
});
