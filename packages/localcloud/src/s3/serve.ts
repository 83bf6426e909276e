/** Grants, then the operation. Deny by default: each operation names the action it needs on the name it touches. */
import { isGranted, mayKnowBucket, type S3Action } from "./access.ts";
import { completeMultipartUpload } from "./assemble.ts";
import { getObjectAttributes } from "./attributes.ts";
import { copyObject, uploadPartCopy } from "./copy.ts";
import { deleteObjects } from "./deletes.ts";
import { S3Error } from "./errors.ts";
import type { Exchange, Reply, S3Bucket } from "./exchange.ts";
import { requireKey } from "./keypath.ts";
import { createBucket, listBuckets, listObjects, requireListGrant } from "./list.ts";
import { listMultipartUploads, listParts } from "./listuploads.ts";
import { abortMultipartUpload, createMultipartUpload, uploadPart } from "./multipart.ts";
import type { Operation } from "./operations.ts";
import { deleteObject, putObject } from "./put.ts";
import { readObject } from "./read.ts";

interface ObjectOperation {
  /** On the key of the request. A source of a copy is asked for beside it. */
  readonly action: S3Action;
  readonly run: (exchange: Exchange, bucket: S3Bucket, key: string) => Promise<Reply>;
}

/** An upload belongs to whoever may put its object: it is no object yet, so giving it up deletes nothing. */
const objectOperations = {
  AbortMultipartUpload: { action: "PutObject", run: abortMultipartUpload },
  CompleteMultipartUpload: { action: "PutObject", run: completeMultipartUpload },
  CopyObject: { action: "PutObject", run: copyObject },
  CreateMultipartUpload: { action: "PutObject", run: createMultipartUpload },
  DeleteObject: { action: "DeleteObject", run: deleteObject },
  GetObject: { action: "GetObject", run: readObject },
  GetObjectAttributes: { action: "GetObject", run: getObjectAttributes },
  HeadObject: { action: "GetObject", run: readObject },
  ListParts: { action: "PutObject", run: listParts },
  PutObject: { action: "PutObject", run: putObject },
  UploadPart: { action: "PutObject", run: uploadPart },
  UploadPartCopy: { action: "PutObject", run: uploadPartCopy },
} as const satisfies Partial<Record<Operation, ObjectOperation>>;

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
    case "ListObjects":
    case "ListObjectsV2":
      requireListGrant(exchange, bucketName);
      return listObjects(exchange, requireBucket(exchange, bucketName));
    case "ListMultipartUploads":
      requireListGrant(exchange, bucketName);
      return listMultipartUploads(exchange, requireBucket(exchange, bucketName));
    case "DeleteObjects":
      // Whoever has nothing to do with a bucket is not told whether it exists; the keys are granted one by one.
      if (!exchange.grants.some(({ bucket }) => bucket === bucketName))
        throw new S3Error("AccessDenied", "Access Denied");
      return deleteObjects(exchange, requireBucket(exchange, bucketName));
    default: {
      const key = exchange.target.key ?? "";
      const { action, run } = objectOperations[operation];
      if (!isGranted(exchange.grants, action, bucketName, key)) throw new S3Error("AccessDenied", "Access Denied");
      requireKey(key);
      return run(exchange, requireBucket(exchange, bucketName), key);
    }
  }
}

function requireBucket(exchange: Exchange, name: string): S3Bucket {
  const bucket = exchange.buckets.find((candidate) => candidate.name === name);
  if (bucket === undefined) throw new S3Error("NoSuchBucket", "The specified bucket does not exist.");
  return bucket;
}
