/**
 * An endpoint in a process of its own, for tests that kill it or give it a small disk.
 * Usage: node s3child.ts <root>. Prints a JSON line with its port, then one when the first upload has begun.
 */
import { silentLog } from "@trace/kit";
import { S3Endpoint } from "../s3/endpoint.ts";
import { buckets, owner } from "../testing/s3bench.ts";

const [root = ""] = process.argv.slice(2);
const endpoint = new S3Endpoint({ root, host: "127.0.0.1", port: 0, buckets, credentials: [owner], log: silentLog() });
const said = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
await endpoint.start();
said({ port: endpoint.port });
process.stdin.resume();
// The parent says by a line when the upload that it is about to begin is the one to report.
process.stdin.once("data", () => {
  void endpoint.store.uploadStarted.next(20_000).then((path) => said({ upload: path }));
  said({ watching: true });
});
// Never outlives the test.
process.stdin.once("end", () => process.exit(0));
