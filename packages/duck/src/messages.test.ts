import { describe, expect, it } from "vitest";
import { readReply } from "./messages.ts";

const known = (code: string) => code === "TR-5200";

describe("a reply of the child", () => {
  it("is taken when it has its shape", () => {
    expect(readReply({ kind: "done", rowCount: 1, truncated: false, peakRssBytes: 5 }, known)).toBeDefined();
    expect(readReply({ kind: "error", error: { code: "TR-5200", detail: "no" } }, known)).toBeDefined();
    expect(readReply({ kind: "rows", rows: [[1, "a"], []] }, known)).toBeDefined();
    const file = { name: "part-0.parquet", rows: 1, partition: "a/..", columns: [{ name: "a", type: "INT" }] };
    expect(readReply({ kind: "files", output: -1, files: [file] }, known)).toBeDefined();
  });

  it.each([
    null,
    "ready",
    [],
    { kind: "other" },
    { kind: "done", rowCount: -1, truncated: false, peakRssBytes: 5 },
    { kind: "done", rowCount: 1, truncated: "no", peakRssBytes: 5 },
    { kind: "files", output: 0, files: [{ name: "../part-0.parquet", rows: 1, columns: [] }] },
    { kind: "files", output: 0, files: [{ name: "part-0.parquet", rows: 1, columns: [{ name: "a" }] }] },
    { kind: "files", output: 0, files: [{ name: "part-0.parquet", rows: 1, partition: "", columns: [] }] },
    { kind: "files", output: 64, files: [] },
    { kind: "output", output: 0, columns: [{ name: "a", type: "INT", fieldId: -1 }] },
    { kind: "inference", inference: { input: "a", columns: [], lookedAt: "some" } },
    { kind: "rows", rows: [1] },
    { kind: "columns", columns: [{ name: 1, type: "x" }] },
    { kind: "error", error: { code: "TR-9999", detail: "unknown code" } },
    { kind: "error", error: { code: "TR-5200" } },
    { kind: "progress", percent: "half" },
    { kind: "tables", tables: [1] },
    { kind: "tables", tables: [{ name: "a", at: { unit: "version", value: -1 } }] },
  ])("is refused when it has not: %j", (message) => {
    expect(readReply(message, known)).toBeUndefined();
  });
});
