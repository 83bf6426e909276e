/** Texts of values in canonical form: those of DuckDB are read, nothing else is. */
import { describe, expect, test } from "vitest";
import { canonicalValue, shownValue } from "./values.ts";

describe("canonical values", () => {
  test.each([
    ["BIGINT", "-9223372036854775808", "-9223372036854775808"],
    ["DECIMAL(9,2)", "-0.33", "-33"],
    ["DECIMAL(9,2)", "-6", "-600"],
    ["DECIMAL(3,3)", ".5", "500"],
    ["DOUBLE", "-0.0", "0"],
    ["DOUBLE", "-inf", "-Infinity"],
    ["DOUBLE", "1e+300", "1e+300"],
    ["FLOAT", "0.1", String(Math.fround(0.1))],
    ["DATE", "1970-01-01", "0"],
    ["DATE", "1969-12-31", "-1"],
    ["DATE", "2000-02-29", "11016"],
    ["DATE", "0001-01-01 (BC)", "-719528"],
    ["DATE", "infinity", "2147483647"],
    ["TIME", "24:00:00", "86400000000"],
    ["TIMESTAMP", "1969-12-31 23:59:59.999999", "-1"],
    ["TIMESTAMP_NS", "1970-01-01 00:00:00.000000001", "1"],
    ["TIMESTAMP WITH TIME ZONE", "1970-01-01 01:00:00+01", "0"],
    ["TIMESTAMP WITH TIME ZONE", "1969-12-31 18:30:00-05:30", "0"],
    ["BLOB", "a\\x5C\\x00", "615c00"],
    ["BOOLEAN", "true", "1"],
    ["UUID", "17255BC2-899d-4c6b-94f3-439a4ddf1c18", "17255bc2899d4c6b94f3439a4ddf1c18"],
  ])("%s '%s' is %s", (type, text, canonical) => {
    expect(canonicalValue(type, text)).toBe(canonical);
  });

  test.each([
    ["BIGINT", "1.5"],
    ["BIGINT", ""],
    ["BIGINT", " 1"],
    ["BIGINT", "9".repeat(256)],
    ["DECIMAL(9,2)", "0.333"],
    ["DECIMAL(9,2)", "-"],
    ["DOUBLE", "nan"],
    ["DOUBLE", "0x10"],
    ["DATE", "2000-13-01"],
    ["DATE", "2000-01-01 00:00:00"],
    ["TIMESTAMP", "2000-01-01 00:00:00+00"],
    ["TIMESTAMP", "2000-01-01 00:00:00.1234567"],
    ["TIMESTAMP WITH TIME ZONE", "2000-01-01 00:00:00"],
    ["BLOB", "a\\"],
    ["BOOLEAN", "TRUE"],
    ["toString", "x"],
    ["__proto__", "x"],
  ])("%s '%s' is no value", (type, text) => {
    expect(canonicalValue(type, text)).toBeUndefined();
  });

  test("are shown as people write them", () => {
    expect(shownValue("DECIMAL(9,2)", "-3")).toBe("-0.03");
    expect(shownValue("DATE", "-1")).toBe("1969-12-31");
    expect(shownValue("TIMESTAMP", "-1500000")).toBe("1969-12-31 23:59:58.500");
    expect(shownValue("BIGINT", "7")).toBe("7");
  });
});
