import type { Column } from "@trace/contracts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evolve } from "./evolve.ts";
import { parseType, printType, widest } from "./types.ts";

function wider(a: string, b: string): string | undefined {
  const type = widest(parseType(a), parseType(b));
  return type && printType(type);
}

describe("which of two types holds every value of both", () => {
  test.each([
    ["INTEGER", "BIGINT", "BIGINT"],
    ["UTINYINT", "SMALLINT", "SMALLINT"],
    ["UINTEGER", "BIGINT", "BIGINT"],
    ["FLOAT", "DOUBLE", "DOUBLE"],
    ["INTEGER", "DOUBLE", "DOUBLE"],
    ["SMALLINT", "FLOAT", "FLOAT"],
    ["DATE", "TIMESTAMP", "TIMESTAMP"],
    ["DECIMAL(9,2)", "DECIMAL(18, 2)", "DECIMAL(18,2)"],
    ["DECIMAL(9,2)", "DECIMAL(11,4)", "DECIMAL(11,4)"],
    ["INTEGER", "DECIMAL(12,2)", "DECIMAL(12,2)"],
    ['"NULL"', "VARCHAR", "VARCHAR"],
    ["INTEGER[]", "BIGINT[]", "BIGINT[]"],
    ["MAP(VARCHAR, INTEGER)", "MAP(VARCHAR, BIGINT)", "MAP(VARCHAR, BIGINT)"],
    [
      'STRUCT(a INTEGER, "b c" VARCHAR)',
      'STRUCT(a BIGINT, "b c" VARCHAR, d DATE)',
      'STRUCT("a" BIGINT, "b c" VARCHAR, "d" DATE)',
    ],
    ["STRUCT(a INTEGER)[]", "STRUCT(a INTEGER, b INTEGER)[]", 'STRUCT("a" INTEGER, "b" INTEGER)[]'],
    ["ENUM('a', 'b')", "ENUM('a', 'b')", "ENUM('a', 'b')"],
    ["TIMESTAMP WITH TIME ZONE", "timestamp with time zone", "TIMESTAMP WITH TIME ZONE"],
  ])("%s and %s: %s", (a, b, wide) => {
    expect(wider(a, b)).toBe(wide);
  });

  test.each([
    ["BIGINT", "DOUBLE"], // 2^53 + 1 is no double
    ["INTEGER", "FLOAT"],
    ["UBIGINT", "BIGINT"],
    ["BIGINT", "DECIMAL(18,2)"],
    ["DECIMAL(9,2)", "DECIMAL(9,4)"], // two digits fewer before the point
    ["DECIMAL(9,2)", "DOUBLE"],
    ["VARCHAR", "INTEGER"],
    ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE"],
    ["DATE", "TIMESTAMP WITH TIME ZONE"],
    ["BOOLEAN", "INTEGER"],
    ["VARCHAR", "VARCHAR[]"],
    ["STRUCT(a INTEGER, b INTEGER)", "STRUCT(a INTEGER)"],
    ["ENUM('a')", "ENUM('a', 'b')"],
    ["ENUM('a')", "VARCHAR"],
    ["DECIMAL(39,2)", "DECIMAL(9,2)"],
  ])("%s and %s: neither", (a, b) => {
    expect(wider(a, b)).toBeUndefined();
  });

  test("what is no type stays the text it is, and nothing of any text throws", () => {
    for (const text of [
      "",
      "STRUCT(",
      "STRUCT()",
      "DECIMAL(a,b)",
      "MAP(VARCHAR)",
      "INTEGER[",
      "x".repeat(20_000),
      `${"STRUCT(a ".repeat(500)}INTEGER${")".repeat(500)}`,
    ]) {
      expect(wider(text, text)).toBe(printType(parseType(text)));
    }
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(() => wider(a, b)).not.toThrow();
      }),
    );
  });

  test("the order of the two does not matter to what holds both, and it holds each", () => {
    const plain = fc.constantFrom(
      "TINYINT",
      "INTEGER",
      "BIGINT",
      "UINTEGER",
      "FLOAT",
      "DOUBLE",
      "DATE",
      "TIMESTAMP",
      "DECIMAL(9,2)",
      "DECIMAL(18,4)",
      "VARCHAR",
    );
    const type = fc.oneof(
      plain,
      plain.map((of) => `${of}[]`),
      plain.map((of) => `MAP(VARCHAR, ${of})`),
    );
    fc.assert(
      fc.property(type, type, (a, b) => {
        const wide = wider(a, b);
        expect(wider(b, a)).toBe(wide);
        if (wide !== undefined) {
          expect(wider(wide, a)).toBe(wide);
          expect(wider(wide, b)).toBe(wide);
        }
      }),
    );
  });
});

