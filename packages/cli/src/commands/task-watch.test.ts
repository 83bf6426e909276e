import { once } from "node:events";
import { type LogLine, type Task, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { completedTask, deadTask, queuedTask, sampleNowMs, sampleTask } from "../testing/samples.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const id = sampleTask().task_id;
const terminal = { columns: 100, rows: 24, env: { TERM: "xterm", NO_COLOR: "1" } };

const told = (task: Task) => ({ event: "task" as const, data: { ...task, attempts: [] } });
const end = { event: "end", data: { state: "completed" } } as const;
const line: LogLine = { time: "2026-11-23T08:00:01.250Z", level: "warn", message: "a\u001b[2Jb" };
const log = { event: "log" as const, data: { attempt: 1, lease_no: 4, dropped: 3, lines: [line] } };

/** The stream gives these and ends. */
function tell(...tasks: readonly Task[]): void {
  stack.answers.watchTask = async function* () {
    for (const task of tasks) yield told(task);
    yield log;
    yield end;
  };
}

beforeAll(() => stack.start());
afterAll(() => stack.stop());

test("a task that completes shows its changes and what it committed, exit code 0", async () => {
  tell(queuedTask(), sampleTask(), completedTask());
  const { code, stdout, stderr } = await harness().run("task", "watch", id);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: "completed quakes.ingest_quakes in 2.0 s, quakes commit 3\n",
  });
  expect(stderr.split("\n").slice(0, 3)).toEqual([
    "ingest_quakes queued, waits for a worker",
    "ingest_quakes running, 2.0 s, reading, 1,200 of 1,707 rows (70 %), time left unknown",
    "ingest_quakes completed, 2.0 s, quakes commit 3",
  ]);
  expect(stderr).toContain("trace query 'SELECT * FROM quakes LIMIT 10'");
  expect(stderr).not.toContain("warn");
});

test("a task that dies shows its error with the fix and how to run it again, exit code 3", async () => {
  tell(sampleTask(), deadTask());
  const { code, stdout, stderr } = await harness().run("task", "watch", id);
  expect(code).toBe(3);
  expect(stdout).toBe("dead quakes.ingest_quakes in 2.0 s, attempt 3\n");
  expect(stderr).toContain("error TR-5001: the file /data/quakes.json cannot be read");
  expect(stderr).toContain("fix:   check the path in the DAG file");
  expect(stderr).toContain(`trace task replay ${id}`);
});

test("a task that was canceled ends with exit code 3 and no error", async () => {
  tell(sampleTask({ state: "canceled", progress: null, ended_at: "2026-11-23T08:00:10.000Z" }));
  const { code, stdout, stderr } = await harness().run("task", "watch", id);
  expect(code).toBe(3);
  expect(stdout).toBe("canceled quakes.ingest_quakes in 2.0 s\n");
  expect(stderr).not.toContain("error");
  expect(stderr).toContain("trace task replay");
});

test("--json gives the ended task and nothing else", async () => {
  tell(sampleTask(), deadTask());
  const { code, stdout, stderr } = await harness().run("task", "watch", id, "--json", "--logs");
  expect({ code, stderr }).toEqual({ code: 3, stderr: "" });
  expect(JSON.parse(stdout)).toEqual({ ...deadTask(), attempts: [] });
});

test("--logs shows what the task writes, safely, and what was lost of it", async () => {
  tell(sampleTask(), completedTask());
  const { stderr } = await harness().run("task", "watch", id, "--logs");
  expect(stderr).toContain("3 older lines dropped");
  expect(stderr).toContain("08:00:01.250 warn  a\ufffd[2Jb\n");
});

test("on a terminal the block moves by itself, log lines stay above it, and the end takes it away", async () => {
  let draw: () => void = () => undefined;
  const drawn = new Promise<void>((resolve) => {
    draw = resolve;
  });
  stack.answers.watchTask = async function* () {
    yield told(sampleTask());
    yield log;
    // Only redraws come between this event and the next.
    await drawn;
    yield told(completedTask());
    yield end;
  };
  const frames = (text: string) => new Set(text.match(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/g)).size;
  const watching: Harness = harness({
    ...terminal,
    onPause: () => {
      if (frames(watching.said) > 3) draw();
    },
  });
  const { code, stdout, stderr } = await watching.run("task", "watch", id, "--logs");
  expect(code).toBe(0);
  expect(stdout).toBe("completed quakes.ingest_quakes in 2.0 s, quakes commit 3\n");
  expect(stderr).toContain("████████████████░░░░░░░░  reading, 1,200 of 1,707 rows (70 %)");
  expect(frames(stderr)).toBeGreaterThan(3);
  expect(stderr.match(/08:00:01\.250 warn/g)).toHaveLength(1);
  expect(stderr.lastIndexOf("\u001b[?25h")).toBeGreaterThan(stderr.lastIndexOf("\u001b[?25l"));
  // The last thing done to the block is to clear it.
  expect(stderr.slice(stderr.lastIndexOf("\u001b[0J"))).not.toContain("completed");
});

test("Ctrl-C ends the watching only, says that the task goes on, exit code 130", async () => {
  let interrupt: () => void = () => undefined;
  stack.answers.watchTask = async function* (_, __, { signal }) {
    yield told(sampleTask());
    interrupt();
    if (!signal.aborted) await once(signal, "abort");
  };
  for (const options of [{}, terminal]) {
    const watching = harness(options);
    interrupt = () => void watching.interrupt();
    const { code, stdout, stderr } = await watching.run("task", "watch", id);
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toContain(`The task goes on without you: ${id}`);
    expect(watching.interrupt()).toBe(false);
  }
});

test("--timeout ends the watching with a retryable error, exit code 4", async () => {
  stack.answers.watchTask = async function* (_, __, { signal }) {
    yield told(sampleTask());
    if (!signal.aborted) await once(signal, "abort");
  };
  const { code, stderr } = await harness({ passMs: 3_000 }).run("task", "watch", id, "--timeout", "3s");
  expect(code).toBe(4);
  expect(stderr).toContain(`error TR-7009: task ${id} did not end within 3.0 s`);
});

test("a stream that is lost is taken up again, and it is said once", async () => {
  let opened = 0;
  stack.answers.watchTask = async function* () {
    opened += 1;
    if (opened === 1) yield told(sampleTask());
    if (opened < 4) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    yield told(completedTask());
    yield end;
  };
  const { code, stderr } = await harness().run("task", "watch", id);
  expect(code).toBe(0);
  expect(stderr.match(/! no news \(TR-1009\); the task goes on, trying again/g)).toHaveLength(1);
});

test("a task that is not there is told with what lists them, exit code 1", async () => {
  // biome-ignore lint/correctness/useYield: it is refused before there is an event
  stack.answers.watchTask = async function* () {
    throw new TraceError("TR-1006", { detail: "there is no such task", fix: "'trace task list' shows them" });
  };
  const { code, stderr } = await harness().run("task", "watch", id);
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-1006: there is no such task\n  fix:   'trace task list' shows them");
});
