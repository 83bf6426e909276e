/**
 * The table of requests and their documented answers, sent to the server of other people. A row that says what that one is
 * known to do otherwise is skipped while it does so; any other difference is a failure, of the table or of the row's word.
 */
import { send } from "../../packages/localcloud/src/testing/s3bench.ts";
import { deviations } from "../../packages/localcloud/src/testing/s3row.ts";
import { table } from "../../packages/localcloud/src/testing/s3table.ts";
import { type Send, walked, walkUpload } from "../../packages/localcloud/src/testing/s3walk.ts";
import { type Checks, expectSame } from "./checks.ts";
import type { Key } from "./store.ts";

/** `TRACE_S3_ORACLE=<port>,<key>,<secret>` names another server on this machine, in the place of Ceph. */
export function serverNamed(text: string | undefined): S3Server | undefined {
  if (text === undefined || text === "") return undefined;
  const [port, accessKeyId, secretAccessKey] = text.split(",");
  if (!Number(port) || !accessKeyId || !secretAccessKey) {
    throw new Error("TRACE_S3_ORACLE must be <port>,<access key id>,<secret access key>");
  }
  return { port: Number(port), key: { accessKeyId, secretAccessKey } };
}

export interface S3Server {
  readonly port: number;
  readonly key: Key;
}

export async function tryTable(checks: Checks, { port, key }: S3Server): Promise<void> {
  const credential = key;
  const ask: Send = (call, options) => send({ port }, call, { credential, ...options });
  // A server that was asked before may hold what the table is to find missing.
  await ask({ method: "PUT", path: "/files" });
  const paths = new Set(["/files/walk", ...table.flatMap(({ call }) => (call.method === "PUT" ? [call.path] : []))]);
  for (const path of paths) await ask({ method: "DELETE", path });
  for (const row of table) {
    const presign = row.presign === undefined ? {} : { presign: row.presign };
    const found = deviations(row, await ask(row.call, { ...presign, unsignedPayload: row.unsignedPayload === true }));
    const name = `table: ${row.name}`;
    if (found.length > 0 && row.differs !== undefined) checks.skip(name, `this server ${row.differs}`);
    else checks.note(name, found.length === 0 ? undefined : found.join("; "));
  }
  await checks.check("table: a multipart upload", async () => expectSame(await walkUpload(ask), walked));
}
