import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { errorCatalogue, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack, fakeToken } from "./testing/fake-stack.ts";
import { Harness } from "./testing/harness.ts";
import { completedTask, sampleDataset } from "./testing/samples.ts";

const stack = new FakeStack();
const harness = () => new Harness({ cwd: stack.cwd });

beforeAll(async () => {
  await stack.start();
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  stack.answers.listTasks = async () => ({ tasks: [completedTask()], next: null });
});
afterAll(() => stack.stop());

function errorOf(stderr: string): { code: string; fix?: string; retryable: boolean } {
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  return (JSON.parse(stderr) as { error: { code: string; fix?: string; retryable: boolean } }).error;
}

test("a mistyped command names the one that was meant, and the exit code is 2", async () => {
  const { code, stdout, stderr } = await harness().run("datset", "list");
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^error TR-7001: unknown command 'datset'\n {2}fix: {3}did you mean dataset\?/);
  expect(stderr).toContain("more:  trace explain TR-7001");
});

test("a mistyped command of a command, and a mistyped flag, name what was meant", async () => {
  expect((await harness().run("task", "shwo", "x")).stderr).toContain("did you mean show? See 'trace task --help'");
  expect((await harness().run("task", "list", "--limt", "3")).stderr).toContain("did you mean --limit?");
});

test("a missing command, a missing argument and a bad value are wrong use", async () => {
  for (const argv of [
    [],
    ["task"],
    ["deploy"],
    ["task", "list", "--limit", "0"],
    ["task", "list", "--state", "done"],
  ]) {
    const { code, stderr } = await harness().run(...argv, "--json");
    expect([argv, code]).toEqual([argv, 2]);
    expect(errorOf(stderr).code).toBe("TR-7001");
  }
});

test("help goes to standard output with examples, exit code 0, for every command", async () => {
  const commands = [
    "deploy",
    "run",
    "task list",
    "task show",
    "task logs",
    "task watch",
    "task create",
    "task cancel",
    "task retry",
    "task replay",
    "dataset list",
    "dataset show",
    "outbox list",
    "outbox requeue",
    "query",
    "doctor",
    "explain",
  ];
  for (const command of commands) {
    const { code, stdout, stderr } = await harness().run(...command.split(" "), "--help");
    expect([command, code, stderr]).toEqual([command, 0, ""]);
    expect(stdout).toContain("Examples:\n  trace ");
    expect(stdout).toContain("--json");
  }
});

test.each(["--version", "-V"])("%s tells the version and needs no stack", async (flag) => {
  const { code, stdout, stderr } = await new Harness({ cwd: "/" }).run(flag);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "trace 0.1.0\n", stderr: "" });
});

test("global flags work before and after the command", async () => {
  const before = await harness().run("--json", "--state", stack.state, "dataset", "list");
  const after = await harness().run("dataset", "list", "--json", "--state", stack.state);
  expect(before).toEqual(after);
  expect(JSON.parse(before.stdout)).toEqual({ datasets: [sampleDataset()] });
});

test("--state after 'task list' is a task's state, before it the folder", async () => {
  let asked: unknown;
  stack.answers.listTasks = async ({ query }) => {
    asked = query.state;
    return { tasks: [completedTask()], next: null };
  };
  const { code } = await new Harness({ cwd: "/" }).run("--state", stack.state, "task", "list", "--state", "dead");
  expect({ code, asked }).toEqual({ code: 0, asked: "dead" });
});

test("the state folder is --state, else TRACE_STATE, else the nearest one upward", async () => {
  const elsewhere = join(stack.cwd, "a", "b");
  const run = (env: Record<string, string>, ...argv: string[]) =>
    new Harness({ cwd: elsewhere, env }).run("dataset", "list", ...argv);
  expect((await run({})).code).toBe(0);
  expect((await run({ TRACE_STATE: "/nowhere" })).stderr).toContain("where: /nowhere");
  expect((await run({ TRACE_STATE: "/nowhere" }, "--state", stack.state)).code).toBe(0);
});

test("nothing running: a retryable error that says how to start it, exit code 4", async () => {
  const { code, stdout, stderr } = await new Harness({ cwd: "/" }).run("task", "list", "--json");
  expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
  expect(errorOf(stderr)).toMatchObject({ code: "TR-7002", retryable: true, fix: expect.stringContaining("trace up") });
});

test("a service that is gone is exit code 4 and says where it was looked for", async () => {
  const token = join(stack.state, "secrets", "api-token");
  const { code, stderr } = await harness().run("task", "list", "--url", "http://127.0.0.1:9", "--token-file", token);
  expect(code).toBe(4);
  expect(stderr).toMatch(/^error TR-1007: no answer from http:\/\/127\.0\.0\.1:9/);
  expect(stderr).toContain("  fix:   ");
});

test("the local stack's token is sent to no other address", async () => {
  const { code, stderr } = await harness().run("task", "list", "--url", "http://127.0.0.1:9");
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-7003: no token is known for http://127.0.0.1:9");
});

