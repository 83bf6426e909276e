/**
 * Requests in order, and what the S3 documentation says is answered: to be sent to this endpoint, and to an independent
 * server when one is given. Objects are left by the rows before; each key is written by this table.
 */
import { createHash } from "node:crypto";
import { startChecksum } from "../s3/checksum.ts";
import { objectPath, type RawCall } from "./s3bench.ts";

export interface Row {
  readonly name: string;
  readonly call: RawCall;
  readonly presign?: number;
  readonly unsignedPayload?: boolean;
  readonly status: number;
  /** S3's error code, of requests with a body in the answer. */
  readonly code?: string;
  readonly etag?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Texts that the answer contains, in this order. */
  readonly contains?: readonly string[];
  /** Texts that it does not contain. */
  readonly lacks?: readonly string[];
  /** What the independent server that this table was held against, RGW of Ceph 16, is known to do otherwise. */
  readonly differs?: string;
}

const md5Hex = (text: string) => createHash("md5").update(text).digest("hex");
const etagOf = (text: string) => `"${md5Hex(text)}"`;
const md5 = (text: string) => createHash("md5").update(text).digest("base64");
const sum = (algorithm: "crc32" | "crc32c" | "crc64nvme" | "sha1" | "sha256", text: string) => {
  const running = startChecksum(algorithm);
  running.update(Buffer.from(text));
  return running.finish();
};
const at = (key: string) => objectPath("files", key);
const digits = "0123456789";
const elsewhen = "Wed, 01 Jan 2020 00:00:00 GMT";

const buckets: Row[] = [
  { name: "a bucket that is there", call: { method: "HEAD", path: "/files" }, status: 200 },
  {
    name: "a missing key",
    call: { method: "GET", path: at("missing") },
    status: 404,
    code: "NoSuchKey",
  },
  { name: "the head of a missing key", call: { method: "HEAD", path: at("missing") }, status: 404 },
  { name: "the delete of a missing key", call: { method: "DELETE", path: at("missing") }, status: 204 },
];

const writes: Row[] = [
  { name: "a put", call: { method: "PUT", path: at("r"), body: digits }, status: 200, etag: etagOf(digits) },
  {
    name: "a put of a new key with If-None-Match: *",
    call: { method: "PUT", path: at("once"), body: "1", headers: { "if-none-match": "*" } },
    status: 200,
    etag: etagOf("1"),
  },
  {
    name: "a put of a present key with If-None-Match: *",
    call: { method: "PUT", path: at("once"), body: "2", headers: { "if-none-match": "*" } },
    status: 412,
    code: "PreconditionFailed",
  },
  {
    name: "a put with the ETag of what is there",
    call: { method: "PUT", path: at("once"), body: "2", headers: { "if-match": etagOf("1") } },
    status: 200,
    etag: etagOf("2"),
    differs: "takes the ETag of a put without its quotes only",
  },
  {
    name: "what was replaced",
    call: { method: "PUT", path: at("once"), body: "2" },
    status: 200,
  },
  {
    name: "a put with the ETag of what is there, without quotes",
    call: { method: "PUT", path: at("once"), body: "3", headers: { "if-match": md5Hex("2") } },
    status: 200,
    etag: etagOf("3"),
  },
  {
    name: "a put with another ETag",
    call: { method: "PUT", path: at("once"), body: "4", headers: { "if-match": etagOf("1") } },
    status: 412,
    code: "PreconditionFailed",
  },
  {
    name: "a put with an ETag of nothing",
    call: { method: "PUT", path: at("nothing"), body: "5", headers: { "if-match": etagOf("1") } },
    status: 404,
    code: "NoSuchKey",
    differs: "answers 412",
  },
  { name: "what conditions left", call: { method: "GET", path: at("once") }, status: 200, body: "3" },
  {
    name: "a Content-MD5 that fits",
    call: { method: "PUT", path: at("md5"), body: digits, headers: { "content-md5": md5(digits) } },
    status: 200,
    etag: etagOf(digits),
  },
  {
    name: "a Content-MD5 of something else",
    call: { method: "PUT", path: at("md5"), body: digits, headers: { "content-md5": md5("else") } },
    status: 400,
    code: "BadDigest",
  },
  {
    name: "a Content-MD5 that is none",
    call: { method: "PUT", path: at("md5"), body: digits, headers: { "content-md5": "abc" } },
    status: 400,
    code: "InvalidDigest",
  },
  {
    name: "metadata and headers",
    call: {
      method: "PUT",
      path: at("meta"),
      body: "m",
      headers: { "content-type": "text/csv", "cache-control": "no-store", "x-amz-meta-rows": "7" },
    },
    status: 200,
  },
  {
    name: "metadata and headers given back",
    call: { method: "HEAD", path: at("meta") },
    status: 200,
    etag: etagOf("m"),
    headers: { "content-type": "text/csv", "cache-control": "no-store", "x-amz-meta-rows": "7", "content-length": "1" },
  },
];