const columns = (...named: string[]): Column[] =>
  named.map((text, index) => ({
    name: text.split(" ")[0] ?? "",
    type: text.split(" ").slice(1).join(" "),
    field_id: index + 1,
  }));
const plain = (...named: string[]): Column[] => columns(...named).map(({ name, type }) => ({ name, type }));

describe("a schema changes by itself", () => {
  test("the first commit makes it, with an id for each column", () => {
    expect(evolve([], plain("a INTEGER", "b VARCHAR"), 0)).toEqual({
      kind: "fits",
      schema: columns("a INTEGER", "b VARCHAR"),
      lastFieldId: 2,
    });
  });

  test("a column is added behind the others, with an id that none ever had", () => {
    const after = evolve(columns("a INTEGER"), plain("z DATE", "a INTEGER"), 7);
    expect(after).toEqual({
      kind: "fits",
      schema: [...columns("a INTEGER"), { name: "z", type: "DATE", field_id: 8 }],
      lastFieldId: 8,
    });
  });

  test("a type widens, and files of the narrower type still fit", () => {
    const wide = evolve(columns("a INTEGER"), plain("a BIGINT"), 1);
    expect(wide).toMatchObject({ kind: "fits", schema: [{ name: "a", type: "BIGINT", field_id: 1 }] });
    expect(evolve(columns("a BIGINT"), plain("a INTEGER"), 1)).toMatchObject({
      kind: "fits",
      schema: [{ type: "BIGINT" }],
    });
  });

  test("a nested type that did not change stays as it was written", () => {
    expect(evolve(columns("a STRUCT(b INTEGER)"), plain("a STRUCT(b INTEGER)"), 1)).toMatchObject({
      schema: [{ type: "STRUCT(b INTEGER)" }],
    });
  });

  test.each([
    { next: plain("b VARCHAR"), fault: { column: "a", what: "is missing" } },
    { next: plain("A INTEGER", "b VARCHAR"), fault: { column: "a", what: "is written 'A' now" } },
    { next: plain("a VARCHAR", "b VARCHAR"), fault: { column: "a", what: "was INTEGER and is VARCHAR now" } },
  ])("not by what readers would stumble over: $fault.what", ({ next, fault }) => {
    expect(evolve(columns("a INTEGER", "b VARCHAR"), next, 2)).toEqual({ kind: "refused", faults: [fault] });
  });

  test("files that carry the ids of the dataset fit; those that carry others came too late", () => {
    const now = columns("a INTEGER", "b VARCHAR");
    expect(evolve(now, now, 2)).toMatchObject({ kind: "fits" });
    expect(evolve(now, [...now, { name: "c", type: "DATE", field_id: 3 }], 2)).toMatchObject({
      kind: "fits",
      lastFieldId: 3,
    });
    expect(evolve(now, [...now, { name: "c", type: "DATE", field_id: 3 }], 3)).toEqual({ kind: "moved", column: "c" });
    expect(
      evolve(
        now,
        [
          { name: "a", type: "INTEGER", field_id: 2 },
          { name: "b", type: "VARCHAR", field_id: 1 },
        ],
        2,
      ),
    ).toEqual({ kind: "moved", column: "a" });
  });

  test("columns of before there were ids get theirs", () => {
    expect(evolve(plain("a INTEGER"), plain("a INTEGER"), 0)).toEqual({
      kind: "fits",
      schema: columns("a INTEGER"),
      lastFieldId: 1,
    });
  });
});
