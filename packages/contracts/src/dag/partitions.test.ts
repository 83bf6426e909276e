import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jobPartitionsMax } from "./limits.ts";
import type { PartitionInterval } from "./partitions.ts";
import { boundKey, partitionBounds, partitionIntervals, partitionKeys, rangeFault } from "./partitions.ts";

const range = (from: string, to: string, every: PartitionInterval) => ({ kind: "range" as const, from, to, every });

describe("the keys of a range", () => {
  test("are one for each step, the last bound left out", () => {
    expect(partitionKeys(range("2000-11", "2001-02", "month"))).toEqual(["2000-11", "2000-12", "2001-01"]);
    expect(partitionKeys(range("2001-12-31T22", "2002-01-01T01", "hour"))).toEqual([
      "2001-12-31T22",
      "2001-12-31T23",
      "2002-01-01T00",
    ]);
    expect(partitionKeys(range("1999", "2001", "year"))).toEqual(["1999", "2000"]);
  });

  test("know which years have a 29th of February", () => {
    expect(partitionKeys(range("2000-02-28", "2000-03-01", "day"))).toEqual(["2000-02-28", "2000-02-29"]);
    expect(partitionKeys(range("1900-02-28", "1900-03-01", "day"))).toEqual(["1900-02-28"]);
  });

  test("may be of years that JavaScript would take for the last century", () => {
    expect(partitionKeys(range("0098", "0101", "year"))).toEqual(["0098", "0099", "0100"]);
    expect(partitionBounds(range("0098", "0101", "year"), "0099")?.end).toBe("0100-01-01T00:00:00");
  });

  test("follow each other without a gap, and their bounds are what the range says", () => {
    const start = fc.date({ min: new Date("1800-01-01"), max: new Date("2200-01-01"), noInvalidDate: true });
    fc.assert(
      fc.property(
        start,
        fc.integer({ min: 1, max: 400 }),
        fc.constantFrom(...partitionIntervals),
        (at, days, every) => {
          const time = (date: Date): string => date.toISOString().slice(0, 13);
          const from = boundKey(time(at), every);
          const to = boundKey(time(new Date(at.getTime() + days * 86_400_000)), every);
          const spec = range(from, to, every);
          if (rangeFault(spec) !== undefined) return from >= to;
          const keys = partitionKeys(spec);
          const bounds = keys.map((key) => partitionBounds(spec, key));
          expect(new Set(keys).size).toBe(keys.length);
          expect(bounds[0]?.start.startsWith(from)).toBe(true);
          expect(bounds.at(-1)?.end.startsWith(to)).toBe(true);
          bounds.slice(1).forEach((bound, index) => {
            expect(bound?.start).toBe(bounds[index]?.end);
          });
          return true;
        },
      ),
    );
  });

  test("end at the bound of their number, whatever is asked", () => {
    expect(partitionKeys(range("0001", "9999", "hour"))).toHaveLength(jobPartitionsMax);
    expect(partitionKeys(range("x", "y", "hour"))).toEqual([]);
  });
});

describe("plain keys", () => {
  test("are as they were written, without times", () => {
    const spec = { kind: "keys" as const, keys: ["us", "2001-01"] };
    expect(partitionKeys(spec)).toEqual(["us", "2001-01"]);
    expect(partitionBounds(spec, "2001-01")).toBeUndefined();
  });
});

describe("the bounds of a key", () => {
  test("are its first moment and that of the next", () => {
    const bounds = (every: PartitionInterval, key: string) => partitionBounds(range("2001", "2002", every), key);
    expect(bounds("month", "2001-12")).toEqual({ start: "2001-12-01T00:00:00", end: "2002-01-01T00:00:00" });
    expect(bounds("day", "2000-02-28")).toEqual({ start: "2000-02-28T00:00:00", end: "2000-02-29T00:00:00" });
    expect(bounds("hour", "2001-12-31T23")).toEqual({ start: "2001-12-31T23:00:00", end: "2002-01-01T00:00:00" });
    expect(bounds("year", "2001")).toEqual({ start: "2001-01-01T00:00:00", end: "2002-01-01T00:00:00" });
  });

  test("are none for text that is no key of such a range", () => {
    for (const key of ["", "2001", "2001-13", "2001-00", "2001-1", "2001-01-01", "x001-01", "2001-01 ", "0000-01"]) {
      expect(partitionBounds(range("2001-01", "2002-01", "month"), key)).toBeUndefined();
    }
    expect(partitionBounds(range("2001", "2002", "day"), "2001-02-30")).toBeUndefined();
    expect(partitionBounds(range("9998", "9999", "year"), "9999")).toBeUndefined();
  });
});

describe("a range", () => {
  test("may be written shorter or longer than its keys where it means the same", () => {
    expect(rangeFault(range("2001", "2001-07", "day"))).toBeUndefined();
    expect(rangeFault(range("2001-01-01T00", "2001-07-01", "month"))).toBeUndefined();
    expect(boundKey("2001-01-01T00", "month")).toBe("2001-01");
    expect(boundKey("2001", "hour")).toBe("2001-01-01T00");
  });

  test.each([
    ["2001-1", "2001-07", "month", "from", "must be a time such as 2001-01, in UTC"],
    ["2001-01", "soon", "day", "to", "must be a time such as 2001-01-01, in UTC"],
    ["2001-02-30", "2001-07", "day", "from", "must be a time such as 2001-01-01, in UTC"],
    ["2001-01-01T24", "2001-07", "hour", "from", "must be a time such as 2001-01-01T00, in UTC"],
    ["0000", "0001", "year", "from", "must be a time such as 2001, in UTC"],
    ["2001-01-15", "2001-07", "month", "from", "must begin a month, and 2001-01-15 does not"],
    ["2001", "2002-03", "year", "to", "must begin a year, and 2002-03 does not"],
    [
      "2001-07",
      "2001-07",
      "month",
      "to",
      "must come after 'from' (2001-07), for it is the first time that no longer counts",
    ],
    ["2002", "2001", "month", "to", "must come after 'from' (2002), for it is the first time that no longer counts"],
    ["2001", "2003", "hour", "to", "makes 17,520 partitions with 'from' and 'every', and 10,000 is the most"],
    ["0001", "9999", "month", "to", "makes 119,976 partitions with 'from' and 'every', and 10,000 is the most"],
  ] as const)("from %s to %s by the %s is refused", (from, to, every, key, message) => {
    expect(rangeFault(range(from, to, every))).toMatchObject({ key, message });
  });

  test("of exactly the most partitions is taken", () => {
    expect(rangeFault(range("2001-01-01T00", "2002-02-21T16", "hour"))).toBeUndefined();
    expect(partitionKeys(range("2001-01-01T00", "2002-02-21T16", "hour"))).toHaveLength(jobPartitionsMax);
    expect(rangeFault(range("2001-01-01T00", "2002-02-21T17", "hour"))).toMatchObject({ key: "to" });
  });
});
