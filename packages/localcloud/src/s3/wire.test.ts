/**
 * A table of requests and what the S3 documentation says is answered, over the wire: to this endpoint, and with
 * TRACE_S3_ORACLE=<port>,<key>,<secret> to an independent server on this machine, which must agree with the table.
 * It was held against RGW of Ceph 16 in this way; rows tell what that one does otherwise.
 */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, owner, type RawAnswer, type RawCall, send, startBench } from "../testing/s3bench.ts";
import { deviations } from "../testing/s3row.ts";
import { table } from "../testing/s3table.ts";
import type { S3Endpoint } from "./endpoint.ts";

type Send = (call: RawCall, options?: Parameters<typeof send>[2]) => Promise<RawAnswer>;

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const byName = table.map((row) => [row.name, row] as const);
const md5 = (data: Buffer) => createHash("md5").update(data).digest();
const first = Buffer.alloc(5 * 1024 ** 2, "first ");
const last = Buffer.from("last");

/** What is answered on the way of an upload: status, and code or ETag. */
async function walkUpload(ask: Send): Promise<string[]> {
  const path = "/files/walk";
  const told: string[] = [];
  const tell = ({ status, code, headers }: RawAnswer) => {
    told.push(`${status} ${code ?? headers.etag ?? ""}`.trim());
  };
  const created = await ask({ method: "POST", path, query: { uploads: "" } });
  const uploadId = /<UploadId>(.*?)</.exec(created.body.toString())?.[1] ?? "";
  const put = (number: number, body: Buffer) =>
    ask({ method: "PUT", path, query: { uploadId, partNumber: String(number) }, body });
  const complete = (...parts: readonly (readonly [number, Buffer])[]) => {
    const xml = parts.map(
      ([number, data]) => `<Part><PartNumber>${number}</PartNumber><ETag>"${md5(data).toString("hex")}"</ETag></Part>`,
    );
    const body = `<CompleteMultipartUpload>${xml.join("")}</CompleteMultipartUpload>`;
    return ask({ method: "POST", path, query: { uploadId }, body });
  };
  tell(created);
  tell(await put(1, last));
  tell(await put(2, last));
  tell(await complete([1, last], [2, last]));
  tell(await put(1, first));
  tell(await complete([1, last], [2, last]));
  tell(await complete([1, first], [3, last]));
  tell(await ask({ method: "HEAD", path }));
  tell(await complete([1, first], [2, last]));
  tell(await ask({ method: "GET", path }));
  tell(await ask({ method: "DELETE", path, query: { uploadId } }));
  return told;
}

const whole = `${md5(Buffer.concat([md5(first), md5(last)])).toString("hex")}-2`;
const walked = [
  "200",
  `200 "${md5(last).toString("hex")}"`,
  `200 "${md5(last).toString("hex")}"`,
  "400 EntityTooSmall",
  `200 "${md5(first).toString("hex")}"`,
  "400 InvalidPart",
  "400 InvalidPart",
  "404",
  "200",
  `200 "${whole}"`,
  "404 NoSuchUpload",
];

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
  const oracle = { port: Number(oraclePort) } as S3Endpoint;
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
