/** Both endpoints start and stop as one. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "@trace/kit";
import { expect, test } from "vitest";
import { LocalEndpoints, type LocalEndpointsOptions } from "./endpoints.ts";
import { buckets, owner, send } from "./testing/s3bench.ts";

async function withOptions(run: (options: LocalEndpointsOptions) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "trace-endpoints-"));
  const queues = [{ name: "tasks", visibilityTimeoutSeconds: 30 }];
  try {
    await run({
      host: "127.0.0.1",
      region: "eu-central-1",
      log: silentLog(),
      s3: { root, port: 0, buckets, credentials: [owner] },
      sqs: { port: 0, queues },
    });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

test("both serve after start and neither after stop", async () => {
  await withOptions(async (options) => {
    const endpoints = new LocalEndpoints(options);
    await endpoints.start();
    expect((await send(endpoints.s3, { method: "PUT", path: "/files/a", body: "a" })).status).toBe(200);
    expect(endpoints.sqs.port).toBeGreaterThan(0);
    await endpoints.stop();
    await expect(send(endpoints.s3, { method: "GET", path: "/files/a" })).rejects.toThrow();
  });
});

test("when one cannot start the other is stopped", async () => {
  await withOptions(async (options) => {
    const first = new LocalEndpoints(options);
    await first.start();
    const second = new LocalEndpoints({ ...options, sqs: { ...options.sqs, port: first.sqs.port } });
    await expect(second.start()).rejects.toMatchObject({ code: "TR-6102" });
    await expect(send(second.s3, { method: "GET", path: "/files/a" })).rejects.toThrow();
    await first.stop();
  });
});
