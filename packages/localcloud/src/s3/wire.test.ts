/**
 * A table of requests and what the S3 documentation says is answered, over the wire: to this endpoint, and with
 * TRACE_S3_ORACLE=<port>,<key>,<secret> to an independent server on this machine, which must agree with the table.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, owner, send, startBench } from "../testing/s3bench.ts";
import { deviations, table } from "../testing/s3table.ts";
import type { S3Endpoint } from "./endpoint.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

describe("the S3 documentation", () => {
  test.each(table.map((row) => [row.name, row] as const))("%s", async (_, row) => {
    const options = { ...(row.presign === undefined ? {} : { presign: row.presign }) };
    const answer = await send(bench.endpoint, row.call, { ...options, unsignedPayload: row.unsignedPayload === true });
    expect(deviations(row, answer)).toEqual([]);
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
  const oracle = { port: Number(oraclePort) } as S3Endpoint;
  const credential = { ...owner, accessKeyId, secretAccessKey };

  beforeAll(async () => {
    await send(oracle, { method: "PUT", path: "/files" }, { credential });
  });

  test.each(table.map((row) => [row.name, row] as const))("%s", async (_, row) => {
    const options = { credential, ...(row.presign === undefined ? {} : { presign: row.presign }) };
    const answer = await send(oracle, row.call, { ...options, unsignedPayload: row.unsignedPayload === true });
    if (row.differs === undefined) expect(deviations(row, answer)).toEqual([]);
  });
});