const checksums: Row[] = (["crc32", "crc32c", "crc64nvme", "sha1", "sha256"] as const).flatMap((algorithm): Row[] => {
  const header = `x-amz-checksum-${algorithm}`;
  const put = (value: string): RawCall => ({
    method: "PUT",
    path: at(`sum/${algorithm}`),
    body: digits,
    headers: { [header]: value, "x-amz-sdk-checksum-algorithm": algorithm.toUpperCase() },
  });
  const trailer = (value: string): RawCall => ({
    method: "PUT",
    path: at(`trailer/${algorithm}`),
    headers: {
      "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
      "x-amz-decoded-content-length": String(digits.length),
      "content-encoding": "aws-chunked",
      "x-amz-trailer": header,
    },
    body: `a\r\n${digits}\r\n0\r\n${header}:${value}\r\n\r\n`,
  });
  const value = sum(algorithm, digits);
  const ask = { "x-amz-checksum-mode": "ENABLED" };
  const rows: Row[] = [
    {
      name: `${algorithm} that fits`,
      call: put(value),
      status: 200,
      etag: etagOf(digits),
      headers: { [header]: value },
    },
    {
      name: `${algorithm} given back`,
      call: { method: "HEAD", path: at(`sum/${algorithm}`), headers: ask },
      status: 200,
      headers: { [header]: value },
    },
    { name: `${algorithm} of something else`, call: put(sum(algorithm, "else")), status: 400, code: "BadDigest" },
    { name: `${algorithm} that is none`, call: put("abc"), status: 400, code: "InvalidRequest" },
    { name: `${algorithm} behind the body`, call: trailer(value), status: 200, etag: etagOf(digits) },
    {
      name: `${algorithm} behind the body of something else`,
      call: trailer(sum(algorithm, "else")),
      status: 400,
      code: "BadDigest",
    },
    {
      name: `what came with ${algorithm}`,
      call: { method: "GET", path: at(`trailer/${algorithm}`) },
      status: 200,
      body: digits,
    },
  ];
  return rows.map((row) => ({ ...row, differs: "does not know x-amz-checksum headers" }));
});

const get = (headers: Record<string, string>, query: Record<string, string> = {}): RawCall => ({
  method: "GET",
  path: at("r"),
  headers,
  query,
});