test("a token is never shown, not even when it is refused", async () => {
  stack.answers.listTasks = async () => {
    throw new TraceError("TR-1000", { detail: `somebody put ${fakeToken} into a message` });
  };
  const { stderr } = await harness().run("task", "list", "--debug");
  const asJson = await harness().run("task", "list", "--json");
  stack.answers.listTasks = async () => ({ tasks: [completedTask()], next: null });
  expect(stderr).toContain("trace_[redacted]");
  expect(stderr + asJson.stderr).not.toContain(fakeToken);
});

test("what we did not expect is one line and a file with the full text, without a stack on the screen", async () => {
  stack.answers.listDatasets = async () => ({ datasets: [] });
  const broken = new Harness({
    cwd: stack.cwd,
    parts: { engine: () => Promise.reject(new RangeError("boom at https://x.test/a?X-Amz-Signature=1")) },
  });
  const { code, stderr } = await broken.run("query", "SELECT 1");
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-7011: something we did not expect: boom");
  expect(stderr).not.toContain("    at ");
  const path = /where: (\S+)/.exec(stderr)?.[1] ?? "";
  const kept = readFileSync(path, "utf8");
  expect(kept).toContain("RangeError: boom");
  expect(kept + stderr).not.toContain("X-Amz-Signature=1");
});

test("every code of the command line has a page, and explain shows it", async () => {
  for (const [code, { title }] of Object.entries(errorCatalogue).filter(([code]) => code.startsWith("TR-70"))) {
    const { stdout } = await harness().run("explain", code);
    expect(stdout).toContain(`${code}: ${title}`);
    expect(stdout).toContain("Fix");
  }
});

test("explain takes a bare number and answers as JSON", async () => {
  const { code, stdout } = await harness().run("explain", "7001", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    code: "TR-7001",
    family: "terminal",
    page: expect.stringContaining("## Fix"),
  });
});

test("explain of an unknown code names a near one", async () => {
  const { code, stdout, stderr } = await harness().run("explain", "TR-7091");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/did you mean TR-70\d1\?/);
});

test("a call without an answer for 2 s is said to be waited for, to people only", async () => {
  const slow = new Harness({ cwd: stack.cwd, passMs: 2_000 });
  expect((await slow.run("task", "list")).stderr).toContain(`waiting for ${stack.url} ...\n`);
  for (const flag of ["--json", "--quiet"]) expect((await slow.run("task", "list", flag)).stderr).toBe("");
  const prompt = new Harness({ cwd: stack.cwd, passMs: 1_999 });
  expect((await prompt.run("task", "list")).stderr).not.toContain("waiting");
});

test("the program runs by itself under Node", async () => {
  const main = fileURLToPath(new URL("./main.ts", import.meta.url));
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [main, "dataset", "list", "--json"], { cwd: stack.cwd });
  expect(JSON.parse(stdout)).toEqual({ datasets: [] });
  await expect(run(process.execPath, [main, "nonsense"], { cwd: stack.cwd })).rejects.toMatchObject({
    code: 2,
    stdout: "",
  });
});

test("a mistyped word among a few gets the one that was meant", async () => {
  const { code, stderr } = await harness().run("task", "list", "--state", "daed");
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain("did you mean dead? See 'trace task list --help'");
});

test("every command says how it is used, with examples, and the area says what is below it", async () => {
  for (const command of ["dataset", "task", "outbox", "dataset diff", "dataset revert", "completion", "schema"]) {
    const { code, stdout, stderr } = await harness().run(...command.split(" "), "--help");
    expect([command, code, stderr]).toEqual([command, 0, ""]);
    expect(stdout).toContain("Examples:\n");
  }
});

test("help has the examples before the options, and the commands before both, each once", async () => {
  const order = (text: string, ...heads: string[]) => heads.map((head) => text.split(`\n${head}:\n`).length - 1);
  const root = (await harness().run("--help")).stdout;
  expect(order(root, "Examples", "Commands", "Options", "Global options")).toEqual([1, 1, 1, 1]);
  const places = ["Examples", "Commands", "Options", "Global options", "Exit codes"].map((head) =>
    root.indexOf(`\n${head}:\n`),
  );
  expect(places).toEqual([...places].sort((a, b) => a - b));
  const query = (await harness().run("query", "--help")).stdout;
  expect(order(query, "Examples", "Options")).toEqual([1, 1]);
  expect(query.indexOf("Examples:")).toBeLessThan(query.indexOf("Arguments:"));
  expect(await harness().run("query", "--help")).toMatchObject({ stdout: query });
});

test("explain without a code lists all of them", async () => {
  const { code, stdout } = await harness().run("explain");
  expect(code).toBe(0);
  for (const known of Object.keys(errorCatalogue)) expect(stdout).toContain(known);
  const { codes } = JSON.parse((await harness().run("explain", "--json")).stdout) as { codes: { code: string }[] };
  expect(codes.map((one) => one.code)).toEqual(Object.keys(errorCatalogue));
});

test.each([
  ["history", "did you mean 'trace dataset history'?"],
  ["histroy", "did you mean 'trace dataset history'?"],
  ["list", "did you mean 'trace task list' or 'trace dataset list' or 'trace outbox list'?"],
  ["xyzzyx", "see 'trace --help'"],
])("a command without its area, %s, gets the whole of it", async (word, fix) => {
  const { code, stderr } = await harness().run(word, "quakes");
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(fix);
});
