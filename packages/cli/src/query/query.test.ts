import fc from "fast-check";
import { expect, test } from "vitest";
import { cacheSparedMs } from "../limits.ts";
import { evicted } from "./cache.ts";
import { csvLine, dataLines, uniqueNames } from "./render.ts";

const hour = 3_600_000;
const entry = (path: string, bytes: number, usedMs: number) => ({ path, bytes, usedMs });

test("the longest unused files go until the rest fits", () => {
  const entries = [entry("new", 50, 3 * hour), entry("old", 50, 0), entry("middle", 50, hour)];
  expect(evicted(entries, { bytesMax: 100, nowMs: 10 * hour })).toEqual(["old"]);
  expect(evicted(entries, { bytesMax: 40, nowMs: 10 * hour })).toEqual(["old", "middle", "new"]);
  expect(evicted(entries, { bytesMax: 150, nowMs: 10 * hour })).toEqual([]);
});

test("a file used lately stays even above the bound: a query may be about to open it", () => {
  const nowMs = 10 * hour;
  expect(evicted([entry("now", 50, nowMs - cacheSparedMs + 1)], { bytesMax: 0, nowMs })).toEqual([]);
  expect(evicted([entry("before", 50, nowMs - cacheSparedMs)], { bytesMax: 0, nowMs })).toEqual(["before"]);
});

/** A reader of RFC 4180 for one record, to check the writer against. */
function readCsv(line: string): (string | null)[] {
  const fields: (string | null)[] = [];
  for (let at = 0; at <= line.length; at += 1) {
    if (line[at] === '"') {
      let text = "";
      for (at += 1; !(line[at] === '"' && line[at + 1] !== '"'); at += 1) {
        if (line[at] === '"') at += 1;
        text += line[at];
      }
      fields.push(text);
      at += 1;
    } else {
      const end = line.indexOf(",", at);
      const text = line.slice(at, end === -1 ? undefined : end);
      fields.push(text === "" ? null : text);
      at += text.length;
    }
  }
  return fields;
}

test("any text comes back from CSV as it was, and a null is no empty text", () => {
  const value = fc.oneof(fc.constant(null), fc.string(), fc.constantFrom("", '"', ",", "\n", 'a"b,c'));
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), (values) => {
      expect(readCsv(csvLine(values))).toEqual(values);
    }),
  );
});

test("columns of one name become members of their own", () => {
  const columns = ["a", "a", "a_2", "a"].map((name) => ({ name, type: "VARCHAR" }));
  const names = uniqueNames(columns);
  expect(new Set(names).size).toBe(4);
  expect(names[0]).toBe("a");
  expect(names[2]).toBe("a_2");
  const [line] = dataLines("jsonl", columns, [[1, 2, 3, 4]]);
  expect(Object.values(JSON.parse(line ?? "") as object)).toEqual([1, 2, 3, 4]);
});

test("nested values are JSON inside CSV", () => {
  expect(csvLine([[1, 2], { a: "b" }, true])).toBe('"[1,2]","{""a"":""b""}",true');
});
