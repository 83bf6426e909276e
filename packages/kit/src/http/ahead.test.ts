/** Bodies that are taken ahead of their reader: nothing is lost or mixed up, and there is a bound. */
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { takenAhead } from "./ahead.ts";

/** A body that others feed. */
function fed(): Readable {
  return new Readable({ read: () => undefined, highWaterMark: 1_000 });
}

/** All that is under way inside this process has come to its end. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function textOf(body: Readable): Promise<string> {
  let text = "";
  for await (const chunk of body) text += String(chunk);
  return text;
}

test("what comes before its reader does is all there, in order, and so is the end", async () => {
  const body = fed();
  const taken = takenAhead(body, 10);
  for (const text of ["abc", "de", "fghij"]) body.push(text);
  body.push(null);
  await turn();
  expect(body.readableLength).toBe(0);
  expect(await textOf(taken)).toBe("abcdefghij");
});

test("a reader that is too far behind loses the body, and the body is closed", async () => {
  const body = fed();
  const taken = takenAhead(body, 10);
  body.push("abcdefghij");
  await turn();
  expect(taken.destroyed).toBe(false);
  body.push("k");
  await turn();
  expect([taken.destroyed, body.destroyed]).toEqual([true, true]);
  await expect(textOf(taken)).rejects.toThrow("11 bytes wait for their reader, of at most 10");
});

test("what was read counts no more", async () => {
  const body = fed();
  const taken = takenAhead(body, 10);
  const read = textOf(taken);
  for (let n = 0; n < 10; n += 1) {
    body.push("abcdefghij");
    await turn();
  }
  body.push(null);
  expect(await read).toBe("abcdefghij".repeat(10));
});

test("a body that breaks off is told, and a reader that has enough closes the body", async () => {
  const broken = fed();
  const read = textOf(takenAhead(broken, 10));
  broken.push("abc");
  broken.destroy(new Error("hung up"));
  await expect(read).rejects.toThrow("hung up");
  const left = fed();
  takenAhead(left, 10).destroy();
  await turn();
  expect(left.destroyed).toBe(true);
});
