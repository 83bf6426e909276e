/** Whose footers are read. */
import { expect, test } from "vitest";
import { checksFootersOf } from "./whose.ts";

test("footers are read of every operator that is not ours by name, and of all when asked for", () => {
  for (const ours of ["noop", "ingest", "sql"]) {
    expect(checksFootersOf(ours, "untrusted")).toBe(false);
    expect(checksFootersOf(ours, "all")).toBe(true);
  }
  for (const other of ["udf", "SQL", "", "__proto__"]) expect(checksFootersOf(other, "untrusted")).toBe(true);
});
