/** aws-chunked bodies over the wire: signed chunk by chunk with a signer of its own, trailers signed and unsigned. */
import { createHash, createHmac } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Bench,
  owner,
  type RawAnswer,
  type Signed,
  send,
  sendRaw,
  signCall,
  startBench,
} from "../testing/s3bench.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

const sha = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

const modes = [
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
  "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
] as const;
type Mode = (typeof modes)[number];

/** The chain as https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html describes it. */
class Chain {
  #previous: string;
  readonly #scope: string;
  readonly #date: string;
  readonly #key: Buffer;

  constructor(call: Signed) {
    this.#previous = /Signature=([0-9a-f]{64})/.exec(call.headers.authorization ?? "")?.[1] ?? "";
    this.#date = call.headers["x-amz-date"] ?? "";
    this.#scope = `${this.#date.slice(0, 8)}/eu-central-1/s3/aws4_request`;
    const steps = this.#scope.split("/");
    this.#key = steps.reduce<Buffer>((key, step) => hmac(key, step), Buffer.from(`AWS4${owner.secretAccessKey}`));
  }

  #sign(kind: string, ...hashes: string[]): string {
    const text = [`AWS4-HMAC-SHA256-${kind}`, this.#date, this.#scope, this.#previous, ...hashes].join("\n");
    this.#previous = hmac(this.#key, text).toString("hex");
    return this.#previous;
  }

  chunk(data: Buffer): string {
    return this.#sign("PAYLOAD", sha(""), sha(data));
  }

  trailer(line: string): string {
    return this.#sign("TRAILER", sha(`${line}\n`));
  }
}

const checksumOf = (data: Buffer) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(data));
  return bytes.toString("base64");
};

function frame(call: Signed, mode: Mode, data: Buffer): Buffer {
  const chain = mode === "STREAMING-UNSIGNED-PAYLOAD-TRAILER" ? undefined : new Chain(call);
  const pieces: Buffer[] = [];
  const chunkBytes = 65_536;
  for (let at = 0; at < data.length; at += chunkBytes) {
    const chunk = data.subarray(at, at + chunkBytes);
    const signature = chain === undefined ? "" : `;chunk-signature=${chain.chunk(chunk)}`;
    pieces.push(Buffer.from(`${chunk.length.toString(16)}${signature}\r\n`), chunk, Buffer.from("\r\n"));
  }
  const end = chain === undefined ? "" : `;chunk-signature=${chain.chunk(Buffer.alloc(0))}`;
  pieces.push(Buffer.from(`0${end}\r\n`));
  if (mode.endsWith("-TRAILER")) {
    const line = `x-amz-checksum-crc32:${checksumOf(data)}`;
    pieces.push(Buffer.from(`${line}\r\n`));
    if (chain !== undefined) pieces.push(Buffer.from(`x-amz-trailer-signature:${chain.trailer(line)}\r\n`));
  }
  return Buffer.concat([...pieces, Buffer.from("\r\n")]);
}

async function stream(
  path: string,
  mode: Mode,
  data: Buffer,
  forge: (body: Buffer) => Buffer = (body) => body,
  query: Record<string, string> = {},
): Promise<RawAnswer> {
  const headers = {
    "x-amz-content-sha256": mode,
    "x-amz-decoded-content-length": String(data.length),
    "content-encoding": "aws-chunked",
    ...(mode.endsWith("-TRAILER") ? { "x-amz-trailer": "x-amz-checksum-crc32" } : {}),
  };
  const call = await signCall(bench.endpoint, { method: "PUT", path, query, headers });
  return sendRaw(bench.endpoint.port, { ...call, body: forge(frame(call, mode, data)) });
}

describe.each(modes)("%s", (mode) => {
  const path = `/files/${mode}`;

  test.each([0, 1, 65_536, 66_560, 1_000_003])("brings %i bytes as they were", async (bytes) => {
    const data = Buffer.alloc(bytes, "streamed ");
    expect(await stream(path, mode, data)).toMatchObject({ status: 200 });
    const got = await send(bench.endpoint, { method: "GET", path });
    expect(got.body.equals(data)).toBe(true);
    expect(got.headers["content-encoding"]).toBeUndefined();
  });

  test("brings a part", async () => {
    const data = Buffer.alloc(70_000, "part ");
    const created = await send(bench.endpoint, { method: "POST", path, query: { uploads: "" } });
    const uploadId = /<UploadId>(.*?)</.exec(created.body.toString())?.[1] ?? "";
    const part = await stream(path, mode, data, undefined, { uploadId, partNumber: "1" });
    expect(part.headers.etag).toBe(`"${createHash("md5").update(data).digest("hex")}"`);
  });

  const swap = (body: Buffer, from: string, to: string) => {
    const at = body.indexOf(from);
    expect(at).not.toBe(-1);
    return Buffer.concat([body.subarray(0, at), Buffer.from(to), body.subarray(at + from.length)]);
  };
  const signed = mode !== "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
  test.each<[string, string, (body: Buffer) => Buffer]>([
    ["a changed byte", signed ? "SignatureDoesNotMatch" : "BadDigest", (body) => swap(body, "honest", "forged")],
    ["no last chunk", "IncompleteBody", (body) => body.subarray(0, body.lastIndexOf("\r\n0") + 2)],
    ["bytes behind its end", "IncompleteBody", (body) => Buffer.concat([body, Buffer.from("more")])],
    ["a size that is no number", "IncompleteBody", (body) => Buffer.concat([Buffer.from("z"), body])],
    ...(signed
      ? [
          [
            "a flipped chunk signature",
            "SignatureDoesNotMatch",
            (body: Buffer) => {
              const at = body.indexOf("chunk-signature=") + "chunk-signature=".length;
              const forged = Buffer.from(body);
              forged[at] = forged[at] === 0x30 ? 0x31 : 0x30;
              return forged;
            },
          ] as [string, string, (body: Buffer) => Buffer],
        ]
      : []),
    ...(mode.endsWith("-TRAILER")
      ? ([
          [
            "another checksum",
            signed ? "SignatureDoesNotMatch" : "BadDigest",
            (body: Buffer) => swap(body, checksumOf(Buffer.from("honest bytes")), "AAAAAA=="),
          ],
          [
            "a trailer that was not announced",
            "MalformedTrailerError",
            (body: Buffer) => swap(body, "x-amz-checksum-crc32:", "x-amz-checksum-sha1:"),
          ],
        ] as [string, string, (body: Buffer) => Buffer][])
      : []),
  ])("with %s stores nothing: %s", async (_, code, forge) => {
    const answer = await stream(`${path}/forged`, mode, Buffer.from("honest bytes"), forge);
    expect(answer).toMatchObject({ code });
    expect((await send(bench.endpoint, { method: "HEAD", path: `${path}/forged` })).status).toBe(404);
  });
});
