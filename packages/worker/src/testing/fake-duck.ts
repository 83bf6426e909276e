/** In place of DuckDB where a test is about what happens around it: writes small files and remembers what it was asked. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DuckBadRows, DuckFile, DuckInference, DuckOutputResult, DuckRun, DuckWrittenColumn } from "@trace/duck";
import type { OperatorServices } from "../operators/operator.ts";

type Duck = OperatorServices["duck"];

export class FakeDuck implements Duck {
  readonly runs: DuckRun[] = [];
  columns: readonly DuckWrittenColumn[] = [{ name: "n", type: "BIGINT", fieldId: 1 }];
  badRowCount = 0;
  inference: readonly DuckInference[] = [];
  /** Called when the query reads its inputs; throws what the query fails with. */
  reading: () => Promise<void> = () => Promise.resolve();

  async run(run: DuckRun): ReturnType<Duck["run"]> {
    this.runs.push(run);
    await this.reading();
    if (run.outputs === undefined) throw new Error("operators name their outputs");
    const outputs: DuckOutputResult[] = [];
    for (const [index, { folder }] of run.outputs.entries()) {
      const file = await this.#write(folder, `output ${index}`, this.columns, 2);
      outputs.push({ columns: this.columns, rowCount: 2, files: [file] });
    }
    const bad = run.badRows === undefined ? undefined : await this.#bad(run.badRows.folder);
    const { columns = [], rowCount = 0, files = [] } = outputs[0] ?? {};
    const measured = { elapsedMs: 1, peakRssBytes: 1, inference: this.inference };
    return { columns, rowCount, files, outputs, ...(bad === undefined ? {} : { badRows: bad }), ...measured };
  }

  async #bad(folder: string): Promise<DuckBadRows> {
    const texts = ["reason", "row", "source"].map((name) => ({ name, type: "VARCHAR" }));
    const columns = [{ name: "line", type: "BIGINT" }, ...texts];
    return { rows: this.badRowCount, columns, file: await this.#write(folder, "bad", columns, this.badRowCount) };
  }

  async #write(folder: string, text: string, columns: readonly DuckWrittenColumn[], rows: number): Promise<DuckFile> {
    const path = join(folder, "part-0.parquet");
    await writeFile(path, text);
    return { path, bytes: text.length, rows, columns: columns.map(({ name, type }) => ({ name, type })) };
  }
}
