import { describe, expect, it } from "vitest";
import { workerConfig } from "./config.ts";

const env = {
  TRACE_WORKER_API: "http://127.0.0.1:1",
  TRACE_TASK_API: "http://127.0.0.1:2",
  TRACE_WORKER_TOKEN_FILE: "/run/token",
  TRACE_WORK_DIR: "/var/tmp/work",
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "very secret",
};

describe("the configuration of a worker", () => {
  it("fills in defaults", () => {
    expect(workerConfig(env)).toMatchObject({
      queue: "default",
      slots: 4,
      drainMs: 25_000,
      sourceBytesMax: 5 * 1024 ** 3,
      scratchBucket: "trace-scratch",
      fileRoots: [],
      guardAllow: [],
      opsHost: "127.0.0.1",
      s3: { endpoint: undefined, region: "us-east-1" },
    });
  });

  it("reads folders with commas from a JSON array", () => {
    expect(workerConfig({ ...env, TRACE_FILE_ROOTS: '["/a,b","/c d"]' }).fileRoots).toEqual(["/a,b", "/c d"]);
  });

  it("names every mistake at once, and no secret", () => {
    const wrong = { ...env, TRACE_WORKER_API: "no url", TRACE_SLOTS: "0", TRACE_WORK_DIR: undefined };
    expect(() => workerConfig(wrong)).toThrow(
      /TRACE_SLOTS is '0'.*TRACE_WORK_DIR is not set|TRACE_WORK_DIR is not set.*TRACE_SLOTS/s,
    );
    expect(() => workerConfig(wrong)).toThrow(/TRACE_WORKER_API is not a URL/);
    expect(() => workerConfig(wrong)).not.toThrow(/very secret/);
  });

  it.each([
    [{ TRACE_FILE_ROOTS: "data" }, "is not absolute"],
    [{ TRACE_WORK_DIR: "work" }, "is not absolute"],
    [{ TRACE_QUEUE: "Not A Queue" }, "no name of a queue"],
  ])("refuses %j", (extra, reason) => {
    expect(() => workerConfig({ ...env, ...extra })).toThrow(reason);
  });
});
