import { type LogLine, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { completedTask, deadTask, sampleNowMs, sampleTask } from "../testing/samples.ts";
import { newLines } from "./task-logs.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const dead = deadTask();
const detail = {
  ...dead,
  attempts: [
    {
      attempt: 1,
      lease_no: 4,
      state: "failed" as const,
      worker: "worker-1",
      started_at: "2026-11-23T08:00:01.000Z",
      ended_at: "2026-11-23T08:00:02.500Z",
      error: dead.error,
    },
  ],
};
const line = (message: string): LogLine => ({ time: "2026-11-23T08:00:01.250Z", level: "info", message });

beforeAll(async () => {
  await stack.start();
  stack.answers.listTasks = async () => ({ tasks: [sampleTask(), dead], next: "c2" });
  stack.answers.getTask = async () => detail;
  stack.answers.getTaskLogs = async () => ({
    attempt: 1,
    state: "failed",
    lines: [line("opening"), line("a\u001b[2Jb")],
    dropped: 2,
  });
});
afterAll(() => stack.stop());

test("a list shows what a task does or why it ended, and how to get the next page", async () => {
  const { code, stdout, stderr } = await harness({ columns: 100, env: { NO_COLOR: "1" } }).run(
    "task",
    "list",
    "--dag",
    "quakes",
  );
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(3);
  expect(lines[1]).toMatch(/^3f9ac01b22d4 {2}quakes\.ingest_quakes {2}running .* 10 s ago .* 2\.0 s/);
  expect(lines[2]).toContain("TR-5001");
  expect(stderr).toContain("2 tasks, and there are more");
  expect(stderr).toContain("trace task list --dag quakes --cursor c2");
});

test("a narrow terminal shows jobs whole and no beginnings of results", async () => {
  const { stdout } = await harness({ columns: 80, env: { NO_COLOR: "1" } }).run("task", "list");
  expect(stdout).toContain("quakes.ingest_quakes");
  expect(stdout).not.toContain("…");
  for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
});

test("without a terminal, ids are whole", async () => {
  expect((await harness().run("task", "list")).stdout).toContain(sampleTask().task_id);
});

test("--json is the page as the API gives it", async () => {
  const { stdout, stderr } = await harness().run("task", "list", "--json");
  expect(JSON.parse(stdout)).toEqual({ tasks: [sampleTask(), dead], next: "c2" });
  expect(stderr).toBe("");
});

test("an empty list says what fills it, on standard error", async () => {
  const page = stack.answers.listTasks;
  stack.answers.listTasks = async () => ({ tasks: [], next: null });
  const { code, stdout, stderr } = await harness().run("task", "list");
  if (page !== undefined) stack.answers.listTasks = page;
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toContain("trace run <dag>");
});

test("show tells of each attempt what, where, why and the fix", async () => {
  const { code, stdout } = await harness().run("task", "show", dead.task_id);
  expect(code).toBe(0);
  expect(stdout).toContain("quakes.ingest_quakes  dead");
  expect(stdout).toContain("attempt 1  failed  1.5 s  on worker-1");
  for (const part of [
    "error TR-5001: the file",
    "where: job ingest",
    "why:   there is no",
    "fix:   check the",
    "more:  trace explain TR-5001",
  ]) {
    expect(stdout).toContain(part);
  }
  expect(JSON.parse((await harness().run("task", "show", dead.task_id, "--json")).stdout)).toEqual(detail);
});

test("the last characters of an id are enough, when they name one task", async () => {
  let asked = "";
  stack.answers.getTask = async ({ params }) => {
    asked = params.task_id;
    return detail;
  };
  const page = stack.answers.listTasks;
  stack.answers.listTasks = async () => ({
    tasks: [completedTask({ task_id: "0198c0de-0000-7000-8000-00000000beef" })],
    next: null,
  });
  expect((await harness().run("task", "show", "beef")).code).toBe(0);
  expect(asked).toBe("0198c0de-0000-7000-8000-00000000beef");
  const none = await harness().run("task", "show", "dead");
  expect(none).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("none of the newest tasks ends with it"),
  });
  const two = ["0198c0de-0000-7000-8000-00000000beef", "0198c0de-0000-7000-8000-10000000beef"];
  stack.answers.listTasks = async () => ({ tasks: two.map((task_id) => completedTask({ task_id })), next: null });
  expect((await harness().run("task", "show", "beef")).stderr).toContain("2 of the newest tasks end with it");
  if (page !== undefined) stack.answers.listTasks = page;
  stack.answers.getTask = async () => detail;
});

test("logs print each line safely and say what was dropped", async () => {
  const { stdout, stderr } = await harness().run("task", "logs", dead.task_id);
  expect(stdout).toBe("08:00:01.250 info  opening\n08:00:01.250 info  a\ufffd[2Jb\n");
  expect(stderr).toContain("2 older lines dropped");
  const asJson = await harness().run("task", "logs", dead.task_id, "--json");
  expect(JSON.parse(asJson.stdout)).toMatchObject({ attempt: 1, dropped: 2 });
  expect(asJson.stderr).toBe("");
});

test("followed logs print each line once and end when the task has", async () => {
  const lines = [line("one")];
  let polls = 0;
  stack.answers.getTaskLogs = async () => ({ attempt: 1, state: "running", lines: [...lines], dropped: 0 });
  stack.answers.getTask = async () => ({ ...detail, state: polls++ < 2 ? "running" : "completed" });
  const onPause = () => void lines.push(line(`more ${lines.length}`));
  const { code, stdout } = await harness({ onPause }).run("task", "logs", dead.task_id, "--follow", "--json");
  expect(code).toBe(0);
  const messages = stdout
    .trimEnd()
    .split("\n")
    .map((text) => (JSON.parse(text) as LogLine).message);
  expect(messages).toEqual(["one", "more 1", "more 2"]);
});

test("Ctrl-C ends following with 130", async () => {
  stack.answers.getTask = async () => ({ ...detail, state: "running" });
  const following = harness({ onPause: () => void following.interrupt() });
  expect((await following.run("task", "logs", dead.task_id, "--follow")).code).toBe(130);
});

test("what is dropped at the front does not bring lines back or lose new ones", () => {
  const lines = ["c", "d", "e"].map(line);
  const logs = { attempt: 1, state: "running", lines, dropped: 2 };
  expect(newLines(logs, 4).map((one) => one.message)).toEqual(["e"]);
  expect(newLines(logs, 1).map((one) => one.message)).toEqual(["c", "d", "e"]);
  expect(newLines(logs, 5)).toEqual([]);
});

test("an error of the API keeps its words", async () => {
  stack.answers.getTask = async () => {
    throw new TraceError("TR-1006", { detail: "there is no such task", fix: "look into the list" });
  };
  const { code, stderr } = await harness().run("task", "show", dead.task_id);
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-1006: there is no such task\n  fix:   look into the list");
});
