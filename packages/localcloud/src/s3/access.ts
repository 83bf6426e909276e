/** Who may do what: a list of grants per credential, nothing without one. Pure. */

export type S3Action = "GetObject" | "PutObject" | "DeleteObject" | "ListBucket";

export interface S3Grant {
  readonly bucket: string;
  readonly actions: readonly S3Action[];
  /** Keys (and, for ListBucket, listing prefixes) that begin so; ends with a slash. Absent: the whole bucket. */
  readonly prefix?: string | undefined;
}

export interface S3Credential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly grants: readonly S3Grant[];
}

/** `name` is the key, or the prefix asked for in a listing. */
export function isGranted(grants: readonly S3Grant[], action: S3Action, bucket: string, name: string): boolean {
  return grants.some(
    (grant) => grant.bucket === bucket && grant.actions.includes(action) && name.startsWith(grant.prefix ?? ""),
  );
}

/** Whether a bucket may be known to exist: any right to list some of it. */
export function mayKnowBucket(grants: readonly S3Grant[], bucket: string): boolean {
  return grants.some((grant) => grant.bucket === bucket && grant.actions.includes("ListBucket"));
}