const reads: Row[] = [
  { name: "the whole", call: get({}), status: 200, body: digits, etag: etagOf(digits) },
  ...(
    [
      ["bytes=0-0", "0", "bytes 0-0/10"],
      ["bytes=3-5", "345", "bytes 3-5/10"],
      ["bytes=7-", "789", "bytes 7-9/10"],
      ["bytes=-3", "789", "bytes 7-9/10"],
      ["bytes=-30", digits, "bytes 0-9/10"],
      ["bytes=5-500", "56789", "bytes 5-9/10"],
    ] as const
  ).map(
    ([range, body, told]): Row => ({
      name: `Range: ${range}`,
      call: get({ range }),
      status: 206,
      body,
      headers: { "content-range": told, "content-length": String(body.length) },
    }),
  ),
  { name: "a range behind the end", call: get({ range: "bytes=10-" }), status: 416, code: "InvalidRange" },
  { name: "If-Match that fits", call: get({ "if-match": etagOf(digits) }), status: 200, body: digits },
  { name: "If-Match that does not", call: get({ "if-match": etagOf("x") }), status: 412, code: "PreconditionFailed" },
  { name: "If-None-Match that fits", call: get({ "if-none-match": etagOf(digits) }), status: 304, body: "" },
  { name: "If-None-Match that does not", call: get({ "if-none-match": etagOf("x") }), status: 200, body: digits },
  { name: "If-Modified-Since of long ago", call: get({ "if-modified-since": elsewhen }), status: 200, body: digits },
  {
    name: "If-Unmodified-Since of long ago",
    call: get({ "if-unmodified-since": elsewhen }),
    status: 412,
    code: "PreconditionFailed",
  },
  {
    name: "If-Match that fits beats If-Unmodified-Since",
    call: get({ "if-match": etagOf(digits), "if-unmodified-since": elsewhen }),
    status: 200,
  },
  {
    name: "the head with If-Match that does not fit",
    call: { method: "HEAD", path: at("r"), headers: { "if-match": etagOf("x") } },
    status: 412,
  },
  {
    name: "the head with If-None-Match that fits",
    call: { method: "HEAD", path: at("r"), headers: { "if-none-match": etagOf(digits) } },
    status: 304,
  },
  {
    name: "headers asked for in the query",
    call: get({}, { "response-content-type": "text/x", "response-cache-control": "no-cache" }),
    status: 200,
    headers: { "content-type": "text/x", "cache-control": "no-cache" },
  },
];

const presigned: Row[] = [
  { name: "a presigned PUT", call: { method: "PUT", path: at("p"), body: "link" }, presign: 604_800, status: 200 },
  { name: "a presigned GET", call: { method: "GET", path: at("p") }, presign: 60, status: 200, body: "link" },
  {
    name: "a presigned GET of a range",
    call: { method: "GET", path: at("p"), headers: { range: "bytes=-2" } },
    presign: 60,
    status: 206,
    body: "nk",
  },
  {
    name: "a presigned HEAD",
    call: { method: "HEAD", path: at("p") },
    presign: 60,
    status: 200,
    headers: { "content-length": "4" },
  },
  { name: "a presigned DELETE", call: { method: "DELETE", path: at("p") }, presign: 60, status: 204 },
  {
    name: "a presigned GET of what is gone",
    call: { method: "GET", path: at("p") },
    presign: 60,
    status: 404,
    code: "NoSuchKey",
  },
  {
    name: "a put whose payload is not signed",
    call: { method: "PUT", path: at("unsigned"), body: "u" },
    unsignedPayload: true,
    status: 200,
    etag: etagOf("u"),
  },
];

const hostileKeys = [
  "k/a",
  "k/a/b",
  "k/é",
  "k/日本 🌍",
  "k/a+b &=?#%",
  "k/..",
  "k/../x",
  "k/./y",
  "k//z",
  "k/'\"<>",
  "k/".padEnd(1_024, "x"),
];

const keys: Row[] = [
  ...hostileKeys.flatMap((key): Row[] => [
    {
      name: `put ${key.slice(0, 20)}`,
      call: { method: "PUT", path: at(key), body: key },
      status: 200,
      etag: etagOf(key),
    },
    { name: `get ${key.slice(0, 20)}`, call: { method: "GET", path: at(key) }, status: 200, body: key },
  ]),
  {
    name: "a key of 1,025 bytes",
    call: { method: "PUT", path: at("k/".padEnd(1_025, "x")), body: "x" },
    status: 400,
    code: "KeyTooLongError",
    differs: "says InvalidObjectName",
  },
];

const listed = ["list/a", "list/a/b", "list/b/1", "list/b/2", "list/c", "list/é +"];
const list = (query: Record<string, string>): RawCall => ({ method: "GET", path: "/files", query });
const encodedLast = "<Key>list/%C3%A9%20%2B</Key>";

