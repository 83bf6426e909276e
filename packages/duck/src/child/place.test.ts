import { describe, expect, it } from "vitest";
import { nearestName, placeOf } from "./place.ts";

describe("a place in SQL", () => {
  it("counts lines and columns in characters, from a byte offset", () => {
    expect(placeOf("select é,\n  foo", 13)).toBe("SQL, line 2, column 3");
  });
  it("is unknown outside the text and where DuckDB has none", () => {
    expect(placeOf("select 1", 99)).toBeUndefined();
    expect(placeOf("select 1", 2 ** 64)).toBeUndefined();
  });
});

describe("the nearest name", () => {
  it("is the one with the fewest edits", () => {
    expect(nearestName("sorce", ["source", "quakes"])).toBe("source");
  });
  it("is none when all are far", () => {
    expect(nearestName("region", ["source", "quakes"])).toBeUndefined();
  });
});
