/**
 * A table of requests and what the S3 documentation says is answered, over the wire. `npm run oracle` sends the same to a
 * server of other people, which must agree; rows tell what that one does otherwise.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, send, startBench } from "../testing/s3bench.ts";
import { deviations } from "../testing/s3row.ts";
import { table } from "../testing/s3table.ts";
import { walked, walkUpload } from "../testing/s3walk.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const byName = table.map((row) => [row.name, row] as const);

describe("the S3 documentation", () => {
  test.each(byName)("%s", async (_, row) => {
    const options = { ...(row.presign === undefined ? {} : { presign: row.presign }) };
    const answer = await send(bench.endpoint, row.call, { ...options, unsignedPayload: row.unsignedPayload === true });
    expect(deviations(row, answer)).toEqual([]);
  });

  test("a multipart upload", async () => {
    expect(await walkUpload((call) => send(bench.endpoint, call))).toEqual(walked);
  });

  test("says something that an answer can miss", () => {
    const answer = { status: 200, code: undefined, headers: {}, body: Buffer.from("<b/><a/>") };
    const row = { name: "", call: { method: "GET", path: "/" }, status: 404, code: "NoSuchKey", etag: '"x"', body: "" };
    const found = deviations({ ...row, headers: { a: "b" }, contains: ["<a/>", "<b/>"], lacks: ["<b/>"] }, answer);
    expect(found.length).toBe(7);
  });
});
