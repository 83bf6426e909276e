/** DeleteObjects. https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
import { deleteKeysMax, deletesAtOnceMax } from "../limits.ts";
import { readDocument, xmlReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { unconditional } from "./store.ts";
import { requireMayCompare } from "./writerules.ts";
import { element } from "./xml.ts";
import { childText, malformedXml, type XmlElement } from "./xmlread.ts";

interface Doomed {
  readonly key: string;
  /** Only this content of it, without quotes. */
  readonly etag: string | undefined;
  readonly versionId: string | undefined;
}

/** Each key is granted, done and refused for itself; the answer is 200 even when all were refused, as at S3. */
export async function deleteObjects(exchange: Exchange, bucket: S3Bucket): Promise<Reply> {
  requireDigest(exchange.headers);
  const document = await readDocument(exchange, "Delete");
  const quiet = childText(document, "Quiet")?.trim().toLowerCase() === "true";
  const doomed = document.children.filter(({ name }) => name === "Object").map(readDoomed);
  if (doomed.length === 0) throw malformedXml("at least one Object is expected");
  if (doomed.length > deleteKeysMax) throw malformedXml(`more than ${deleteKeysMax} objects`);
  const results: string[] = [];
  for (let at = 0; at < doomed.length; at += deletesAtOnceMax) {
    const some = doomed.slice(at, at + deletesAtOnceMax);
    results.push(...(await Promise.all(some.map((one) => deleteOne(exchange, bucket, one, quiet)))));
  }
  return xmlReply("DeleteResult", results);
}

/** What is deleted must have come as it was sent. */
function requireDigest(headers: ReadonlyMap<string, string>): void {
  const given = [...headers.keys()].some(
    (name) => name === "content-md5" || name === "x-amz-trailer" || /^x-amz-checksum-(?:crc|sha)/.test(name),
  );
  if (given) return;
  throw new S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
}

function readDoomed(object: XmlElement): Doomed {
  const key = childText(object, "Key");
  if (key === undefined || key === "") throw malformedXml("an Object needs its Key");
  const etag = childText(object, "ETag")?.trim();
  return { key, etag: etag?.replace(/^"(.*)"$/, "$1"), versionId: childText(object, "VersionId") };
}

async function deleteOne(exchange: Exchange, bucket: S3Bucket, doomed: Doomed, quiet: boolean): Promise<string> {
  const { key, etag, versionId } = doomed;
  try {
    if (!exchange.access.allows("DeleteObject", bucket.name, key)) {
      throw new S3Error("AccessDenied", "Access Denied");
    }
    requireKey(key);
    if (versionId !== undefined && versionId !== "null") {
      throw new S3Error("NoSuchVersion", "The specified version does not exist: versions are not kept here.");
    }
    const condition = etag === undefined ? unconditional : { absent: false, etags: [etag] };
    requireMayCompare(exchange, bucket, key, condition);
    await exchange.store.delete(bucket.name, key, condition);
    return quiet ? "" : `<Deleted>${element("Key", key)}</Deleted>`;
  } catch (error) {
    // One key's fate is no reason to leave the others undone or untold.
    const { code, message } = exchange.judge(error);
    return `<Error>${element("Key", key)}${element("Code", code)}${element("Message", message)}</Error>`;
  }
}
