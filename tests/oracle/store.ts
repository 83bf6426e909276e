/** The embedded endpoint as a stack starts it, with the keys that a stack makes, and one more that may do everything. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "@trace/kit";
import { S3Endpoint, StateFolder } from "@trace/localcloud";
import { buckets, type StackSecrets, stackSecrets } from "../../packages/cli/src/up/secrets.ts";

export interface Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Puts things in place that nobody of a stack may put there, and looks behind the others. */
export const tester = { accessKeyId: "TRACETESTER", secretAccessKey: "the-secret-of-the-tester-of-oracles" };

/** May what the keys of attempts may, in all of the datasets bucket: for what other clients make of a bucket that is written once. */
export const writer = { accessKeyId: "TRACEWRITER", secretAccessKey: "the-secret-of-the-writer-of-oracles" };

export interface Store {
  readonly endpoint: S3Endpoint;
  readonly url: string;
  readonly secrets: StackSecrets;
  readonly owner: Key;
  stop(): Promise<void>;
}

export async function startStore(work: string): Promise<Store> {
  const dir = join(work, "stack");
  mkdirSync(dir);
  const folder = await StateFolder.open({ dir, command: "oracle" });
  const secrets = stackSecrets(folder);
  const read = (name: string) => JSON.parse(readFileSync(join(dir, "secrets", name), "utf8"));
  const everything = ["GetObject", "PutObject", "DeleteObject", "ListBucket"] as const;
  const endpoint = new S3Endpoint({
    root: join(dir, "objects"),
    host: "127.0.0.1",
    port: 0,
    buckets: [{ name: buckets.datasets, requireIfNoneMatch: true }, { name: buckets.scratch }],
    credentials: [
      ...read("s3-credentials"),
      { ...tester, grants: Object.values(buckets).map((bucket) => ({ bucket, actions: everything })) },
      { ...writer, grants: Object.values(buckets).map((bucket) => ({ bucket, actions: ["GetObject", "PutObject"] })) },
    ],
    sessions: read("s3-sessions"),
    log: silentLog(),
  });
  await endpoint.start();
  return {
    endpoint,
    url: `http://127.0.0.1:${endpoint.port}`,
    secrets,
    owner: { accessKeyId: "TRACEOWNER", secretAccessKey: readFileSync(join(dir, "secrets", "s3-owner"), "utf8") },
    stop: async () => {
      await endpoint.stop();
      await folder.close();
    },
  };
}
