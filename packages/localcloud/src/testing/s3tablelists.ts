/** The part of the table about keys, listings, and requests on many objects at once. */
import type { RawCall } from "./s3bench.ts";
import { at, digits, etagOf, md5, md5Hex, type Row } from "./s3row.ts";

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

export const rowsOfLists: readonly Row[] = [...keys, ...listings, ...copies, ...deletes, ...uploads];
