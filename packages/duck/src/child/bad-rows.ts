/**
 * Rows that cannot be read, set aside. Such an input is read once and whole into a private Parquet file: a view over the
 * text itself would only notice the bad values of columns that a query asks for, and differ from query to query.
 */
import { basename, join } from "node:path";
import {
  badReasonTextMax,
  badRowsMax,
  badRowTextMax,
  badShareMax,
  badShareRowsMin,
  rowGroupBytes,
  rowGroupRows,
  rowGroupRowsMin,
} from "../limits.ts";
import type { Reply } from "../messages.ts";
import type { DuckInput } from "../types.ts";
import { readCsvAside } from "./bad-csv.ts";
import { readJsonAside } from "./bad-json.ts";
import type { Head } from "./csv.ts";
import type { Engine } from "./engine.ts";
import { sendFiles } from "./footer.ts";
import { Refusal } from "./gate.ts";
import { parquetQuery } from "./parquet.ts";
import { literal } from "./quote.ts";
import { badTable } from "./rejects.ts";
import type { Source } from "./source.ts";

const columns = [
  { name: "line", type: "BIGINT", fieldId: 1 },
  { name: "reason", type: "VARCHAR", fieldId: 2 },
  { name: "row", type: "VARCHAR", fieldId: 3 },
  { name: "source", type: "VARCHAR", fieldId: 4 },
] as const;

export class BadRows {
  readonly #engine: Engine;
  #files = 0;

  private constructor(engine: Engine) {
    this.#engine = engine;
  }

  static async open(engine: Engine): Promise<BadRows> {
    await engine.rows(`CREATE TEMP TABLE bad_rows (line BIGINT, reason VARCHAR, "row" VARCHAR, source VARCHAR)`);
    return new BadRows(engine);
  }

  /** Reads the input; its good rows are the source, its bad ones are kept. Throws `Refusal` when they are too many. */
  async sourceOf(input: DuckInput, heads: readonly Head[], rowBytes: number): Promise<Source> {
    const files: string[] = [];
    let dialect: Source["dialect"];
    for (const [index, file] of input.files.entries()) {
      this.#files += 1;
      const target = join(this.#engine.folder, `good-${this.#files}.parquet`);
      const group = Math.min(
        rowGroupRows,
        Math.max(rowGroupRowsMin, Math.floor(rowGroupBytes / Math.max(1, rowBytes))),
      );
      const copy = async (query: string) => {
        const [done] = await this.#engine.rows(
          `COPY (${query}) TO ${literal(target)} (FORMAT parquet, ROW_GROUP_SIZE ${group})`,
        );
        return Number(done?.Count ?? 0);
      };
      const before = await this.#count();
      const head = heads[index];
      const read =
        head === undefined
          ? await readJsonAside(this.#engine, input, file, copy)
          : await readCsvAside(this.#engine, input, head, copy);
      dialect ??= read.dialect;
      await this.#requireFew(file, read.rows, (await this.#count()) - before);
      files.push(target);
    }
    return { query: await parquetQuery(this.#engine, { ...input, files, columns: undefined }), files, dialect };
  }

  /** Writes what was set aside, in the order of sources and lines. */
  async write(folder: string, send: (reply: Reply) => Promise<void>): Promise<void> {
    const name = "part-0.parquet";
    const ids = columns.map((column) => `${literal(column.name)}: ${column.fieldId}`).join(", ");
    await this.#engine.rows(
      `COPY (SELECT line, left(reason, ${badReasonTextMax}) AS reason, left("row", ${badRowTextMax}) AS "row", source
        FROM ${badTable} ORDER BY source, line)
        TO ${literal(join(folder, name))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${rowGroupRowsMin}, FIELD_IDS {${ids}})`,
    );
    await sendFiles(this.#engine, folder, { columns, names: [name] }, -1, send);
  }

  async #count(): Promise<number> {
    const [row] = await this.#engine.rows(`SELECT count(*) AS n FROM ${badTable}`);
    return Number(row?.n ?? 0);
  }

  async #requireFew(file: string, good: number, bad: number): Promise<void> {
    const rows = good + bad;
    const tooMany =
      (await this.#count()) > badRowsMax || (rows >= badShareRowsMin && bad > rows * badShareMax) || bad === rows;
    if (bad === 0 || !tooMany) return;
    const [first] = await this.#engine.rows(
      `SELECT line, reason FROM ${badTable} WHERE source = ${literal(basename(file))} ORDER BY line LIMIT 1`,
    );
    const bound = bad > badRowsMax ? `more than ${badRowsMax}` : String(bad);
    throw new Refusal({
      code: "TR-5215",
      detail: `${bound} of ${bad > badRowsMax ? "the" : rows} rows cannot be read; the first: ${(first?.reason ?? "").slice(0, 300)}`,
      where: `${basename(file)}, line ${first?.line ?? "?"}`,
      why: `Rows are set aside while they are at most ${badRowsMax}, at most half of ${badShareRowsMin} or more, and not all.`,
      fix: "Correct how the source is read: its format, its csv options, the types of its columns.",
    });
  }
}
