/** The one real Parquet file that every commit publishes a copy of, written by DuckDB in its locked-down child. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DuckRunner } from "@trace/duck";
import { silentLog } from "@trace/kit";
import type { FileWords } from "./clients.ts";
import { fileRows } from "./limits.ts";

export async function makeFile(folder: string): Promise<FileWords> {
  const out = join(folder, "commits-file");
  mkdirSync(out, { recursive: true, mode: 0o700 });
  const runner = new DuckRunner({ log: silentLog(), workFolder: join(folder, "commits-work") });
  await runner.start();
  try {
    const sql = `SELECT x, 'station ' || (x * 7919) % 1000 AS station, (x * 31 % 997) / 10.0::DOUBLE AS reading,
        TIMESTAMP '2026-01-01' + x * INTERVAL 1 MINUTE AS taken_at FROM range(1, ${fileRows + 1}) r (x)`;
    const result = await runner.run({ inputs: [], sql, output: { kind: "parquet", folder: out } });
    const file = result.files?.[0];
    if (file === undefined) throw new Error("DuckDB wrote no file");
    const columns = file.columns.map(({ name, type, min, max, nullCount }) => ({
      name,
      type,
      ...(min === undefined ? {} : { min }),
      ...(max === undefined ? {} : { max }),
      ...(nullCount === undefined ? {} : { null_count: nullCount }),
    }));
    return { path: file.path, rows: file.rows, columns };
  } finally {
    await runner.stop();
  }
}
