/** Grants, then the operation. Deny by default: each operation names the action it needs on the name it touches. */
import type { S3Action } from "./access.ts";
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
  /** All of them, on the key of the request. A source of a copy is asked for beside it. */
  readonly actions: readonly S3Action[];
  readonly run: (exchange: Exchange, bucket: S3Bucket, key: string) => Promise<Reply>;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html */
const objectOperations = {
  AbortMultipartUpload: { actions: ["AbortMultipartUpload"], run: abortMultipartUpload },
  CompleteMultipartUpload: { actions: ["PutObject"], run: completeMultipartUpload },
  CopyObject: { actions: ["PutObject"], run: copyObject },
  CreateMultipartUpload: { actions: ["PutObject"], run: createMultipartUpload },
  DeleteObject: { actions: ["DeleteObject"], run: deleteObject },
  GetObject: { actions: ["GetObject"], run: readObject },
  GetObjectAttributes: { actions: ["GetObject", "GetObjectAttributes"], run: getObjectAttributes },
  HeadObject: { actions: ["GetObject"], run: readObject },
  ListParts: { actions: ["ListMultipartUploadParts"], run: listParts },
  PutObject: { actions: ["PutObject"], run: putObject },
  UploadPart: { actions: ["PutObject"], run: uploadPart },
  UploadPartCopy: { actions: ["PutObject"], run: uploadPartCopy },
} as const satisfies Partial<Record<Operation, ObjectOperation>>;

export async function serve(operation: Operation, exchange: Exchange): Promise<Reply> {
  const bucketName = exchange.target.bucket ?? "";
  switch (operation) {
    case "ListBuckets":
      return listBuckets(exchange);
    case "CreateBucket":
      return createBucket(exchange, bucketName);
    case "HeadBucket":
      if (!exchange.access.knows(bucketName)) throw new S3Error("AccessDenied", "Access Denied");
      requireBucket(exchange, bucketName);
      return { status: 200, headers: {} };
    case "ListObjects":
    case "ListObjectsV2":
      requireListGrant(exchange, "ListBucket", bucketName);
      return listObjects(exchange, requireBucket(exchange, bucketName));
    case "ListMultipartUploads":
      requireListGrant(exchange, "ListBucketMultipartUploads", bucketName);
      return listMultipartUploads(exchange, requireBucket(exchange, bucketName));
    case "DeleteObjects":
      // Whoever has nothing to do with a bucket is not told whether it exists; the keys are granted one by one.
      if (!exchange.access.touches(bucketName)) throw new S3Error("AccessDenied", "Access Denied");
      return deleteObjects(exchange, requireBucket(exchange, bucketName));
    default: {
      const key = exchange.target.key ?? "";
      const { actions, run } = objectOperations[operation];
      if (!actions.every((action) => exchange.access.allows(action, bucketName, key))) {
        throw new S3Error("AccessDenied", "Access Denied");
      }
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
