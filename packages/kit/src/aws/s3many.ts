/** Many objects of a bucket at once, for whoever collects garbage: lists in pages, and deletes that may be repeated. */
import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type S3Client,
} from "@aws-sdk/client-s3";
import { TraceError } from "@trace/contracts";
import { deleteKeysMax } from "../limits.ts";
import { failure, statusOf } from "./s3failure.ts";

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedAt: Date;
}

export interface ListOptions {
  readonly bucket: string;
  readonly prefix: string;
  /** Keys behind this one, in the order of their bytes. */
  readonly after?: string | undefined;
  readonly max?: number;
}

export interface ListedUpload {
  readonly key: string;
  readonly uploadId: string;
}

export async function listObjects(
  client: S3Client,
  { bucket, prefix, after, max }: ListOptions,
): Promise<{ objects: ListedObject[]; more: boolean }> {
  try {
    const page = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix,
        ...(after === undefined ? {} : { StartAfter: after }),
        ...(max === undefined ? {} : { MaxKeys: max }),
      }),
    );
    const objects = (page.Contents ?? []).map(({ Key, Size = 0, LastModified }) => {
      if (Key === undefined || LastModified === undefined) throw new Error("the answer names no key or no time");
      return { key: Key, bytes: Size, modifiedAt: LastModified };
    });
    return { objects, more: page.IsTruncated === true };
  } catch (error) {
    throw failure(error, "ListObjectsV2", bucket, prefix);
  }
}

export async function deleteObjects(client: S3Client, bucket: string, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  if (keys.length > deleteKeysMax) throw new RangeError(`${keys.length} keys in one call of at most ${deleteKeysMax}`);
  let errors: readonly KeyError[] | undefined;
  try {
    const objects = keys.map((Key) => ({ Key }));
    const answer = await client.send(
      new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: objects, Quiet: true } }),
    );
    errors = answer.Errors;
  } catch (error) {
    throw failure(error, "DeleteObjects", bucket, keys[0] ?? "");
  }
  if (errors?.[0] !== undefined) throw refusedKey(bucket, errors[0], errors.length);
}

export async function listUploads(
  client: S3Client,
  bucket: string,
  prefix: string,
): Promise<{ uploads: ListedUpload[]; more: boolean }> {
  try {
    const page = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
    const uploads = (page.Uploads ?? []).map(({ Key, UploadId }) => {
      if (Key === undefined || UploadId === undefined) throw new Error("the answer names no key or no upload");
      return { key: Key, uploadId: UploadId };
    });
    return { uploads, more: page.IsTruncated === true };
  } catch (error) {
    throw failure(error, "ListMultipartUploads", bucket, prefix);
  }
}

export async function abortUpload(client: S3Client, bucket: string, { key, uploadId }: ListedUpload): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }));
  } catch (error) {
    if (statusOf(error) === 404) return;
    throw failure(error, "AbortMultipartUpload", bucket, key);
  }
}

interface KeyError {
  readonly Key?: string | undefined;
  readonly Code?: string | undefined;
  readonly Message?: string | undefined;
}

/** The answer to a call for many keys is 200 and names what was not done. */
function refusedKey(bucket: string, error: KeyError, count: number): TraceError {
  const key = error.Key ?? "";
  const where = `DeleteObjects s3://${bucket}/${key}`;
  const why = `${error.Code ?? "no code"}: ${error.Message ?? "no message"}`;
  if (error.Code === "AccessDenied") {
    return new TraceError("TR-4008", {
      detail: `the object store refused to delete ${count} objects, the first of them s3://${bucket}/${key}`,
      where,
      why,
      fix: "check the role's access key and its grants; 'trace doctor' tries them",
    });
  }
  return new TraceError("TR-4006", {
    detail: `the object store did not delete ${count} objects, the first of them s3://${bucket}/${key}`,
    where,
    why,
    fix: "it is tried again by itself; 'trace doctor' tells whether the store answers",
  });
}
