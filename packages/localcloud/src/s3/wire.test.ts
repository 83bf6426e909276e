/**
 * A table of requests and what the S3 documentation says is answered, over the wire: to this endpoint, and with
 * TRACE_S3_ORACLE=<port>,<key>,<secret> to an independent server on this machine, which must agree with the table. `npm run
 * oracle` does the same with RGW of Ceph; rows tell what that one does otherwise.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, owner, send, startBench } from "../testing/s3bench.ts";
import { deviations } from "../testing/s3row.ts";
import { table } from "../testing/s3table.ts";
import { type Send, walked, walkUpload } from "../testing/s3walk.ts";

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

const [oraclePort, accessKeyId = "", secretAccessKey = ""] = (process.env.TRACE_S3_ORACLE ?? "").split(",");

describe.skipIf(!oraclePort)("an independent server", () => {
  const oracle = { port: Number(oraclePort) };
  const credential = { ...owner, accessKeyId, secretAccessKey };
  const ask: Send = (call, options) => send(oracle, call, { credential, ...options });

  beforeAll(async () => {
    await ask({ method: "PUT", path: "/files" });
    const paths = new Set(["/files/walk", ...table.flatMap(({ call }) => (call.method === "PUT" ? [call.path] : []))]);
    for (const path of paths) await ask({ method: "DELETE", path });
  });

  test.each(byName)("%s", async (_, row) => {
    const options = { ...(row.presign === undefined ? {} : { presign: row.presign }) };
    const answer = await ask(row.call, { ...options, unsignedPayload: row.unsignedPayload === true });
    if (row.differs === undefined) expect(deviations(row, answer)).toEqual([]);
  });

  test("a multipart upload", async () => {
    expect(await walkUpload(ask)).toEqual(walked);
  });
});
