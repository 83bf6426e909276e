/**
 * Requests in order, and what the S3 documentation says is answered: to be sent to this endpoint, and to an independent
 * server when one is given. Objects are left by the rows before; each key is written by this table.
 */
import type { RawCall } from "./s3bench.ts";
import { at, digits, elsewhen, etagOf, md5, md5Hex, type Row, sum } from "./s3row.ts";
import { rowsOfLists } from "./s3tablelists.ts";

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
  ...["0", "10001", "x", "1.5"].map(
    (partNumber): Row => ({
      name: `the part ${partNumber}`,
      call: get({}, { partNumber }),
      status: 400,
      code: "InvalidArgument",
      differs: "reads the whole whatever the part",
    }),
  ),
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

export const table: readonly Row[] = [...buckets, ...writes, ...checksums, ...reads, ...presigned, ...rowsOfLists];
