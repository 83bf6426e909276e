/** Ranges and preconditions as HTTP and S3 define them. */
import { expect, test } from "vitest";
import { judgeRead, readRange, readWriteCondition } from "./conditions.ts";
import { S3Error } from "./errors.ts";

test.each([
  ["bytes=0-0", 0, 0],
  ["bytes=2-4", 2, 4],
  ["bytes=7-", 7, 9],
  ["bytes=-3", 7, 9],
  ["bytes=-30", 0, 9],
  ["bytes=5-500", 5, 9],
])("%s of 10 bytes is %i to %i", (header, start, end) => {
  expect(readRange(header, 10)).toEqual({ start, end });
});

test.each([undefined, "", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b", "bytes=0x1-2"])(
  "%s is not one range of bytes and is ignored",
  (header) => {
    expect(readRange(header, 10)).toBeUndefined();
  },
);

test.each([
  ["bytes=10-", 10],
  ["bytes=10-20", 10],
  ["bytes=-0", 10],
  ["bytes=0-", 0],
  ["bytes=-5", 0],
])("%s of %i bytes cannot be satisfied", (header, bytes) => {
  expect(() => readRange(header, bytes)).toThrow(
    expect.objectContaining({ code: "InvalidRange", headers: { "content-range": `bytes */${bytes}` } }),
  );
});

const modifiedMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const same = new Date(modifiedMs).toUTCString();
const earlier = new Date(modifiedMs - 5_000).toUTCString();

test.each([
  [{}, "ok"],
  [{ "if-match": '"abc"' }, "ok"],
  [{ "if-match": "abc" }, "ok"],
  [{ "if-match": "*" }, "ok"],
  [{ "if-match": '"x", "abc"' }, "ok"],
  [{ "if-match": '"x"' }, "failed"],
  [{ "if-none-match": '"abc"' }, "not-modified"],
  [{ "if-none-match": 'W/"abc"' }, "not-modified"],
  [{ "if-none-match": "*" }, "not-modified"],
  [{ "if-none-match": '"x"' }, "ok"],
  [{ "if-modified-since": same }, "not-modified"],
  [{ "if-modified-since": earlier }, "ok"],
  [{ "if-modified-since": "yesterday-ish" }, "ok"],
  [{ "if-unmodified-since": same }, "ok"],
  [{ "if-unmodified-since": earlier }, "failed"],
  [{ "if-match": '"abc"', "if-unmodified-since": earlier }, "ok"],
  [{ "if-none-match": '"x"', "if-modified-since": same }, "ok"],
])("a read with %j is %s", (headers, verdict) => {
  expect(judgeRead(new Map(Object.entries(headers)), "abc", modifiedMs)).toBe(verdict);
});

test("a write knows If-None-Match: * and If-Match with an ETag", () => {
  expect(readWriteCondition(new Map())).toEqual({ absent: false, etags: undefined });
  expect(readWriteCondition(new Map([["if-none-match", "*"]]))).toEqual({ absent: true, etags: undefined });
  expect(readWriteCondition(new Map([["if-match", '"abc"']]))).toEqual({ absent: false, etags: ["abc"] });
});

test.each([
  [{ "if-none-match": '"abc"' }],
  [{ "if-match": "*" }],
  [{ "if-none-match": "*", "if-match": '"abc"' }],
  [{ "if-unmodified-since": same }],
])("a write with %j is refused and not done unconditionally", (headers) => {
  expect(() => readWriteCondition(new Map(Object.entries(headers)))).toThrow(S3Error);
});
