import fc from "fast-check";
import { expect, test } from "vitest";
import { logPieceBytes } from "./limits.ts";
import { type LogPiece, LogTail, type LogVersion } from "./logtail.ts";

/** A log as a worker writes it: whole each time, its oldest lines gone once it is too long. */
class Written {
  text = "";
  #version = 0;
  readonly #lines: string[] = [];
  #dropped = 0;

  get version(): LogVersion {
    return { etag: `v${this.#version}`, bytes: Buffer.byteLength(this.text) };
  }

  add(message: string): void {
    this.#lines.push(JSON.stringify({ time: "2026-11-23T08:00:00.000Z", level: "info", message }));
  }

  drop(count: number): void {
    this.#dropped += this.#lines.splice(0, count).length;
  }

  store(): LogVersion {
    const marker = this.#dropped === 0 ? [] : [`{"dropped":${this.#dropped}}`];
    this.text = [...marker, ...this.#lines].map((line) => `${line}\n`).join("");
    this.#version += 1;
    return this.version;
  }

  readonly read = (version: LogVersion, start: number, end: number): Promise<Uint8Array | undefined> => {
    if (version.etag !== this.version.etag) return Promise.resolve(undefined);
    return Promise.resolve(Buffer.from(this.text, "utf8").subarray(start, end));
  };
}

async function piecesOf(tail: LogTail, version: LogVersion): Promise<{ pieces: LogPiece[]; whole: boolean }> {
  const pieces: LogPiece[] = [];
  const read = tail.advance(version);
  for (;;) {
    const next = await read.next();
    if (next.done === true) return { pieces, whole: next.value };
    pieces.push(next.value);
  }
}

async function messages(tail: LogTail, version: LogVersion): Promise<string[]> {
  return (await piecesOf(tail, version)).pieces.flatMap(({ lines }) => lines.map((line) => line.message));
}

test("each line is given once, in order, as the log grows", async () => {
  const log = new Written();
  const tail = new LogTail(log.read);
  log.add("one");
  expect(await messages(tail, log.store())).toEqual(["one"]);
  log.add("two");
  log.add("zwölf");
  expect(await messages(tail, log.store())).toEqual(["two", "zwölf"]);
  expect(await messages(tail, log.version)).toEqual([]);
  expect(tail.next).toBe(3);
});

test("only what is new is read", async () => {
  const log = new Written();
  let bytes = 0;
  const tail = new LogTail((version, start, end) => {
    bytes += end - start;
    return log.read(version, start, end);
  });
  for (let n = 0; n < 1_000; n++) log.add(`line ${n}`);
  await messages(tail, log.store());
  bytes = 0;
  log.add("new");
  expect(await messages(tail, log.store())).toEqual(["new"]);
  expect(bytes).toBeLessThan(200);
});

test("lines that went from the front before they were seen are counted, those seen are not given again", async () => {
  const log = new Written();
  const tail = new LogTail(log.read);
  for (const message of ["a", "b", "c"]) log.add(message);
  await messages(tail, log.store());
  for (const message of ["d", "e", "f"]) log.add(message);
  log.drop(5);
  const { pieces } = await piecesOf(tail, log.store());
  expect(pieces.map(({ dropped, lines }) => [dropped, lines.map((line) => line.message)])).toEqual([[2, ["f"]]]);
  log.add("g");
  expect(await messages(tail, log.store())).toEqual(["g"]);
  log.drop(2);
  log.add("h");
  expect(await messages(tail, log.store())).toEqual(["h"]);
});

test("a stream that is taken up goes on after the line it was at", async () => {
  const log = new Written();
  for (const message of ["a", "b", "c", "d"]) log.add(message);
  log.drop(1);
  log.store();
  expect(await messages(new LogTail(log.read, 3), log.version)).toEqual(["d"]);
  const { pieces } = await piecesOf(new LogTail(log.read, 0), log.version);
  expect(pieces[0]).toMatchObject({ dropped: 1 });
});

test("a line that is not written to its end waits; what is no log line is counted as lost", async () => {
  const log = new Written();
  const tail = new LogTail(log.read);
  log.add("one");
  log.store();
  const whole = log.text;
  log.text = `${whole}{"time":"2026-`;
  expect(await messages(tail, log.version)).toEqual(["one"]);
  log.store();
  log.text = `${whole}not json\n{"level":"info"}\n`;
  const { pieces } = await piecesOf(tail, log.version);
  expect(pieces).toEqual([{ dropped: 2, lines: [] }]);
  expect(tail.next).toBe(3);
});

test("a version that is replaced while it is read is said to be so, and the next one goes on", async () => {
  const log = new Written();
  const big = "x".repeat(logPieceBytes - 1_000);
  for (let n = 0; n < 4; n++) log.add(`${n}${big}`);
  const first = log.store();
  let reads = 0;
  const tail = new LogTail((version, start, end) => {
    if (++reads === 3) {
      log.add("last");
      log.store();
    }
    return log.read(version, start, end);
  });
  const before = await piecesOf(tail, first);
  expect(before.whole).toBe(false);
  const after = await piecesOf(tail, log.version);
  expect(after.whole).toBe(true);
  const all = [...before.pieces, ...after.pieces].flatMap(({ lines }) => lines.map((line) => line.message[0]));
  expect(all).toEqual(["0", "1", "2", "3", "l"]);
});

test("a line longer than a piece is passed over and counted; those around it are given", async () => {
  const log = new Written();
  const tail = new LogTail(log.read);
  log.add("before");
  log.add("x".repeat(2 * logPieceBytes + 10));
  log.add("after");
  const { pieces } = await piecesOf(tail, log.store());
  expect(pieces.flatMap(({ lines }) => lines.map((line) => line.message))).toEqual(["before", "after"]);
  expect(pieces.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(1);
});

test("whatever a log goes through, every line is given once, in order, or counted as lost", async () => {
  const step = fc.oneof(
    fc.record({ add: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ drop: fc.integer({ min: 1, max: 40 }) }),
    fc.constant("look" as const),
    fc.constant("again" as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const log = new Written();
      let tail = new LogTail(log.read);
      let added = 0;
      const given: number[] = [];
      let lost = 0;
      for (const one of [...steps, { add: 1 }, "look" as const]) {
        if (one === "again") tail = new LogTail(log.read, tail.next);
        else if (one === "look") {
          const { pieces, whole } = await piecesOf(tail, log.store());
          expect(whole).toBe(true);
          for (const { dropped, lines } of pieces) {
            lost += dropped;
            given.push(...lines.map((line) => Number(line.message)));
          }
        } else if ("add" in one) for (let n = 0; n < one.add; n++) log.add(String(added++));
        // The front never overtakes the newest line: a worker drops to make room for it.
        else log.drop(Math.min(one.drop, Math.max(0, added - 1)));
      }
      expect(given).toEqual([...new Set(given)].sort((a, b) => a - b));
      expect([given.at(-1), given.length + lost, tail.next]).toEqual([added - 1, added, added]);
    }),
  );
});
