/** Who may do what: a list of grants per credential, nothing without one; a session has less. Pure. */
import type { SessionPolicy } from "../sts/policy.ts";

/** What a grant is made of. */
export type GrantedAction = "AbortMultipartUpload" | "GetObject" | "PutObject" | "DeleteObject" | "ListBucket";

/**
 * What an operation asks for: the action of S3's own table that it needs.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
 */
export type S3Action =
  | GrantedAction
  | "AbortMultipartUpload"
  | "GetObjectAttributes"
  | "ListBucketMultipartUploads"
  | "ListMultipartUploadParts";

export interface S3Grant {
  readonly bucket: string;
  readonly actions: readonly GrantedAction[];
  /** Keys (and, for ListBucket, listing prefixes) that begin so; ends with a slash. Absent: the whole bucket. */
  readonly prefix?: string | undefined;
}

export interface S3Credential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly grants: readonly S3Grant[];
}

/** What an operation asks before it does anything. */
export interface Access {
  /** `name` is the key, or the prefix asked for in a listing; undefined for a listing that names none. */
  allows(action: S3Action, bucket: string, name: string | undefined): boolean;
  /** Whether a bucket may be known to exist: any right to list some of it. */
  knows(bucket: string): boolean;
  /** Whether a bucket is told in a list of all of them. */
  lists(bucket: string): boolean;
  /** Whether the caller has anything to do with a bucket. */
  touches(bucket: string): boolean;
}

/**
 * An upload in parts is no object yet: whoever may put the object may also look at its parts and give it up. Giving up alone is
 * granted to who collects what others left.
 */
const grantsFor: Readonly<Record<S3Action, readonly GrantedAction[]>> = {
  AbortMultipartUpload: ["PutObject", "AbortMultipartUpload"],
  DeleteObject: ["DeleteObject"],
  GetObject: ["GetObject"],
  GetObjectAttributes: ["GetObject"],
  ListBucket: ["ListBucket"],
  ListBucketMultipartUploads: ["ListBucket"],
  ListMultipartUploadParts: ["PutObject"],
  PutObject: ["PutObject"],
};

export function accessOfGrants(grants: readonly S3Grant[]): Access {
  const knows = (bucket: string) =>
    grants.some((grant) => grant.bucket === bucket && grant.actions.includes("ListBucket"));
  return {
    knows,
    // S3's own right to list all buckets is granted to nobody.
    lists: knows,
    allows: (action, bucket, name) =>
      grants.some(
        (grant) =>
          grant.bucket === bucket &&
          grantsFor[action].some((needed) => grant.actions.includes(needed)) &&
          (name ?? "").startsWith(grant.prefix ?? ""),
      ),
    touches: (bucket) => grants.some((grant) => grant.bucket === bucket),
  };
}

const listings: readonly S3Action[] = ["ListBucket", "ListBucketMultipartUploads"];

/**
 * What a session may do: what its role may AND its policy allows. `headers` are those of the request, of which conditions
 * may speak. https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
 */
export function accessOfSession(role: Access, policy: SessionPolicy, headers: ReadonlyMap<string, string>): Access {
  const permits = (action: S3Action, bucket: string, name: string | undefined) => {
    const listing = listings.includes(action);
    const facts = new Map<string, string>();
    if (listing && name !== undefined) facts.set("s3:prefix", name);
    for (const header of ["if-none-match", "if-match"]) {
      const value = headers.get(header);
      if (value !== undefined) facts.set(`s3:${header}`, value);
    }
    const path = listing ? bucket : `${bucket}/${name ?? ""}`;
    return policy.permits({ action: `s3:${action}`, resource: `arn:aws:s3:::${path}`, facts });
  };
  // Unconditionally: where a policy asks for a prefix, a request without one lists nothing.
  const knows = (bucket: string) => role.knows(bucket) && permits("ListBucket", bucket, undefined);
  const all = { action: "s3:ListAllMyBuckets", resource: "arn:aws:s3:::*", facts: new Map<string, string>() };
  return {
    allows: (action, bucket, name) => role.allows(action, bucket, name) && permits(action, bucket, name),
    knows,
    lists: (bucket) => knows(bucket) && policy.permits(all),
    touches: (bucket) => role.touches(bucket),
  };
}
