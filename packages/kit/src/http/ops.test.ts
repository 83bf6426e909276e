import { request } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Metrics } from "../metrics.ts";
import { OpsServer } from "./ops.ts";

let missing: string | undefined;
const metrics = new Metrics({ role: "test", processMetrics: false });
const ops = new OpsServer({
  role: "test",
  host: "127.0.0.1",
  port: 0,
  metrics,
  allowedHosts: ["trace.example"],
  ready: () => (missing === undefined ? Promise.resolve() : Promise.reject(new Error(missing))),
});
beforeAll(() => ops.start());
afterAll(() => ops.stop());

function get(path: string, host = "localhost"): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ port: ops.port, host: "127.0.0.1", path, headers: { host } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    call.on("error", reject).end();
  });
}

test("healthz says that the process runs, ready or not", async () => {
  missing = "Postgres";
  expect(await get("/healthz")).toMatchObject({ status: 200 });
  expect(JSON.parse((await get("/healthz?x=1")).text)).toMatchObject({ role: "test", pid: process.pid });
});

test("readyz says 503 and what is missing, and 200 when nothing is", async () => {
  missing = "Postgres is away";
  const not = await get("/readyz");
  expect(not.status).toBe(503);
  expect(JSON.parse(not.text)).toMatchObject({ status: "not ready", reason: "Postgres is away" });
  missing = undefined;
  expect((await get("/readyz")).status).toBe(200);
});

test("metrics are told as text, other pages are not there", async () => {
  metrics.counter("asked_total", "Asked").inc();
  expect((await get("/metrics")).text).toContain('trace_asked_total{role="test"} 1');
  expect((await get("/secrets")).status).toBe(404);
});

test("a foreign host is refused on every page", async () => {
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    expect((await get(path, "evil.example")).status).toBe(403);
    expect((await get(path, "trace.example")).status).toBe(200);
  }
});

test("a port that is taken is an error of start, and stop may be called twice", async () => {
  const second = new OpsServer({
    role: "x",
    host: "127.0.0.1",
    port: ops.port,
    metrics,
    ready: () => Promise.resolve(),
  });
  await expect(second.start()).rejects.toMatchObject({ code: "EADDRINUSE" });
  await second.stop();
  await second.stop();
});
