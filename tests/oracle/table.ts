/**
 * The table of requests and their documented answers, sent to the server of other people. A row that says what that one is
 * known to do otherwise is skipped while it does so; any other difference is a failure, of the table or of the row's word.
 */
import { owner, send } from "../../packages/localcloud/src/testing/s3bench.ts";
import { deviations } from "../../packages/localcloud/src/testing/s3row.ts";
import { table } from "../../packages/localcloud/src/testing/s3table.ts";
import { type Send, walked, walkUpload } from "../../packages/localcloud/src/testing/s3walk.ts";
import { broker, type Ceph } from "./ceph.ts";
import { type Checks, expectSame } from "./checks.ts";

export async function tryTable(checks: Checks, { port }: Ceph): Promise<void> {
  const credential = { ...owner, ...broker };
  const ask: Send = (call, options) => send({ port }, call, { credential, ...options });
  for (const row of table) {
    const presign = row.presign === undefined ? {} : { presign: row.presign };
    const found = deviations(row, await ask(row.call, { ...presign, unsignedPayload: row.unsignedPayload === true }));
    const name = `table: ${row.name}`;
    if (found.length > 0 && row.differs !== undefined) checks.skip(name, `this server ${row.differs}`);
    else checks.note(name, found.length === 0 ? undefined : found.join("; "));
  }
  await checks.check("table: a multipart upload", async () => expectSame(await walkUpload(ask), walked));
}
