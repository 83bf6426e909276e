/** One upload in parts with every mistake on its way, and what is answered to each step. */
import { createHash } from "node:crypto";
import type { RawAnswer, RawCall, send } from "./s3bench.ts";

export type Send = (call: RawCall, options?: Parameters<typeof send>[2]) => Promise<RawAnswer>;

const md5 = (data: Buffer) => createHash("md5").update(data).digest();
const first = Buffer.alloc(5 * 1024 ** 2, "first ");
const last = Buffer.from("last");

/** What is answered on the way of an upload: status, and code or ETag. */
export async function walkUpload(ask: Send): Promise<string[]> {
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
export const walked = [
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
