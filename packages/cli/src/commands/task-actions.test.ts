import { type Task, type TaskActionAnswer, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answersShownMax } from "../limits.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { deadTask, queuedTask, sampleDag, sampleNowMs, sampleTask } from "../testing/samples.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const asking = (...typed: string[]) => ({ columns: 100, env: { NO_COLOR: "1" }, typed });
const idOf = (n: number) => `0198c0de-0000-7000-8000-${String(n).padStart(12, "0")}`;

/** The tasks there are; each list is a page of 200 of them. */
let tasks: Task[];
let called: { action: string; ids: string[] }[];
/** Why a task is refused. */
let refuse: (id: string) => TaskActionAnswer["error"];

const gone = (id: string) =>
  ({ code: "TR-3014", detail: `task ${id} is completed`, fix: "its result stands" }) as const;

function answering(action: string, state: Task["state"]) {
  return async ({ body }: { body: { task_ids: string[] } }) => {
    called.push({ action, ids: body.task_ids });
    return {
      items: body.task_ids.map((task_id): TaskActionAnswer => {
        const error = refuse(task_id);
        return error === undefined
          ? { task_id, accepted: true, state }
          : { task_id, accepted: false, state: "completed", error };
      }),
    };
  };
}

beforeAll(async () => {
  await stack.start();
  stack.answers.listDags = async () => ({ dags: [sampleDag()] });
  stack.answers.listTasks = async ({ query }) => {
    const fits = tasks.filter(
      (task) =>
        (query.state === undefined || task.state === query.state) &&
        (query.dag === undefined || task.dag === query.dag) &&
        (query.job === undefined || task.job === query.job),
    );
    const from = Number(query.cursor ?? 0);
    const next = from + query.limit;
    return { tasks: fits.slice(from, next), next: next < fits.length ? String(next) : null };
  };
  stack.answers.getTask = async ({ params }) => {
    const task = tasks.find((one) => one.task_id === params.task_id);
    if (task === undefined) throw new TraceError("TR-1006", { detail: "there is no such task" });
    return { ...task, attempts: [] };
  };
  stack.answers.cancelTasks = answering("cancel", "canceled");
  stack.answers.retryTasks = answering("retry", "queued");
  stack.answers.replayTasks = answering("replay", "queued");
});
beforeEach(() => {
  called = [];
  refuse = () => undefined;
  tasks = [
    sampleTask({ task_id: idOf(1) }),
    queuedTask({ task_id: idOf(2) }),
    queuedTask({ task_id: idOf(3), job: "by_region" }),
    deadTask({ task_id: idOf(4) }),
    deadTask({ task_id: idOf(5), dag: "other" }),
    sampleTask({ task_id: idOf(6), state: "canceled" }),
    sampleTask({ task_id: idOf(7), state: "completed" }),
  ];
});
afterAll(() => stack.stop());

