import { once } from "node:events";
import { type LogLine, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { completedTask, deadTask, queuedTask, sampleDag, sampleNowMs, sampleTask } from "../testing/samples.ts";

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

test("tasks of partitions show them, in a list and alone; where there are none, no column is", async () => {
  const before = { list: stack.answers.listTasks, get: stack.answers.getTask };
  expect((await harness().run("task", "list")).stdout).not.toContain("partition");
  stack.answers.listTasks = async () => ({ tasks: [{ ...sampleTask(), partition: "2001-02" }, dead], next: null });
  stack.answers.getTask = async () => ({ ...detail, partition: "2001-\u001b[2J02" });
  const { stdout } = await harness().run("task", "list");
  expect(stdout.split("\n")[0]).toMatch(/^task +job +partition +state/);
  expect(stdout).toMatch(/ingest_\S+ +2001-02 +running/);
  const shown = await harness().run("task", "show", dead.task_id);
  expect(shown.stdout).toMatch(/partition +2001-/);
  expect(shown.stdout).not.toContain("\u001b[2J");
  Object.assign(stack.answers, { listTasks: before.list, getTask: before.get });
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

const log = (lease_no: number, messages: readonly string[], dropped = 0) => ({
  event: "log" as const,
  data: { attempt: lease_no - 3, lease_no, dropped, lines: messages.map(line) },
  id: `${lease_no}.${messages.length}.`,
});
const end = { event: "end", data: { state: "completed" } } as const;

test("followed logs print each line as it comes, attempt after attempt, to the end", async () => {
  let asked: unknown;
  stack.answers.watchTask = async function* ({ query }) {
    asked = query;
    yield { event: "task", data: { ...detail, state: "running" } };
    yield log(4, ["one", "a\u001b[2Jb"]);
    yield log(4, ["two"]);
    yield log(5, ["three"], 7);
    yield end;
  };
  const { code, stdout, stderr } = await harness().run("task", "logs", dead.task_id, "--follow");
  expect(code).toBe(0);
  expect(stdout.trimEnd().split("\n")).toEqual([
    "08:00:01.250 info  one",
    "08:00:01.250 info  a\ufffd[2Jb",
    "08:00:01.250 info  two",
    "08:00:01.250 info  three",
  ]);
  expect(stderr).toBe("attempt 1\nattempt 2\nwarning 7 older lines dropped: the log grew past its bound\n");
  expect(asked).toEqual({});
});

test("followed logs of one attempt ask for that one; with --json each line is a document", async () => {
  let asked: unknown;
  stack.answers.watchTask = async function* ({ query }) {
    asked = query;
    yield log(5, ["one"], 1);
    yield end;
  };
  const argv = ["task", "logs", dead.task_id, "--follow", "--attempt", "2", "--json"];
  const { code, stdout, stderr } = await harness().run(...argv);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe(`${JSON.stringify({ attempt: 2, ...line("one") })}\n`);
  expect(asked).toEqual({ attempt: 2 });
});

test("a task that waits says what for while its log is followed", async () => {
  stack.answers.watchTask = async function* () {
    yield { event: "task", data: { ...queuedTask(), attempts: [] } };
    yield end;
  };
  const { stderr } = await harness().run("task", "logs", dead.task_id, "--follow");
  expect(stderr).toBe("The task has not been tried yet: it waits for a worker.\n");
});

test("a stream that is cut off is taken up after the last line, and it is said", async () => {
  const ids: (string | undefined)[] = [];
  stack.answers.watchTask = async function* (_, __, { lastEventId }) {
    ids.push(lastEventId);
    if (ids.length === 1) {
      yield log(4, ["one"]);
      throw new TraceError("TR-1008", { detail: "stopping" });
    }
    yield log(4, ["two"]);
    yield end;
  };
  const { code, stdout, stderr } = await harness().run("task", "logs", dead.task_id, "--follow");
  expect(code).toBe(0);
  expect(stdout.match(/one|two/g)).toEqual(["one", "two"]);
  expect(ids).toEqual([undefined, "4.1."]);
  expect(stderr).toContain("! no news (TR-1008); trying again");
});

test("Ctrl-C ends following with 130", async () => {
  let interrupt: () => void = () => undefined;
  stack.answers.watchTask = async function* (_, __, { signal }) {
    yield log(4, ["one"]);
    interrupt();
    if (!signal.aborted) await once(signal, "abort");
  };
  const following = harness();
  interrupt = () => void following.interrupt();
  expect((await following.run("task", "logs", dead.task_id, "--follow")).code).toBe(130);
  expect(following.interrupt()).toBe(false);
});

test.each([
  ["due", { run_at: "2026-11-23T08:04:05.000Z" }, "waits until 08:04:05 UTC (in 3 min)"],
  ["due", { run_at: "2026-11-24T07:00:00.000Z" }, "waits until 2026-11-24 07:00:00 UTC (in 22 h)"],
  ["worker", {}, "waits for a worker"],
  ["slot", {}, "waits for a slot: the job runs at most 2 at once"],
] as const)("a queued task says that it waits for %s", async (waiting_for, changes, words) => {
  stack.answers.listDags = async () => ({ dags: [sampleDag()] });
  stack.answers.getTask = async () => ({ ...queuedTask({ waiting_for, ...changes }), attempts: [] });
  const { code, stdout, stderr } = await harness().run("task", "show", dead.task_id);
  expect(code).toBe(0);
  expect(stdout).toContain(`  now       ${words}\n`);
  expect(stderr).toContain("trace task watch");
  expect(stderr.includes("trace task retry")).toBe(waiting_for === "due");
  stack.answers.getTask = async () => detail;
});

test("each attempt names its lease, and a dead task how to run it again", async () => {
  const { stdout, stderr } = await harness().run("task", "show", dead.task_id);
  expect(stdout).toContain("on worker-1, lease 4, 2026-11-23 08:00:01 UTC");
  expect(stderr).toContain(`trace task replay ${dead.task_id}`);
});

test("a list says what a queued task waits for", async () => {
  const page = stack.answers.listTasks;
  stack.answers.listTasks = async () => ({ tasks: [queuedTask()], next: null });
  expect((await harness().run("task", "list")).stdout).toContain("waits for a worker");
  if (page !== undefined) stack.answers.listTasks = page;
});

test("an error of the API keeps its words", async () => {
  stack.answers.getTask = async () => {
    throw new TraceError("TR-1006", { detail: "there is no such task", fix: "look into the list" });
  };
  const { code, stderr } = await harness().run("task", "show", dead.task_id);
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-1006: there is no such task\n  fix:   look into the list");
});
