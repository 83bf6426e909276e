import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeStack, fakeToken } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { type CheckResult, runChecks } from "./check.ts";
import { judgeNode, judgeOpenFiles, judgePlatform } from "./machine.ts";
import { judgeClock, judgeOutbox } from "./services.ts";
import { judgeDisk, postgresFolder } from "./state.ts";

const stack = new FakeStack();
const worker = { worker: "worker-1", host: "here", leases: 0, started_at: "2026-11-23T08:00:00.000Z" };
const system = {
  version: "0.1.0",
  schema_version: 5,
  installation: "abc",
  queues: [{ queue: "default", ready: 2, leased: 1, oldest_ready_ms: 10 }],
  workers: [worker],
  outbox: { pending: 0, oldest_ms: null, failed: 0 },
};

async function examine(
  env: Record<string, string> = {},
): Promise<{ code: number; ok: boolean; checks: Map<string, CheckResult> }> {
  const { code, stdout, stderr } = await new Harness({ cwd: stack.cwd, env }).run("doctor", "--json");
  expect(stderr).toBe("");
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: CheckResult[] };
  return { code, ok, checks: new Map(checks.map((check) => [check.name, check])) };
}

beforeAll(() => stack.start());
beforeEach(() => {
  stack.readyStatus = 200;
  stack.answers.getSystem = async () => system;
  stack.writeEndpoints();
  chmodSync(stack.state, 0o700);
});
afterAll(() => stack.stop());

test("a healthy stack: every part is asked, nothing fails, exit code 0", async () => {
  const { code, ok, checks } = await examine();
  expect({ code, ok }).toEqual({ code: 0, ok: true });
  for (const name of [
    "node",
    "platform",
    "state folder",
    "user api",
    "postgres state",
    "postgres data",
    "s3",
    "sqs",
    "clock",
  ]) {
    expect([name, checks.get(name)?.status]).toEqual([name, "ok"]);
  }
  for (const role of ["dispatcher", "worker"]) expect(checks.get(role)?.detail).toContain("ready");
  expect(checks.get("workers")?.detail).toBe("1 worker, 2 tasks waiting, 1 running");
  expect(JSON.stringify([...checks.values()])).not.toContain(fakeToken);
});

test("for people: groups, a fix under what is not well, a count", async () => {
  stack.readyStatus = 503;
  const { code, stdout, stderr } = await new Harness({ cwd: stack.cwd }).run("doctor");
  expect(code).toBe(1);
  expect(stdout).toMatch(/^Machine\n {2}ok {4}node/);
  expect(stdout).toMatch(/ {2}fail {2}dispatcher +not ready: Postgres is away\n +fix: see its log/);
  expect(stderr).toMatch(/2 failures/);
});

test("a part that does not answer fails with its address and a fix", async () => {
  stack.writeEndpoints({
    s3: "http://127.0.0.1:9",
    postgres: { state: { host: "127.0.0.1", port: 9 }, data: { host: "127.0.0.1", port: 9 } },
  });
  const { code, checks } = await examine();
  expect(code).toBe(1);
  expect(checks.get("s3")).toMatchObject({ status: "fail", detail: expect.stringContaining("127.0.0.1:9") });
  expect(checks.get("postgres state")).toMatchObject({ status: "fail", fix: expect.stringContaining("log") });
  expect(checks.get("sqs")?.status).toBe("ok");
});

test("what answers on Postgres' port and is not Postgres is found out", async () => {
  const port = Number(new URL(stack.storeUrl).port);
  const server = { host: "127.0.0.1", port };
  stack.writeEndpoints({ postgres: { state: server, data: server } });
  const { checks } = await examine();
  expect(checks.get("postgres data")).toMatchObject({
    status: "fail",
    detail: expect.stringContaining("not Postgres"),
  });
});

test("a refused token fails and is not shown", async () => {
  const path = join(stack.state, "secrets", "api-token");
  writeFileSync(path, `${fakeToken}x`);
  const { code, checks } = await examine();
  writeFileSync(path, fakeToken);
  expect(code).toBe(1);
  expect(checks.get("user api")).toMatchObject({ status: "fail", detail: expect.stringContaining("TR-1003") });
  expect(JSON.stringify([...checks.values()])).not.toContain(fakeToken);
});

test("no worker and a stuck outbox are warnings, not failures", async () => {
  stack.answers.getSystem = async () => ({
    ...system,
    workers: [],
    outbox: { pending: 4, oldest_ms: 120_000, failed: 0 },
  });
  const { code, checks } = await examine();
  expect(code).toBe(0);
  expect(checks.get("workers")?.status).toBe("warn");
  expect(checks.get("outbox")?.detail).toContain("the oldest for 2 min 00 s");
});

