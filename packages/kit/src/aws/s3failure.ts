/** What an error of S3 means here: which code of the catalogue it becomes. */
import { S3ServiceException } from "@aws-sdk/client-s3";
import { TraceError } from "@trace/contracts";

export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

export function failure(error: unknown, operation: string, bucket: string, key: string): Error {
  const status = statusOf(error);
  const name = error instanceof Error ? error.name : "Error";
  const where = `${operation} s3://${bucket}/${key}`;
  const detail = error instanceof Error ? error.message : String(error);
  if (name === "InsufficientStorage" || status === 507) {
    return new TraceError("TR-4007", {
      detail: `the object store has no room left for s3://${bucket}/${key}`,
      where,
      why: detail,
      fix: "free space on the disk under the state folder ('trace doctor' names it); the task is tried again by itself",
      cause: error,
    });
  }
  // A clock that was set wrong is no lack of rights. The client has learnt the store's time from this answer, so the same
  // call is in time when it is made again.
  if ((status === 403 && name !== "RequestTimeTooSkewed") || name === "ExpiredToken") {
    return new TraceError("TR-4008", {
      detail: `the object store refused ${operation} of s3://${bucket}/${key}`,
      where,
      why: `${name}: ${detail}`,
      fix: "check the role's access key and its grants; 'trace doctor' tries them",
      cause: error,
    });
  }
  return new TraceError("TR-4006", {
    detail: `the object store did not carry out ${operation} of s3://${bucket}/${key}: ${name}: ${detail}`,
    where,
    fix: "it is tried again by itself; 'trace doctor' tells whether the store answers",
    cause: error,
  });
}

/** As S3 writes a checksum that is hexadecimal here. */
export function base64Of(hex: string): string {
  return Buffer.from(hex, "hex").toString("base64");
}

/**
 * A SHA-256 as S3 writes it, in lower-case hex; that of an object in parts keeps the number of its parts: `<hex>-<parts>`.
 */
export function hexOf(base64: string | undefined): string | undefined {
  const match = /^([A-Za-z0-9+/]{43}=)(-\d{1,5})?$/.exec(base64 ?? "");
  return match?.[1] === undefined ? undefined : `${Buffer.from(match[1], "base64").toString("hex")}${match[2] ?? ""}`;
}