const listings: Row[] = [
  ...listed.map((key): Row => ({ name: `put ${key}`, call: { method: "PUT", path: at(key), body: key }, status: 200 })),
  {
    name: "version 2 of a prefix",
    call: list({ "list-type": "2", prefix: "list/" }),
    status: 200,
    contains: listed.map((key) => `<Key>${key}</Key>`),
    lacks: ["<IsTruncated>true", "<Owner>", "NextContinuationToken"],
  },
  {
    name: "version 2 with a delimiter, keys encoded",
    call: list({ "list-type": "2", prefix: "list/", delimiter: "/", "encoding-type": "url" }),
    status: 200,
    contains: ["<Key>list/a</Key>", "<Key>list/c</Key>"],
    lacks: ["<Key>list/b/1</Key>"],
    differs: "encodes slashes too",
  },
  {
    name: "version 2 encodes keys",
    call: list({ "list-type": "2", prefix: "list/é", "encoding-type": "url" }),
    status: 200,
    contains: [encodedLast],
    differs: "encodes slashes too",
  },
  {
    name: "version 2 after a key",
    call: list({ "list-type": "2", prefix: "list/", "start-after": "list/b/1" }),
    status: 200,
    contains: ["<Key>list/b/2</Key>", "<Key>list/c</Key>"],
    lacks: ["<Key>list/a</Key>", "<Key>list/b/1</Key>"],
  },
  {
    name: "version 2 of one key",
    call: list({ "list-type": "2", prefix: "list/", "max-keys": "1" }),
    status: 200,
    contains: ["<Key>list/a</Key>"],
    lacks: ["<IsTruncated>false", "<Key>list/a/b</Key>"],
  },
  {
    name: "version 2 with the owner",
    call: list({ "list-type": "2", prefix: "list/c", "fetch-owner": "true" }),
    status: 200,
    contains: ["<Key>list/c</Key>", "<Owner>"],
  },
  {
    name: "version 1 of a prefix",
    call: list({ prefix: "list/" }),
    status: 200,
    contains: listed.map((key) => `<Key>${key}</Key>`),
    lacks: ["<IsTruncated>true", "KeyCount", "<NextMarker>"],
  },
  {
    name: "version 1 behind a marker",
    call: list({ prefix: "list/", marker: "list/b/1", "max-keys": "1" }),
    status: 200,
    contains: ["<Key>list/b/2</Key>"],
    lacks: ["<IsTruncated>false", "<Key>list/c</Key>"],
  },
  {
    name: "version 1 with a delimiter tells its next marker",
    call: list({ prefix: "list/", delimiter: "/", "max-keys": "3", "encoding-type": "url" }),
    status: 200,
    contains: ["<NextMarker>list/b/</NextMarker>"],
    lacks: ["<Key>list/c</Key>", "<IsTruncated>false"],
  },
  {
    name: "version 1 goes on behind a common prefix",
    call: list({ prefix: "list/", delimiter: "/", marker: "list/b/" }),
    status: 200,
    contains: ["<Key>list/c</Key>"],
    lacks: ["<CommonPrefixes>", "<Key>list/a</Key>"],
  },
  {
    name: "no keys at all",
    call: list({ "list-type": "2", "max-keys": "0" }),
    status: 200,
    contains: ["<IsTruncated>false"],
    lacks: ["<Key>"],
  },
  {
    name: "max-keys that is no number",
    call: list({ "list-type": "2", "max-keys": "many" }),
    status: 400,
    code: "InvalidArgument",
  },
  {
    name: "an unknown encoding",
    call: list({ "list-type": "2", "encoding-type": "base64" }),
    status: 400,
    code: "InvalidArgument",
    differs: "takes it for none",
  },
];

