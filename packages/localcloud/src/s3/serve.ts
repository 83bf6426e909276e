/** Grants, then the operation. Deny by default: each operation names the action it needs on the name it touches. */
import { isGranted, mayKnowBucket, type S3Action } from "./access.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { createBucket, listBuckets, listObjects, requireListGrant } from "./list.ts";
import type { Operation } from "./operations.ts";
import { deleteObject, putObject } from "./put.ts";
import { readObject } from "./read.ts";

const objectActions = {
  PutObject: "PutObject",
  GetObject: "GetObject",
  HeadObject: "GetObject",
  DeleteObject: "DeleteObject",
} as const satisfies Partial<Record<Operation, S3Action>>;

export async function serve(operation: Operation, exchange: Exchange): Promise<Reply> {
  const bucketName = exchange.target.bucket ?? "";
  switch (operation) {
    case "ListBuckets":
      return listBuckets(exchange);
    case "CreateBucket":
      return createBucket(exchange, bucketName);
    case "HeadBucket":
      if (!mayKnowBucket(exchange.grants, bucketName)) throw new S3Error("AccessDenied", "Access Denied");
      requireBucket(exchange, bucketName);
      return { status: 200, headers: {} };
    case "ListObjectsV2":
      requireListGrant(exchange, bucketName);
      return listObjects(exchange, requireBucket(exchange, bucketName));
    default: {
      const key = exchange.target.key ?? "";
      if (!isGranted(exchange.grants, objectActions[operation], bucketName, key)) {
        throw new S3Error("AccessDenied", "Access Denied");
      }
      requireKey(key);
      return serveObject(operation, exchange, requireBucket(exchange, bucketName), key);
    }
  }
}

function serveObject(
  operation: keyof typeof objectActions,
  exchange: Exchange,
  bucket: S3Bucket,
  key: string,
): Promise<Reply> {
  switch (operation) {
    case "PutObject":
      return putObject(exchange, bucket, key);
    case "DeleteObject":
      return deleteObject(exchange, bucket, key);
    default:
      return readObject(exchange, bucket, key);
  }
}

function requireBucket(exchange: Exchange, name: string): S3Bucket {
  const bucket = exchange.buckets.find((candidate) => candidate.name === name);
  if (bucket === undefined) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  return bucket;
}
