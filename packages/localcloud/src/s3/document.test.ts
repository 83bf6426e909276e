/** Answers that take long: the client waits on, and learns how it ended. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Bench, send, startBench } from "../testing/s3bench.ts";
import { patientReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange } from "./exchange.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

function exchangeOf(patienceMs: number): Exchange {
  const lateError = (error: unknown) => `<Error><Code>${error instanceof S3Error ? error.code : "?"}</Code></Error>`;
  return { patienceMs, lateError } as unknown as Exchange;
}

/** Reads the answer up to its first white space, lets the work end, and reads the rest. */
async function slowAnswer(end: (work: PromiseWithResolvers<string[]>) => void): Promise<string> {
  const work = Promise.withResolvers<string[]>();
  const reply = await patientReply(exchangeOf(1), "Result", work.promise);
  expect(reply.status).toBe(200);
  let text = "";
  let ended = false;
  for await (const chunk of reply.body as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (ended || !text.endsWith(" ")) continue;
    end(work);
    ended = true;
  }
  return text;
}

test("work that takes long is answered 200 at once, then white space, then its result", async () => {
  const text = await slowAnswer(({ resolve }) => resolve(["<A/>"]));
  expect(text).toMatch(/^<\?xml [^>]*>\n +<Result [^>]*><A\/><\/Result>$/);
});

test("work that fails when the answer has begun ends it with the error", async () => {
  const text = await slowAnswer(({ reject }) => reject(new S3Error("InvalidPart", "gone")));
  expect(text).toMatch(/^<\?xml [^>]*>\n +<Error><Code>InvalidPart<\/Code><\/Error>$/);
});

test("a request is not over before its work, though its client hung up", async () => {
  const work = Promise.withResolvers<string[]>();
  const { release } = await patientReply(exchangeOf(1), "Result", work.promise);
  let over = false;
  const released = release?.().then(() => {
    over = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(over).toBe(false);
  work.resolve([]);
  await released;
  expect(over).toBe(true);
});

test("work that fails soon has its own status", async () => {
  const work = Promise.reject(new S3Error("InvalidPart", "gone"));
  await expect(patientReply(exchangeOf(60_000), "Result", work)).rejects.toMatchObject({ code: "InvalidPart" });
  const quick = await patientReply(exchangeOf(60_000), "Result", Promise.resolve(["<A/>"]));
  expect(quick).toMatchObject({ status: 200, body: expect.stringContaining("<A/>") });
});

test("a document larger than any that S3 takes is refused before it is read", async () => {
  const call = { method: "POST", path: "/files", query: { delete: "" }, body: Buffer.alloc(8 * 1024 ** 2 + 1, " ") };
  const headers = { "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==" };
  expect(await send(bench.endpoint, { ...call, headers })).toMatchObject({
    status: 400,
    code: "MaxMessageLengthExceeded",
  });
});
