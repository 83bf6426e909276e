/** ListObjectsV2, ListObjects, ListBuckets. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
import { listKeysMax } from "../limits.ts";
import { errno } from "./disk.ts";
import { xmlReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { type ObjectSummary, readSummary } from "./objectfile.ts";
import { queryValue, type RequestTarget, uriEncodePath } from "./target.ts";
import { walkKeys } from "./walk.ts";
import { element } from "./xml.ts";

/** Everything here belongs to the one who runs the store. */
export const owner = element("ID", "trace") + element("DisplayName", "trace");

export interface ListRequest {
  readonly version: 1 | 2;
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
  /** `start-after`, or the `marker` of version 1. */
  readonly startAfter: string | undefined;
  readonly token: string | undefined;
  readonly urlEncoded: boolean;
  readonly withOwner: boolean;
}

/** Whether keys are to be percent-encoded in the answer: XML has no place for some characters of keys. */
export function readEncoding(target: RequestTarget): boolean {
  const encoding = queryValue(target.query, "encoding-type");
  if (encoding !== undefined && encoding !== "url") {
    throw new S3Error("InvalidArgument", "Invalid Encoding Method specified in Request: only url is known.");
  }
  return encoding === "url";
}

/** How many of something a page is to hold, or after which number it begins. */
export function readCount(target: RequestTarget, name: string, without: number): number {
  const text = queryValue(target.query, name) || String(without);
  if (!/^\d{1,9}$/.test(text)) throw new S3Error("InvalidArgument", `${name} is not a number.`);
  return Number(text);
}

export function readListRequest(target: RequestTarget): ListRequest {
  const value = (name: string) => queryValue(target.query, name);
  const type = value("list-type");
  if (type !== undefined && type !== "2") throw new S3Error("InvalidArgument", "list-type must be 2.");
  const maxKeys = readCount(target, "max-keys", listKeysMax);
  const prefix = value("prefix") ?? "";
  requireKey(prefix);
  const version = type === undefined ? 1 : 2;
  return {
    version,
    prefix,
    delimiter: value("delimiter") ?? "",
    maxKeys: Math.min(maxKeys, listKeysMax),
    startAfter: value(version === 1 ? "marker" : "start-after"),
    token: version === 1 ? undefined : value("continuation-token"),
    urlEncoded: readEncoding(target),
    withOwner: version === 1 || value("fetch-owner") === "true",
  };
}

interface Page {
  readonly objects: { readonly key: string; readonly summary: ObjectSummary }[];
  readonly commonPrefixes: string[];
  /** Present when more follows: where to go on. */
  readonly next: Place | undefined;
}

/** After a key (`k`), or after everything below a common prefix (`p`). */
interface Place {
  readonly kind: "k" | "p";
  readonly text: string;
}

function makeToken({ kind, text }: Place): string {
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
    next: undefined as Place | undefined,
  };
  const token = request.token === undefined ? undefined : readToken(request.token);
  const position = {
    after: token?.text ?? Buffer.from(request.startAfter ?? ""),
    skip: token?.kind === "p" ? token.text : Buffer.from(passedPrefix(request)),
  };
  if (request.maxKeys === 0) return page;
  let last: Place | undefined;
  for await (const { key, path } of walkKeys(bucketFolder, request.prefix, position)) {
    const end = request.delimiter === "" ? -1 : key.indexOf(request.delimiter, request.prefix.length);
    const summary = end === -1 ? await summaryOf(path) : undefined;
    if (end === -1 && summary === undefined) continue;
    if (page.objects.length + page.commonPrefixes.length === request.maxKeys) return { ...page, next: last };
    if (summary !== undefined) {
      page.objects.push({ key, summary });
      last = { kind: "k", text: key };
    } else {
      const common = key.slice(0, end + request.delimiter.length);
      page.commonPrefixes.push(common);
      position.skip = Buffer.from(common);
      last = { kind: "p", text: common };
    }
  }
  return page;
}

/** A marker of version 1 that is a common prefix was told by the page before: the listing goes on behind all of it. */
function passedPrefix({ version, prefix, delimiter, startAfter = "" }: ListRequest): string {
  if (version === 2 || delimiter === "" || !startAfter.startsWith(prefix)) return "";
  const end = startAfter.indexOf(delimiter, prefix.length);
  return end !== -1 && end + delimiter.length === startAfter.length ? startAfter : "";
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
  return xmlReply("ListBucketResult", [
    element("Name", bucket.name),
    element("Prefix", text(request.prefix)),
    ...(request.delimiter === "" ? [] : [element("Delimiter", text(request.delimiter))]),
    element("MaxKeys", request.maxKeys),
    ...(request.urlEncoded ? [element("EncodingType", "url")] : []),
    ...(request.version === 1 ? pagingOf1(request, page, text) : pagingOf2(request, page, text)),
    ...page.objects.map(({ key, summary }) => objectXml(text(key), summary, request.withOwner)),
    ...page.commonPrefixes.map((prefix) => `<CommonPrefixes>${element("Prefix", text(prefix))}</CommonPrefixes>`),
  ]);
}

/** NextMarker comes with a delimiter only, as at S3; without one the last key is the next marker. */
function pagingOf1(request: ListRequest, { next }: Page, text: (value: string) => string): string[] {
  return [
    element("IsTruncated", next !== undefined),
    element("Marker", text(request.startAfter ?? "")),
    ...(next === undefined || request.delimiter === "" ? [] : [element("NextMarker", text(next.text))]),
  ];
}

function pagingOf2(request: ListRequest, page: Page, text: (value: string) => string): string[] {
  return [
    element("KeyCount", page.objects.length + page.commonPrefixes.length),
    element("IsTruncated", page.next !== undefined),
    ...(request.token === undefined ? [] : [element("ContinuationToken", request.token)]),
    ...(page.next === undefined ? [] : [element("NextContinuationToken", makeToken(page.next))]),
    ...(request.startAfter === undefined ? [] : [element("StartAfter", text(request.startAfter))]),
  ];
}

function objectXml(key: string, summary: ObjectSummary, withOwner: boolean): string {
  const parts = [
    element("Key", key),
    element("LastModified", new Date(summary.modifiedMs).toISOString()),
    element("ETag", `"${summary.etag}"`),
    element("Size", summary.bytes),
    ...(withOwner ? [`<Owner>${owner}</Owner>`] : []),
    element("StorageClass", "STANDARD"),
  ];
  return `<Contents>${parts.join("")}</Contents>`;
}

export function listBuckets(exchange: Exchange): Reply {
  const buckets = exchange.buckets
    .filter(({ name }) => exchange.access.lists(name))
    .map(
      (bucket) =>
        `<Bucket>${element("Name", bucket.name)}${element("CreationDate", new Date(0).toISOString())}</Bucket>`,
    );
  return xmlReply("ListAllMyBucketsResult", [`<Owner>${owner}</Owner>`, `<Buckets>${buckets.join("")}</Buckets>`]);
}

/** Buckets are part of the configuration; a client that makes sure of its bucket is told what it needs to know. */
export function createBucket(exchange: Exchange, name: string): Reply {
  const exists = exchange.buckets.some((bucket) => bucket.name === name);
  if (exists && exchange.access.knows(name)) {
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

export function requireListGrant(
  exchange: Exchange,
  action: "ListBucket" | "ListBucketMultipartUploads",
  bucket: string,
): void {
  const prefix = queryValue(exchange.target.query, "prefix");
  if (!exchange.access.allows(action, bucket, prefix)) throw new S3Error("AccessDenied", "Access Denied");
}
