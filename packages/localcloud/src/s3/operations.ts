/**
 * Which operation a request is. Pure; the table of what is not served keeps a refused feature from being taken for a
 * plain read or write: `PUT /bucket/key?tagging` must never replace the object.
 */
import type { RequestTarget } from "./target.ts";

export type Operation =
  | "PutObject"
  | "GetObject"
  | "HeadObject"
  | "DeleteObject"
  | "ListObjectsV2"
  | "HeadBucket"
  | "ListBuckets"
  | "CreateBucket";

/** `served: false` carries the name of the S3 operation for the 501. */
export type Route =
  | { readonly served: true; readonly operation: Operation }
  | { readonly served: false; readonly name: string };

/** Multipart comes with a later change: its routes are recognised here, and only refused. */
const multipart: Record<string, string> = {
  "POST uploads": "CreateMultipartUpload",
  "PUT uploadId": "UploadPart",
  "POST uploadId": "CompleteMultipartUpload",
  "DELETE uploadId": "AbortMultipartUpload",
  "GET uploadId": "ListParts",
  "GET uploads": "ListMultipartUploads",
};

/** Parameters that turn a request into another operation; none but `list-type` is served. */
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
  const subresource = subresources.find((name) => names.includes(name));
  if (subresource !== undefined) {
    const name = multipart[`${method} ${names.includes("uploadId") ? "uploadId" : subresource}`];
    return { served: false, name: name ?? `${method} ?${subresource}` };
  }
  if (hasCopySource) return { served: false, name: "CopyObject" };
  const operation = plainOperation(method, target, names);
  if (operation !== undefined) return { served: true, operation };
  if (method === "GET" && target.key === undefined) return { served: false, name: "ListObjects (use ListObjectsV2)" };
  if (method === "DELETE" && target.key === undefined) return { served: false, name: "DeleteBucket" };
  if (method === "POST" && target.key === undefined) return { served: false, name: "PostObject" };
  return { served: false, name: `${method} on ${target.key === undefined ? "a bucket" : "an object"}` };
}

function plainOperation(method: string, target: RequestTarget, names: readonly string[]): Operation | undefined {
  if (target.bucket === undefined) return method === "GET" ? "ListBuckets" : undefined;
  if (target.key === undefined) {
    if (method === "HEAD") return "HeadBucket";
    if (method === "PUT") return "CreateBucket";
    return method === "GET" && names.includes("list-type") ? "ListObjectsV2" : undefined;
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