test("a damaged list of addresses is one failure, and the rest is looked at all the same", async () => {
  writeFileSync(join(stack.state, "endpoints.json"), "{");
  const { code, checks } = await examine();
  expect(code).toBe(1);
  expect(checks.get("endpoints")?.status).toBe("fail");
  expect(checks.get("disk free")?.status).not.toBe("fail");
});

test("before the first start nothing fails, and the way to start is told", async () => {
  const { code, stdout } = await new Harness({ cwd: stack.cwd }).run(
    "doctor",
    "--json",
    "--state",
    join(stack.cwd, "none"),
  );
  expect(code).toBe(0);
  const { checks } = JSON.parse(stdout) as { checks: CheckResult[] };
  expect(checks.find((check) => check.name === "stack")).toMatchObject({ status: "warn", fix: "start it: trace up" });
});

test("a state folder or a token that others can read is told with the command that closes it", async () => {
  chmodSync(stack.state, 0o755);
  chmodSync(join(stack.state, "secrets", "api-token"), 0o644);
  const { checks } = await examine();
  chmodSync(join(stack.state, "secrets", "api-token"), 0o600);
  expect(checks.get("state folder")).toMatchObject({ status: "warn", fix: `chmod 700 '${stack.state}'` });
  expect(checks.get("api token")).toMatchObject({ status: "fail", fix: expect.stringContaining("chmod 600") });
});

test("the folders that the running stack reads files from are tried", async () => {
  const good = join(stack.cwd, "data");
  mkdirSync(good, { recursive: true });
  const path = join(stack.state, "endpoints.json");
  const text = readFileSync(path, "utf8");
  const withRoots = async (...file_roots: string[]) => {
    writeFileSync(path, JSON.stringify({ ...JSON.parse(text), file_roots }));
    return (await examine()).checks.get("file roots");
  };
  try {
    expect(await withRoots(good)).toMatchObject({ status: "ok", detail: `1 folder: ${good}` });
    expect(await withRoots()).toMatchObject({ status: "ok", detail: expect.stringContaining("none") });
    expect(await withRoots(good, join(stack.cwd, "nothing"))).toMatchObject({
      status: "fail",
      detail: expect.stringContaining("nothing: there is no"),
    });
  } finally {
    writeFileSync(path, text);
  }
});

test("a check that throws is a failure of that check alone", async () => {
  const results = await runChecks([
    { name: "a", group: "machine", find: () => Promise.reject(new Error("boom")) },
    { name: "b", group: "machine", find: async () => ({ status: "ok", detail: "fine" }) },
  ]);
  expect(results.map(({ name, status }) => [name, status])).toEqual([
    ["a", "fail"],
    ["b", "ok"],
  ]);
});

test("versions, limits and sizes are judged at their bounds", () => {
  expect(["v22.17.9", "v22.18.0", "v24.0.0", "v20.20.2"].map((version) => judgeNode(version).status)).toEqual([
    "fail",
    "ok",
    "ok",
    "fail",
  ]);
  expect(judgePlatform("win32", "x64", "10").status).toBe("warn");
  expect(judgePlatform("darwin", "arm64", "24").status).toBe("ok");
  expect([1_024, 4_096, "unlimited" as const, undefined].map((limit) => judgeOpenFiles(limit).status)).toEqual([
    "warn",
    "ok",
    "ok",
    "skip",
  ]);
  expect([1e8, 1e9, 1e11].map((free) => judgeDisk(free, 1e12, "/").status)).toEqual(["fail", "warn", "ok"]);
  expect(judgeOutbox({ pending: 1, oldest_ms: 100, failed: 0 }).status).toBe("ok");
  expect(judgeOutbox({ pending: 0, oldest_ms: null, failed: 2 })).toMatchObject({
    status: "warn",
    detail: "2 messages given up",
    fix: expect.stringMatching(/trace outbox list.*trace outbox requeue --all/),
  });
});

test("clocks agree, drift, or are too far apart for signatures", () => {
  const nowMs = Date.parse("2026-11-23T08:00:00.900Z");
  expect(judgeClock("Mon, 23 Nov 2026 08:00:00 GMT", nowMs).status).toBe("ok");
  expect(judgeClock("Mon, 23 Nov 2026 08:00:30 GMT", nowMs)).toMatchObject({
    status: "warn",
    fix: expect.stringContaining("NTP"),
  });
  expect(judgeClock("Mon, 23 Nov 2026 09:00:00 GMT", nowMs).status).toBe("fail");
  expect(judgeClock(undefined, nowMs).status).toBe("skip");
});

test("Postgres' folder is named: in the state folder, or for root by the stack's id", () => {
  writeFileSync(join(stack.state, "id"), "abcdefghij234567abcd\n");
  expect(postgresFolder(stack.state, 1000)).toBe(join(stack.state, "postgres"));
  expect(postgresFolder(stack.state, 0)).toBe("/var/lib/trace/abcdefghij234567abcd");
  expect(postgresFolder(join(stack.cwd, "none"), 0)).toBeUndefined();
});
