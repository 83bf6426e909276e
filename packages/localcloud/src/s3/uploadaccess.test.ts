/** Who may do what with an upload in parts: whoever may put its object, and nobody else. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, objectPath, owner, type RawAnswer, type RawCall, send, startBench } from "../testing/s3bench.ts";
import type { GrantedAction, S3Credential } from "./access.ts";

const credentialOf = (name: string, ...actions: GrantedAction[]): S3Credential => ({
  accessKeyId: `${name}KEY`,
  secretAccessKey: `${name}-secret-of-the-tests`,
  grants: [{ bucket: "files", actions, prefix: "mine/" }],
});
const writer = credentialOf("WRITER", "PutObject");
const others = credentialOf("OTHERS", "GetObject", "DeleteObject", "ListBucket");

let bench: Bench;
beforeAll(async () => {
  bench = await startBench({ credentials: [owner, writer, others] });
});
afterAll(() => bench.stop());

const ask = (call: RawCall, credential: S3Credential): Promise<RawAnswer> => send(bench.endpoint, call, { credential });
const created = (answer: RawAnswer) => /<UploadId>(.*?)</.exec(answer.body.toString())?.[1] ?? "";

function calls(key: string, uploadId: string, etag: unknown): Record<string, RawCall> {
  const path = objectPath("files", key);
  const query = { uploadId };
  const xml = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
  return {
    CreateMultipartUpload: { method: "POST", path, query: { uploads: "" } },
    UploadPart: { method: "PUT", path, query: { ...query, partNumber: "1" }, body: "part" },
    ListParts: { method: "GET", path, query },
    CompleteMultipartUpload: { method: "POST", path, query, body: xml },
    AbortMultipartUpload: { method: "DELETE", path, query },
  };
}

const names = Object.keys(calls("", "", ""));
let uploadId: string;
let etag: unknown;
beforeAll(async () => {
  const { CreateMultipartUpload } = calls("mine/a", "", "");
  uploadId = created(await ask(CreateMultipartUpload as RawCall, writer));
  etag = (await ask(calls("mine/a", uploadId, "").UploadPart as RawCall, writer)).headers.etag;
});

describe("an upload in a folder that a writer was granted", () => {
  test.each(names)("%s is refused to whoever may read, delete and list there", async (name) => {
    const call = calls("mine/a", uploadId, etag)[name] as RawCall;
    expect(await ask(call, others)).toMatchObject({ status: 403, code: "AccessDenied" });
    expect((await ask({ method: "HEAD", path: "/files/mine/a" }, owner)).status).toBe(404);
  });

  test.each(names)("%s is refused to the writer in another folder", async (name) => {
    for (const key of ["theirs/a", "mine2/a", "mine"]) {
      const call = calls(key, uploadId, etag)[name] as RawCall;
      expect(await ask(call, writer)).toMatchObject({ status: 403, code: "AccessDenied" });
    }
  });

  test("parts that are copied need the right to read their source", async () => {
    await ask({ method: "PUT", path: "/files/theirs/secret", body: "secret" }, owner);
    const call = calls("mine/a", uploadId, etag).UploadPart as RawCall;
    const headers = { "x-amz-copy-source": "/files/theirs/secret" };
    expect((await ask({ ...call, body: "", headers }, writer)).code).toBe("AccessDenied");
  });

  test("uploads are listed where keys may be listed", async () => {
    const list = (prefix: string, credential: S3Credential) =>
      ask({ method: "GET", path: "/files", query: { uploads: "", prefix } }, credential);
    expect((await list("mine/", others)).body.toString()).toContain(uploadId);
    for (const prefix of ["", "mine", "theirs/"]) expect((await list(prefix, others)).code).toBe("AccessDenied");
    expect((await list("mine/", writer)).code).toBe("AccessDenied");
  });

  test("the writer lists its parts, completes, and aborts another", async () => {
    const mine = calls("mine/a", uploadId, etag);
    expect((await ask(mine.ListParts as RawCall, writer)).body.toString()).toContain("<PartNumber>1</PartNumber>");
    expect((await ask(mine.CompleteMultipartUpload as RawCall, writer)).status).toBe(200);
    expect((await ask({ method: "GET", path: "/files/mine/a" }, owner)).body.toString()).toBe("part");
    const again = created(await ask(mine.CreateMultipartUpload as RawCall, writer));
    expect((await ask(calls("mine/a", again, "").AbortMultipartUpload as RawCall, writer)).status).toBe(204);
    expect((await ask({ method: "GET", path: "/files/mine/a" }, owner)).body.toString()).toBe("part");
  });
});
