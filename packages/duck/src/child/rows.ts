/** Rows as an answer: streamed chunk by chunk, converted value by value, and cut at the caps of rows and bytes. */
import { columnsMax, rowBatchBytes } from "../limits.ts";
import type { ChildOutput, Reply } from "../messages.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import { jsonValue } from "./values.ts";

export interface RowsDone {
  readonly rowCount: number;
  readonly truncated: boolean;
}

export async function sendRows(
  engine: Engine,
  sql: string,
  output: Extract<ChildOutput, { kind: "rows" }>,
  send: (reply: Reply) => Promise<void>,
): Promise<RowsDone> {
  const result = await engine.stream(sql);
  const types = result.columnTypes();
  if (types.length > columnsMax) throw tooManyColumns(types.length);
  const names = result.deduplicatedColumnNames();
  await send({
    kind: "columns",
    columns: types.map((type, i) => ({ name: names[i] ?? "", type: type.alias ?? type.toString() })),
  });

  const batch = new Batch(send);
  let rowCount = 0;
  let bytes = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    const vectors = types.map((_, index) => chunk.getColumnVector(index));
    for (let row = 0; row < chunk.rowCount; row += 1) {
      // Checked before a value is touched: one more row of large texts could be more than the heap holds.
      if (rowCount >= output.rowsMax) return finish(batch, rowCount, true);
      const values = vectors.map((vector) => jsonValue(vector.getItem(row)));
      const rowBytes = Buffer.byteLength(JSON.stringify(values));
      if (bytes + rowBytes > output.bytesMax) return finish(batch, rowCount, true);
      bytes += rowBytes;
      rowCount += 1;
      await batch.add(values, rowBytes);
    }
  }
  return finish(batch, rowCount, false);
}

async function finish(batch: Batch, rowCount: number, truncated: boolean): Promise<RowsDone> {
  await batch.flush();
  return { rowCount, truncated };
}

class Batch {
  readonly #send: (reply: Reply) => Promise<void>;
  #rows: unknown[][] = [];
  #bytes = 0;

  constructor(send: (reply: Reply) => Promise<void>) {
    this.#send = send;
  }

  async add(row: unknown[], bytes: number): Promise<void> {
    // A row larger than a batch goes alone, so no frame is larger than a batch or one row.
    if (this.#bytes > 0 && this.#bytes + bytes > rowBatchBytes) await this.flush();
    this.#rows.push(row);
    this.#bytes += bytes;
  }

  async flush(): Promise<void> {
    if (this.#rows.length === 0) return;
    await this.#send({ kind: "rows", rows: this.#rows });
    this.#rows = [];
    this.#bytes = 0;
  }
}

export function tooManyColumns(count: number): Refusal {
  return new Refusal({
    code: "TR-5209",
    detail: `The result has ${count} columns; at most ${columnsMax} are kept.`,
    fix: "Select fewer columns.",
  });
}