const copies: Row[] = [
  {
    name: "a copy",
    call: { method: "PUT", path: at("copy"), headers: { "x-amz-copy-source": "/files/r" } },
    status: 200,
    contains: [md5Hex(digits)],
  },
  { name: "what was copied", call: { method: "GET", path: at("copy") }, status: 200, body: digits },
  {
    name: "a copy of nothing",
    call: { method: "PUT", path: at("copy"), headers: { "x-amz-copy-source": "/files/missing" } },
    status: 404,
    code: "NoSuchKey",
  },
  {
    name: "a copy onto itself",
    call: { method: "PUT", path: at("r"), headers: { "x-amz-copy-source": "/files/r" } },
    status: 400,
    code: "InvalidRequest",
  },
  {
    name: "a copy of another version",
    call: {
      method: "PUT",
      path: at("copy"),
      headers: { "x-amz-copy-source": "/files/r", "x-amz-copy-source-if-match": etagOf("x") },
    },
    status: 412,
    code: "PreconditionFailed",
    differs: "does not look at the condition",
  },
];

const doomed = "<Delete><Object><Key>copy</Key></Object><Object><Key>missing</Key></Object></Delete>";
const quiet = "<Delete><Quiet>true</Quiet><Object><Key>meta</Key></Object></Delete>";
const post = (body: string, headers: Record<string, string>): RawCall => ({
  method: "POST",
  path: "/files",
  query: { delete: "" },
  body,
  headers,
});

const deletes: Row[] = [
  {
    name: "a list of keys to delete",
    call: post(doomed, { "content-md5": md5(doomed) }),
    status: 200,
    contains: ["<Deleted>", "<Deleted>"],
    lacks: ["<Error>"],
  },
  { name: "what was deleted", call: { method: "HEAD", path: at("copy") }, status: 404 },
  {
    name: "a quiet list",
    call: post(quiet, { "content-md5": md5(quiet) }),
    status: 200,
    lacks: ["<Deleted>", "<Error>"],
  },
  {
    name: "a list that is no XML",
    call: post("keys", { "content-md5": md5("keys") }),
    status: 400,
    code: "MalformedXML",
    differs: "answers 400 without a body",
  },
];

const uploads: Row[] = [
  {
    name: "a part of an unknown upload",
    call: { method: "PUT", path: at("mp"), query: { partNumber: "1", uploadId: "unknown" }, body: "x" },
    status: 404,
    code: "NoSuchUpload",
  },
  {
    name: "the parts of an unknown upload",
    call: { method: "GET", path: at("mp"), query: { uploadId: "unknown" } },
    status: 404,
    code: "NoSuchUpload",
    differs: "says NoSuchKey",
  },
  {
    name: "the end of an unknown upload",
    call: { method: "DELETE", path: at("mp"), query: { uploadId: "unknown" } },
    status: 404,
    code: "NoSuchUpload",
  },
  {
    name: "the completion of an unknown upload",
    call: {
      method: "POST",
      path: at("mp"),
      query: { uploadId: "unknown" },
      body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>',
    },
    status: 404,
    code: "NoSuchUpload",
    differs: "answers 500",
  },
];

export const table: readonly Row[] = [
  ...buckets,
  ...writes,
  ...checksums,
  ...reads,
  ...presigned,
  ...keys,
  ...listings,
  ...copies,
  ...deletes,
  ...uploads,
];

/** What of an answer is not as the row says; empty when all is. */
export function deviations(
  row: Row,
  answer: { status: number; code: string | undefined; headers: Record<string, unknown>; body: Buffer },
): string[] {
  const text = answer.body.toString();
  const found: string[] = [];
  const compare = (what: string, got: unknown, wanted: unknown) => {
    if (got !== wanted) found.push(`${what} ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  };
  compare("status", answer.status, row.status);
  if (row.code !== undefined) compare("code", answer.code, row.code);
  if (row.etag !== undefined) compare("etag", answer.headers.etag, row.etag);
  if (row.body !== undefined) compare("body", text, row.body);
  for (const [name, value] of Object.entries(row.headers ?? {})) compare(name, answer.headers[name], value);
  let from = 0;
  for (const part of row.contains ?? []) {
    const next = text.indexOf(part, from);
    if (next === -1) found.push(`no ${part} in its place`);
    else from = next + part.length;
  }
  for (const part of row.lacks ?? []) if (text.includes(part)) found.push(`${part} is there`);
  return found;
}
