/** The keys and tokens of a local stack: made at random once, kept in the state folder, readable by its owner alone. */
import { newToken, tokenHash } from "@trace/kit";
import { readSecret, roleArn, type S3Credential, type SessionOptions, type StateFolder } from "@trace/localcloud";
import { stagingSecondsMax } from "./limits.ts";

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface StackSecrets {
  readonly stateDatabase: string;
  readonly dataDatabase: string;
  readonly ownerTokenSha256: string;
  readonly dispatcher: AccessKey;
  readonly worker: AccessKey;
}

export const buckets = { datasets: "trace-datasets", scratch: "trace-scratch" } as const;

/**
 * What the keys of an attempt are made from: the dispatcher assumes it for one attempt at a time, narrowed to that attempt's
 * folders. It reads, writes, and ends what it writes in parts; it never deletes or lists, whatever a session is given.
 */
export const stagingRole = "trace-staging";
export const stagingRoleArn = roleArn(stagingRole);

function accessKey(folder: StateFolder, role: "dispatcher" | "worker" | "owner"): AccessKey {
  return { accessKeyId: `TRACE${role.toUpperCase()}`, secretAccessKey: folder.secret(`s3-${role}`) };
}

/**
 * Who may do what in the object store. Deny by default: a worker reads, and writes logs of attempts to scratch; what is
 * written to the datasets bucket is written with the keys of one attempt, which the dispatcher makes from the role above.
 * The dispatcher alone deletes, and the owner looks.
 */
export function stackSecrets(folder: StateFolder): StackSecrets {
  const dispatcher = accessKey(folder, "dispatcher");
  const worker = accessKey(folder, "worker");
  const owner = accessKey(folder, "owner");
  const { datasets, scratch } = buckets;
  const ownerToken = readSecret(folder.dir, "api-token") ?? folder.writeSecret("api-token", newToken("trace"));
  const s3Credentials: S3Credential[] = [
    {
      ...dispatcher,
      grants: [datasets, scratch].map((bucket) => ({
        bucket,
        actions: ["AbortMultipartUpload", "DeleteObject", "GetObject", "ListBucket"],
      })),
    },
    {
      ...worker,
      grants: [
        { bucket: datasets, actions: ["GetObject"] },
        { bucket: scratch, actions: ["GetObject", "PutObject"] },
      ],
    },
    { ...owner, grants: [datasets, scratch].map((bucket) => ({ bucket, actions: ["GetObject", "ListBucket"] })) },
  ];
  const sessions: SessionOptions = {
    secret: folder.secret("s3-session-signing"),
    roles: [
      {
        name: stagingRole,
        grants: [datasets, scratch].map((bucket) => ({ bucket, actions: ["GetObject", "PutObject"] })),
        assumedBy: [dispatcher.accessKeyId],
        secondsMax: stagingSecondsMax,
      },
    ],
  };
  // The endpoint's process reads them from here: a secret is in no command line. What sessions are signed with is read by
  // that process alone.
  folder.writeSecret("s3-credentials", JSON.stringify(s3Credentials));
  folder.writeSecret("s3-sessions", JSON.stringify(sessions));
  return {
    stateDatabase: folder.secret("postgres-state"),
    dataDatabase: folder.secret("postgres-data"),
    ownerTokenSha256: tokenHash(ownerToken.trim()).toString("hex"),
    dispatcher,
    worker,
  };
}

export interface WorkerTokenFiles {
  readonly tokenFile: string;
  readonly hashesFile: string;
}

/**
 * A new workers' token; the last one stays good until the next rotation. The hashes are written first, so that no worker
 * ever holds a token that the dispatcher does not know yet.
 */
export function rotateWorkerToken(folder: StateFolder): WorkerTokenFiles {
  const last = readSecret(folder.dir, "worker-token")?.split("\n")[0];
  const tokens = [newToken("tracew"), ...(last === undefined || last === "" ? [] : [last])];
  folder.writeSecret("worker-token-hashes", tokens.map((token) => `${tokenHash(token).toString("hex")}\n`).join(""));
  folder.writeSecret("worker-token", tokens.map((token) => `${token}\n`).join(""));
  const at = (name: string) => `${folder.dir}/secrets/${name}`;
  return { tokenFile: at("worker-token"), hashesFile: at("worker-token-hashes") };
}
