/**
 * ListParts and ListMultipartUploads.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html
 */
import { listUploadsMax } from "../limits.ts";
import { checksumElement } from "./checksum.ts";
import { xmlReply } from "./document.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { owner, readCount, readEncoding } from "./list.ts";
import { findUpload } from "./multipart.ts";
import type { OpenObject } from "./objectfile.ts";
import { queryValue, uriEncodePath } from "./target.ts";
import type { MultipartUpload } from "./uploadstore.ts";
import { element } from "./xml.ts";

export async function listParts(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const encoded = readEncoding(exchange.target);
  const most = Math.min(readCount(exchange.target, "max-parts", listUploadsMax), listUploadsMax);
  const marker = readCount(exchange.target, "part-number-marker", 0);
  const upload = await findUpload(exchange, bucket, key);
  const numbers = (await exchange.store.uploads.partNumbers(upload)).filter((number) => number > marker);
  const shown = numbers.slice(0, most);
  const parts: string[] = [];
  for (const number of shown) parts.push(await partXml(exchange, upload, number));
  return xmlReply("ListPartsResult", [
    element("Bucket", bucket.name),
    element("Key", encoded ? uriEncodePath(key) : key),
    element("UploadId", upload.id),
    element("PartNumberMarker", marker),
    element("NextPartNumberMarker", shown.at(-1) ?? 0),
    element("MaxParts", most),
    element("IsTruncated", shown.length < numbers.length && most > 0),
    ...(encoded ? [element("EncodingType", "url")] : []),
    ...parts,
    `<Initiator>${owner}</Initiator><Owner>${owner}</Owner>`,
    element("StorageClass", "STANDARD"),
    ...checksumXml(upload),
  ]);
}

function checksumXml({ checksum }: MultipartUpload): string[] {
  if (checksum === undefined) return [];
  const { algorithm, type } = checksum;
  return [element("ChecksumAlgorithm", algorithm.toUpperCase()), element("ChecksumType", type)];
}

async function partXml(exchange: Exchange, upload: MultipartUpload, number: number): Promise<string> {
  const part = await exchange.store.uploads.openPart(upload, number);
  // Completed or aborted while it was listed.
  if (part === undefined) return "";
  await part.handle.close();
  const members = [
    element("PartNumber", number),
    element("LastModified", new Date(part.modifiedMs).toISOString()),
    element("ETag", `"${part.etag}"`),
    element("Size", part.bytes),
    ...partChecksum(upload, part),
  ];
  return `<Part>${members.join("")}</Part>`;
}

function partChecksum(upload: MultipartUpload, part: OpenObject): string[] {
  const { checksum } = part.description;
  if (upload.checksum === undefined || checksum === undefined) return [];
  return [element(checksumElement(checksum.algorithm), checksum.value)];
}

export async function listMultipartUploads(exchange: Exchange, bucket: S3Bucket): Promise<Reply> {
  const value = (name: string) => queryValue(exchange.target.query, name) ?? "";
  const encoded = readEncoding(exchange.target);
  const text = (plain: string) => (encoded ? uriEncodePath(plain) : plain);
  const most = Math.min(readCount(exchange.target, "max-uploads", listUploadsMax), listUploadsMax);
  const asked = {
    prefix: value("prefix"),
    delimiter: value("delimiter"),
    keyMarker: value("key-marker"),
    idMarker: value("upload-id-marker"),
  };
  const page = pageOfUploads(await exchange.store.uploads.list(bucket.name), asked, most);
  const { last } = page;
  return xmlReply("ListMultipartUploadsResult", [
    element("Bucket", bucket.name),
    element("KeyMarker", text(asked.keyMarker)),
    element("UploadIdMarker", asked.idMarker),
    ...(last === undefined ? [] : [element("NextKeyMarker", text(last.key)), element("NextUploadIdMarker", last.id)]),
    element("Prefix", text(asked.prefix)),
    ...(asked.delimiter === "" ? [] : [element("Delimiter", text(asked.delimiter))]),
    element("MaxUploads", most),
    element("IsTruncated", last !== undefined),
    ...(encoded ? [element("EncodingType", "url")] : []),
    ...page.uploads.map((upload) => uploadXml(text(upload.description.key), upload)),
    ...page.commonPrefixes.map((prefix) => `<CommonPrefixes>${element("Prefix", text(prefix))}</CommonPrefixes>`),
  ]);
}

interface UploadsAsked {
  readonly prefix: string;
  readonly delimiter: string;
  readonly keyMarker: string;
  /** Counts only beside a key marker. */
  readonly idMarker: string;
}

interface UploadsPage {
  readonly uploads: readonly MultipartUpload[];
  readonly commonPrefixes: readonly string[];
  /** Present when more follows: the markers of the next page. */
  readonly last: { readonly key: string; readonly id: string } | undefined;
}

/** `sorted` by key and then by id. Pure. */
function pageOfUploads(sorted: readonly MultipartUpload[], asked: UploadsAsked, most: number): UploadsPage {
  const { prefix, delimiter, keyMarker, idMarker } = asked;
  const uploads: MultipartUpload[] = [];
  const commonPrefixes: string[] = [];
  let last = { key: "", id: "" };
  for (const upload of sorted) {
    const { key } = upload.description;
    if (!key.startsWith(prefix) || !isBehind(upload, keyMarker, idMarker)) continue;
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    const common = end === -1 ? undefined : key.slice(0, end + delimiter.length);
    if (common !== undefined && (common === commonPrefixes.at(-1) || common === keyMarker)) continue;
    if (most === 0) break;
    if (uploads.length + commonPrefixes.length === most) return { uploads, commonPrefixes, last };
    if (common === undefined) uploads.push(upload);
    else commonPrefixes.push(common);
    last = common === undefined ? { key, id: upload.id } : { key: common, id: "" };
  }
  return { uploads, commonPrefixes, last: undefined };
}

function isBehind(upload: MultipartUpload, keyMarker: string, idMarker: string): boolean {
  const order = Buffer.compare(Buffer.from(upload.description.key), Buffer.from(keyMarker));
  return order > 0 || (order === 0 && keyMarker !== "" && idMarker !== "" && upload.id > idMarker);
}

function uploadXml(key: string, upload: MultipartUpload): string {
  const members = [
    element("Key", key),
    element("UploadId", upload.id),
    `<Initiator>${owner}</Initiator><Owner>${owner}</Owner>`,
    element("StorageClass", "STANDARD"),
    element("Initiated", new Date(upload.initiatedMs).toISOString()),
    ...checksumXml(upload),
  ];
  return `<Upload>${members.join("")}</Upload>`;
}
