import { TraceError } from "@trace/contracts";
import { expect, test } from "vitest";
import { createLog, silentLog } from "./log.ts";
import { prettyLine } from "./logpretty.ts";

function logged(use: (log: ReturnType<typeof createLog>) => void, pretty = false): string[] {
  const lines: string[] = [];
  use(createLog({ role: "test", level: "trace", pretty, write: (line) => lines.push(line) }));
  return lines;
}

test("a line is one JSON object with role, level, time and message", () => {
  const [line = ""] = logged((log) => log.info({ n: 1 }, "hello\nworld"));
  expect(line.trim().split("\n")).toHaveLength(1);
  expect(JSON.parse(line)).toMatchObject({
    role: "test",
    level: "info",
    message: "hello\nworld",
    n: 1,
    pid: process.pid,
  });
  expect((JSON.parse(line) as { time: string }).time).toMatch(/^\d{4}-.*Z$/);
});

test("values of secret names never reach a line, at any of three depths", () => {
  const names = ["token", "leaseToken", "lease_token", "secret", "password", "authorization", "secretAccessKey"];
  for (const name of names) {
    const line = logged((log) => {
      log.info({ [name]: "hunter2" }, "one");
      log.info({ a: { [name]: "hunter2" } }, "two");
      log.info({ a: { b: { [name]: "hunter2" } } }, "three");
    }).join("");
    expect(line).not.toContain("hunter2");
    expect(line.match(/\[redacted\]/g)).toHaveLength(3);
  }
});

test("an error of the catalogue is logged with its words, another one with its stack", () => {
  const [known = "", unknown = ""] = logged((log) => {
    log.error(
      { error: new TraceError("TR-1009", { detail: "away", fix: "wait", cause: new Error("ECONNREFUSED") }) },
      "x",
    );
    log.error({ error: new Error("oops") }, "y");
  });
  expect(JSON.parse(known)).toMatchObject({
    error: { code: "TR-1009", detail: "away", fix: "wait", cause: { message: "ECONNREFUSED" } },
  });
  expect(JSON.parse(unknown)).toMatchObject({
    error: { message: "oops", stack: expect.stringContaining("log.test.ts") },
  });
});

test("a pretty line is one line with what a person looks for, and text that is no JSON passes through", () => {
  const [line = ""] = logged(
    (log) => log.warn({ error: new TraceError("TR-1009", { detail: "away" }), n: 1 }, "hello"),
    true,
  );
  for (const part of ["warn", "hello", "n=1", "TR-1009 away"]) expect(line).toContain(part);
  expect(line.trim().split("\n")).toHaveLength(1);
  expect(prettyLine("panic: oh")).toBe("panic: oh\n");
  expect(prettyLine('{"level":"info"}')).toContain("info");
});

test("a level below the bound, and a silent log, say nothing", () => {
  const lines: string[] = [];
  createLog({ role: "test", level: "warn", write: (line) => lines.push(line) }).info("no");
  silentLog().fatal("no");
  expect(lines).toEqual([]);
});
