/** GetObjectAttributes. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html */
import { checksumElement, typeOf } from "./checksum.ts";
import { xmlReply } from "./document.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import type { OpenObject } from "./objectfile.ts";
import { countOf, openGranted } from "./read.ts";
import { element } from "./xml.ts";

const known: Readonly<Record<string, (object: OpenObject) => string>> = {
  ETag: ({ etag }) => element("ETag", etag),
  Checksum: ({ description: { checksum } }) =>
    checksum === undefined
      ? ""
      : `<Checksum>${element(checksumElement(checksum.algorithm), checksum.value)}${element("ChecksumType", typeOf(checksum))}</Checksum>`,
  ObjectParts: ({ description: { parts } }) =>
    parts === undefined ? "" : `<ObjectParts>${element("PartsCount", countOf(parts))}</ObjectParts>`,
  StorageClass: () => element("StorageClass", "STANDARD"),
  ObjectSize: ({ bytes }) => element("ObjectSize", bytes),
};

export async function getObjectAttributes(exchange: Exchange, bucket: S3Bucket, key: string): Promise<Reply> {
  const asked = (exchange.headers.get("x-amz-object-attributes") ?? "").split(",").map((name) => name.trim());
  if (asked.some((name) => !Object.hasOwn(known, name))) {
    throw new S3Error("InvalidArgument", `x-amz-object-attributes must name some of ${Object.keys(known).join(", ")}.`);
  }
  const object = await openGranted(exchange, bucket, key);
  await object.handle.close();
  const members = Object.entries(known).map(([name, xml]) => (asked.includes(name) ? xml(object) : ""));
  const reply = xmlReply("GetObjectAttributesResponse", members);
  return { ...reply, headers: { ...reply.headers, "last-modified": new Date(object.modifiedMs).toUTCString() } };
}
