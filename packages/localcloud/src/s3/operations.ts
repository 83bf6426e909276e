/**
 * Which operation a request is. Pure; the table of what is not served keeps a refused feature from being taken for a
 * plain read or write: `PUT /bucket/key?tagging` must never replace the object.
 */
import type { RequestTarget } from "./target.ts";

export type Operation =
  | "AbortMultipartUpload"
  | "CompleteMultipartUpload"
  | "CopyObject"
  | "CreateBucket"
  | "CreateMultipartUpload"
  | "DeleteObject"
  | "DeleteObjects"
  | "GetObject"
  | "GetObjectAttributes"
  | "HeadBucket"
  | "HeadObject"
  | "ListBuckets"
  | "ListMultipartUploads"
  | "ListObjects"
  | "ListObjectsV2"
  | "ListParts"
  | "PutObject"
  | "UploadPart"
  | "UploadPartCopy";

/** `served: false` carries the name of the S3 operation for the 501. */
export type Route =
  | { readonly served: true; readonly operation: Operation }
  | { readonly served: false; readonly name: string };

/** What is served under method, kind of target, and exactly these subresources. */
const withSubresources: Record<string, Operation> = {
  "POST object uploads": "CreateMultipartUpload",
  "PUT object partNumber uploadId": "UploadPart",
  "GET object uploadId": "ListParts",
  "POST object uploadId": "CompleteMultipartUpload",
  "DELETE object uploadId": "AbortMultipartUpload",
  "GET object partNumber": "GetObject",
  "HEAD object partNumber": "HeadObject",
  "GET object attributes": "GetObjectAttributes",
  "GET bucket uploads": "ListMultipartUploads",
  "POST bucket delete": "DeleteObjects",
};

/** The same operations when `x-amz-copy-source` says that the bytes are here already. */
const copying: Partial<Record<Operation, Operation>> = { PutObject: "CopyObject", UploadPart: "UploadPartCopy" };

/** Parameters that turn a request into another operation. */
const subresources = [
  "accelerate",
  "acl",
  "analytics",
  "annotation",
  "append",
  "attributes",
  "cors",
  "delete",
  "encryption",
  "intelligent-tiering",
  "inventory",
  "legal-hold",
  "lifecycle",
  "location",
  "logging",
  "metadataConfiguration",
  "metadataTable",
  "metrics",
  "notification",
  "object-lock",
  "ownershipControls",
  "partNumber",
  "policy",
  "policyStatus",
  "publicAccessBlock",
  "renameObject",
  "replication",
  "requestPayment",
  "restore",
  "retention",
  "select",
  "session",
  "tagging",
  "torrent",
  "uploadId",
  "uploads",
  "versionId",
  "versioning",
  "versions",
  "website",
];

export function routeOf(method: string, target: RequestTarget, hasCopySource: boolean): Route {
  const names = target.query.map(({ name }) => name);
  const found = subresources.filter((name) => names.includes(name));
  const kind = target.key === undefined ? "bucket" : "object";
  const operation =
    found.length === 0
      ? plainOperation(method, target, names)
      : withSubresources[`${method} ${target.bucket === undefined ? "service" : kind} ${found.join(" ")}`];
  if (operation !== undefined) {
    if (!hasCopySource) return { served: true, operation };
    const copies = copying[operation];
    return copies === undefined
      ? { served: false, name: `${operation} with x-amz-copy-source` }
      : { served: true, operation: copies };
  }
  if (found.length > 0) return { served: false, name: `${method} ?${found.join("&")}` };
  if (method === "DELETE" && kind === "bucket") return { served: false, name: "DeleteBucket" };
  if (method === "POST" && kind === "bucket") return { served: false, name: "PostObject" };
  return { served: false, name: `${method} on ${kind === "bucket" ? "a bucket" : "an object"}` };
}

function plainOperation(method: string, target: RequestTarget, names: readonly string[]): Operation | undefined {
  if (target.bucket === undefined) return method === "GET" ? "ListBuckets" : undefined;
  if (target.key === undefined) {
    if (method === "HEAD") return "HeadBucket";
    if (method === "PUT") return "CreateBucket";
    if (method === "GET") return names.includes("list-type") ? "ListObjectsV2" : "ListObjects";
    return undefined;
  }
  switch (method) {
    case "PUT":
      return "PutObject";
    case "GET":
      return "GetObject";
    case "HEAD":
      return "HeadObject";
    case "DELETE":
      return "DeleteObject";
    default:
      return undefined;
  }
}