test.each([
  ["cancel", "canceled", "Canceled 1 task."],
  ["retry", "queued", "Retried 1 task."],
  ["replay", "queued", "Replayed 1 task."],
])("%s of a task by its id asks nothing and tells what became of it", async (action, state, words) => {
  const { code, stdout, stderr } = await harness().run("task", action, idOf(4));
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${idOf(4)}  ${state}\n` });
  expect(stderr).toContain(words);
  expect(called).toEqual([{ action, ids: [idOf(4)] }]);
  expect(stderr.includes("trace task watch")).toBe(action !== "cancel");
});

test("ids may be shortened, and one named twice is meant once", async () => {
  await harness().run("task", "cancel", "00000001", idOf(2), idOf(1));
  expect(called).toEqual([{ action: "cancel", ids: [idOf(1), idOf(2)] }]);
});

test("what filters find is counted by job and asked for before it is done", async () => {
  const { code, stdout, stderr } = await harness(asking("y")).run("task", "cancel", "--dag", "quakes");
  expect(code).toBe(0);
  expect(stderr).toContain("  1 queued  quakes.ingest_quakes\n");
  expect(stderr).toContain("Cancel 3 tasks? [y/N] ");
  expect(stderr).toContain("Canceled 3 tasks.");
  expect(called).toEqual([{ action: "cancel", ids: [idOf(2), idOf(3), idOf(1)] }]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(3);
});

test.each(["n", "", "yess", undefined])("an answer of '%s' changes nothing, exit code 1", async (typed) => {
  const options = typed === undefined ? asking() : asking(typed);
  const { code, stdout, stderr } = await harness(options).run("task", "cancel", "--dag", "quakes");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("Nothing was changed.");
  expect(called).toEqual([]);
});

test("Ctrl-C at the question changes nothing, exit code 130", async () => {
  const asked: Harness = harness({ ...asking("y"), onQuestion: () => void asked.interrupt() });
  expect((await asked.run("task", "cancel", "--dag", "quakes")).code).toBe(130);
  expect(called).toEqual([]);
  expect(asked.interrupt()).toBe(false);
});

test("where nobody can be asked, --yes is needed and said to be", async () => {
  for (const run of [
    harness().run("task", "replay", "--state", "dead"),
    harness(asking("y")).run("task", "replay", "--state", "dead", "--json"),
  ]) {
    const { code, stdout, stderr } = await run;
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("'Replay 2 tasks?' was not answered");
    expect(stderr).toContain("then say --yes");
  }
  expect(called).toEqual([]);
  const { code, stdout } = await harness().run("task", "replay", "--state", "dead", "--yes", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    items: [4, 5].map((n) => ({ task_id: idOf(n), accepted: true, state: "queued" })),
  });
});

test("filters find tasks that the action is for, and replay leaves those alone that somebody canceled", async () => {
  const found = async (...argv: string[]) => {
    called = [];
    expect((await harness().run("task", ...argv, "--yes")).code).toBe(0);
    return called[0]?.ids;
  };
  expect(await found("cancel", "--job", "ingest_quakes")).toEqual([idOf(2), idOf(1)]);
  expect(await found("retry", "--dag", "quakes")).toEqual([idOf(2), idOf(3)]);
  expect(await found("replay", "--dag", "quakes")).toEqual([idOf(4)]);
  expect(await found("replay", "--dag", "quakes", "--state", "canceled")).toEqual([idOf(6)]);
});

test("all pages are read, and no more than the limit is done", async () => {
  tasks = Array.from({ length: 450 }, (_, n) => deadTask({ task_id: idOf(n) }));
  const all = await harness().run("task", "replay", "--dag", "quakes", "--yes");
  expect(called[0]?.ids).toHaveLength(450);
  expect(all.stdout).toBe("");
  expect(all.stderr).toContain("Replayed 450 tasks.");
  const some = await harness().run("task", "replay", "--dag", "quakes", "--yes", "--limit", "7");
  expect(called[1]?.ids).toEqual(tasks.slice(0, 7).map((task) => task.task_id));
  expect(some.stderr).toContain("There were more than that");
});

test("--dry-run shows which tasks it would be and changes nothing", async () => {
  const { code, stdout, stderr } = await harness().run("task", "replay", "--dag", "quakes", "--dry-run");
  expect(code).toBe(0);
  expect(stdout).toContain(`${idOf(4)}  quakes.ingest_quakes  dead`);
  expect(stderr).toContain("Would replay 1 task. Nothing was changed.");
  const named = await harness().run("task", "replay", idOf(4), idOf(7), "--dry-run");
  expect(named.stderr).toContain("Would replay 1 task; 1 task would be refused for its state. Nothing was changed.");
  const asJson = await harness().run("task", "replay", "--dag", "quakes", "--dry-run", "--json");
  expect(JSON.parse(asJson.stdout)).toEqual({ dry_run: true, tasks: [tasks[3]] });
  expect(asJson.stderr).toBe("");
  expect(called).toEqual([]);
});

test("a refusal is told with its reason and fix, exit code 1, and the others stand", async () => {
  refuse = (id) => (id === idOf(7) ? gone(id) : undefined);
  const { code, stdout, stderr } = await harness().run("task", "cancel", idOf(1), idOf(7));
  expect(code).toBe(1);
  expect(stdout).toBe(`${idOf(1)}  canceled\n${idOf(7)}  completed  TR-3014\n`);
  expect(stderr).toContain("Canceled 1 of 2 tasks.");
  expect(stderr).toContain(`error TR-3014: task ${idOf(7)} is completed\n  fix:   its result stands`);
  const asJson = await harness().run("task", "cancel", idOf(7), "--json");
  expect(asJson).toMatchObject({ code: 1, stderr: "" });
  expect(JSON.parse(asJson.stdout)).toMatchObject({ items: [{ accepted: false, error: { code: "TR-3014" } }] });
});

test("many refusals of one kind are told once and counted; the rest is not listed", async () => {
  tasks = Array.from({ length: answersShownMax + 10 }, (_, n) => deadTask({ task_id: idOf(n) }));
  refuse = (id) => (id < idOf(3) ? gone(id) : undefined);
  const { code, stdout, stderr } = await harness().run("task", "replay", "--state", "dead", "--yes");
  expect(code).toBe(1);
  expect(stdout.trimEnd().split("\n")).toHaveLength(3);
  expect(stderr).toContain(`Replayed ${answersShownMax + 7} of ${answersShownMax + 10} tasks.`);
  expect(stderr.match(/error TR-3014/g)).toHaveLength(1);
  expect(stderr).toContain("and 2 tasks more for the same reason");
});

test("refusals that may pass end with exit code 4", async () => {
  refuse = () => ({ code: "TR-1008", detail: "it moved each time" });
  const { code, stderr } = await harness().run("task", "cancel", idOf(1));
  expect(code).toBe(4);
  expect(stderr).toContain("No task was canceled.");
});

test("nothing that fits is no failure; a DAG that does not exist is, with the name that was meant", async () => {
  tasks = [];
  const none = await harness().run("task", "replay", "--dag", "quakes");
  expect(none).toMatchObject({ code: 0, stdout: "" });
  expect(none.stderr).toBe("No task fits; there is nothing to replay.\n");
  expect(JSON.parse((await harness().run("task", "replay", "--dag", "quakes", "--json")).stdout)).toEqual({
    items: [],
  });
  const wrong = await harness().run("task", "replay", "--dag", "quaks", "--yes");
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain("error TR-1006: there is no DAG 'quaks'\n  fix:   did you mean 'quakes'?");
});

test.each([
  [["cancel"], "does not say which tasks"],
  [["cancel", "--limit", "5"], "does not say which tasks"],
  [["replay", "0198c0de-0000-7000-8000-000000000001", "--dag", "quakes"], "exclude each other"],
  [["replay", "--state", "running"], "It must be one of dead, canceled"],
  [["cancel", "--state", "dead"], "It must be one of queued, running"],
  [["retry", "--dag", "Quakes"], "lower-case letters"],
  [["replay", "--stat", "dead"], "did you mean --state?"],
  [["cancle", "x"], "did you mean cancel?"],
])("%j is wrong use and changes nothing", async (argv, words) => {
  const { code, stderr } = await harness().run("task", ...argv);
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(words);
  expect(called).toEqual([]);
});
