/** ListObjectsV2, ListBuckets, HeadBucket. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
import { listKeysMax } from "../limits.ts";
import { isGranted, mayKnowBucket } from "./access.ts";
import { S3Error } from "./errors.ts";
import { type Exchange, type Reply, type S3Bucket, xmlHeaders } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { type ObjectSummary, readSummary } from "./objectfile.ts";
import { errno } from "./store.ts";
import { queryValue, type RequestTarget, uriEncodePath } from "./target.ts";
import { walkKeys } from "./walk.ts";
import { element, xmlDocument } from "./xml.ts";

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/";

export interface ListRequest {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  readonly startAfter: string | undefined;
  readonly token: string | undefined;
  readonly urlEncoded: boolean;
}

export function readListRequest(target: RequestTarget): ListRequest {
  const value = (name: string) => queryValue(target.query, name);
  if (value("list-type") !== "2") throw new S3Error("InvalidArgument", "list-type must be 2.");
  const maxKeys = value("max-keys") || String(listKeysMax);
  if (!/^\d{1,9}$/.test(maxKeys)) throw new S3Error("InvalidArgument", "max-keys is not a number.");
  const encoding = value("encoding-type");
  if (encoding !== undefined && encoding !== "url") {
    throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request: only url is known.");
  }
  const prefix = value("prefix") ?? "";
  requireKey(prefix);
  return {
    prefix,
    delimiter: value("delimiter") ?? "",
    maxKeys: Math.min(Number(maxKeys), listKeysMax),
    startAfter: value("start-after"),
    token: value("continuation-token"),
    urlEncoded: encoding === "url",
  };
}

interface Page {
  readonly objects: { readonly key: string; readonly summary: ObjectSummary }[];
  readonly commonPrefixes: string[];
  /** Present when more follows. */
  readonly next: string | undefined;
}

/** A token is where to go on: after a key, or after everything below a common prefix. */
function makeToken(kind: "k" | "p", text: string): string {
  return Buffer.from(`${kind}${text}`).toString("base64url");
}

function readToken(token: string): { kind: string; text: Buffer } {
  const bytes = Buffer.from(token, "base64url");
  const kind = bytes.toString("latin1", 0, 1);
  if ((kind !== "k" && kind !== "p") || bytes.toString("base64url") !== token) {
    throw new S3Error("InvalidArgument", "The continuation token provided is incorrect.");
  }
  return { kind, text: bytes.subarray(1) };
}

async function readPage(bucketFolder: string, request: ListRequest): Promise<Page> {
  const page = {
    objects: [] as Page["objects"],
    commonPrefixes: [] as string[],
    next: undefined as string | undefined,
  };
  const token = request.token === undefined ? undefined : readToken(request.token);
  const position = {
    after: token?.text ?? Buffer.from(request.startAfter ?? ""),
    skip: token?.kind === "p" ? token.text : Buffer.alloc(0),
  };
  if (request.maxKeys === 0) return page;
  let last = "";
  for await (const { key, path } of walkKeys(bucketFolder, request.prefix, position)) {
    const end = request.delimiter === "" ? -1 : key.indexOf(request.delimiter, request.prefix.length);
    const summary = end === -1 ? await summaryOf(path) : undefined;
    if (end === -1 && summary === undefined) continue;
    if (page.objects.length + page.commonPrefixes.length === request.maxKeys) return { ...page, next: last };
    if (summary !== undefined) {
      page.objects.push({ key, summary });
      last = makeToken("k", key);
    } else {
      const common = key.slice(0, end + request.delimiter.length);
      page.commonPrefixes.push(common);
      position.skip = Buffer.from(common);
      last = makeToken("p", common);
    }
  }
  return page;
}

/** Undefined for an object that was deleted since its folder was read. */
async function summaryOf(path: string): Promise<ObjectSummary | undefined> {
  try {
    return await readSummary(path);
  } catch (error) {
    if (errno(error) === "ENOENT") return undefined;
    throw error;
  }
}

export async function listObjects(exchange: Exchange, bucket: S3Bucket): Promise<Reply> {
  const request = readListRequest(exchange.target);
  const page = await readPage(exchange.store.bucketFolder(bucket.name), request);
  const text = (value: string) => (request.urlEncoded ? uriEncodePath(value) : value);
  const parts = [
    element("Name", bucket.name),
    element("Prefix", text(request.prefix)),
    ...(request.delimiter === "" ? [] : [element("Delimiter", text(request.delimiter))]),
    element("MaxKeys", request.maxKeys),
    ...(request.urlEncoded ? [element("EncodingType", "url")] : []),
    element("KeyCount", page.objects.length + page.commonPrefixes.length),
    element("IsTruncated", page.next !== undefined),
    ...(request.token === undefined ? [] : [element("ContinuationToken", request.token)]),
    ...(page.next === undefined ? [] : [element("NextContinuationToken", page.next)]),
    ...(request.startAfter === undefined ? [] : [element("StartAfter", text(request.startAfter))]),
    ...page.objects.map(({ key, summary }) => objectXml(text(key), summary)),
    ...page.commonPrefixes.map((prefix) => `<CommonPrefixes>${element("Prefix", text(prefix))}</CommonPrefixes>`),
  ];
  const body = xmlDocument(`<ListBucketResult xmlns="${namespace}">${parts.join("")}</ListBucketResult>`);
  return { status: 200, headers: xmlHeaders, body };
}

function objectXml(key: string, summary: ObjectSummary): string {
  const parts = [
    element("Key", key),
    element("LastModified", new Date(summary.modifiedMs).toISOString()),
    element("ETag", `"${summary.etag}"`),
    element("Size", summary.bytes),
    element("StorageClass", "STANDARD"),
  ];
  return `<Contents>${parts.join("")}</Contents>`;
}

/** The buckets that the caller may list some of; S3's own right to list all buckets is granted to nobody. */
export function listBuckets(exchange: Exchange): Reply {
  const buckets = exchange.buckets
    .filter((bucket) => mayKnowBucket(exchange.grants, bucket.name))
    .map(
      (bucket) =>
        `<Bucket>${element("Name", bucket.name)}${element("CreationDate", new Date(0).toISOString())}</Bucket>`,
    );
  const owner = `<Owner>${element("ID", "trace")}</Owner>`;
  const root = `<ListAllMyBucketsResult xmlns="${namespace}">${owner}<Buckets>${buckets.join("")}</Buckets></ListAllMyBucketsResult>`;
  return { status: 200, headers: xmlHeaders, body: xmlDocument(root) };
}

/** Buckets are part of the configuration; a client that makes sure of its bucket is told what it needs to know. */
export function createBucket(exchange: Exchange, name: string): Reply {
  const exists = exchange.buckets.some((bucket) => bucket.name === name);
  if (exists && mayKnowBucket(exchange.grants, name)) {
    throw new S3Error(
      "BucketAlreadyOwnedByYou",
      "Your previous request to create the named bucket succeeded and you already own it.",
    );
  }
  throw new S3Error(
    "AccessDenied",
    "Access Denied: buckets of the embedded object store are configured, not created by requests.",
  );
}

export function requireListGrant(exchange: Exchange, bucket: string): void {
  const prefix = queryValue(exchange.target.query, "prefix") ?? "";
  if (!isGranted(exchange.grants, "ListBucket", bucket, prefix)) throw new S3Error("AccessDenied", "Access Denied");
}
