import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { sampleDag, sampleNowMs } from "../testing/samples.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const idOf = (n: number) => `0198c0de-0000-7000-8000-${String(n).padStart(12, "0")}`;
const job = "quakes.ingest_quakes";

let asked: unknown[];

beforeAll(async () => {
  await stack.start();
  stack.answers.listDags = async () => ({ dags: [sampleDag()] });
});
beforeEach(() => {
  asked = [];
  stack.answers.createTasks = async ({ body }) => {
    asked.push(...body.items);
    return { items: body.items.map((_, index) => ({ task_id: idOf(index), created: true })) };
  };
});
afterAll(() => stack.stop());

test("a task is created, its id is the answer, and how to watch it is said", async () => {
  const { code, stdout, stderr } = await harness().run("task", "create", job);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${idOf(0)}\n` });
  expect(stderr).toContain(`created 1 task of ${job}\n`);
  expect(stderr).toContain(`trace task watch ${idOf(0)}`);
  expect(asked).toEqual([{ dag: "quakes", job: "ingest_quakes", priority: 0, payload: {} }]);
});

test("every flag reaches the task", async () => {
  writeFileSync(join(stack.cwd, "payload.json"), '{"day":"2026-11-23"}');
  const parts = [
    "--payload",
    "@payload.json",
    "--priority",
    "-5",
    "--dedupe-key",
    "k",
    "--run-at",
    "2026-11-24T09:00:00+02:00",
  ];
  expect((await harness().run("task", "create", job, ...parts)).code).toBe(0);
  expect(asked).toEqual([
    {
      dag: "quakes",
      job: "ingest_quakes",
      payload: { day: "2026-11-23" },
      priority: -5,
      dedupe_key: "k",
      run_at: "2026-11-24T07:00:00.000Z",
    },
  ]);
});

test("--partition makes a task for each key", async () => {
  const parts = ["--partition", "2001-01", "2001-02"];
  const { code, stdout } = await harness().run("task", "create", job, ...parts);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${idOf(0)}\n${idOf(1)}\n` });
  expect(asked).toMatchObject([{ partition: "2001-01" }, { partition: "2001-02" }]);
  expect((await harness().run("task", "create", job, "--partition", "")).code).toBe(2);
});

test("a time from now is counted from now", async () => {
  await harness().run("task", "create", job, "--run-at", "10m");
  expect(asked).toMatchObject([{ run_at: new Date(sampleNowMs + 600_000).toISOString() }]);
});

test("many are created in one call, their ids one per line, for a pipe", async () => {
  const { code, stdout, stderr } = await harness().run("task", "create", job, "--count", "3", "--payload", '{"a":1}');
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${idOf(0)}\n${idOf(1)}\n${idOf(2)}\n` });
  expect(asked).toHaveLength(3);
  expect(asked[2]).toMatchObject({ payload: { a: 1 } });
  expect(stderr).toContain("created 3 tasks");
  expect(stderr).toContain("trace task list --dag quakes --job ingest_quakes");
});

test("a key that is known answers with the task that has it, exit code 0", async () => {
  stack.answers.createTasks = async () => ({ items: [{ task_id: idOf(7), created: false }] });
  const { code, stdout, stderr } = await harness().run("task", "create", job, "--dedupe-key", "k");
  expect({ code, stdout }).toEqual({ code: 0, stdout: `${idOf(7)}\n` });
  expect(stderr).toContain("1 task with this key was there already");
  expect(stderr).not.toContain("created");
});

test("--json is the answer of the API", async () => {
  const { stdout, stderr } = await harness().run("task", "create", job, "--json");
  expect(JSON.parse(stdout)).toEqual({ items: [{ task_id: idOf(0), created: true }] });
  expect(stderr).toBe("");
});

test("a job that does not exist is refused with the one that was meant, exit code 1", async () => {
  const error = { code: "TR-3010", detail: "there is no job", fix: "deploy it first" } as const;
  stack.answers.createTasks = async () => ({ items: [{ created: false, error }] });
  const { code, stdout, stderr } = await harness().run("task", "create", "quakes.ingest_qakes");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(
    "error TR-3010: there is no job\n  fix:   did you mean 'quakes.ingest_quakes'? deploy it first",
  );
  expect((await harness().run("task", "create", "nothing.alike")).stderr).not.toContain("did you mean");
});

test("a task whose output another one writes is refused, and the script gets the error", async () => {
  const error = { code: "TR-3011", detail: "task x is live", fix: "wait for it" } as const;
  stack.answers.createTasks = async () => ({ items: [{ task_id: idOf(9), created: false, error }] });
  const { code, stdout, stderr } = await harness().run("task", "create", job, "--json");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "TR-3011" } });
});

test("of many, those that were created are the answer and the first refusal is told", async () => {
  const error = { code: "TR-3011", detail: "task x is live", fix: "wait for it" } as const;
  stack.answers.createTasks = async () => ({
    items: [
      { task_id: idOf(0), created: true },
      { task_id: idOf(0), created: false, error },
      { created: false, error },
    ],
  });
  const { code, stdout, stderr } = await harness().run("task", "create", job, "--count", "3");
  expect({ code, stdout }).toEqual({ code: 1, stdout: `${idOf(0)}\n` });
  expect(stderr).toContain("created 1 task of");
  expect(stderr).toContain("2 tasks refused; the first of them:\nerror TR-3011: task x is live");
});

test("a dispatcher with no room waits it out, and gives up with exit code 4", async () => {
  let asks = 0;
  stack.answers.createTasks = async () => {
    asks += 1;
    throw new TraceError("TR-1015", { detail: "as many calls as it takes are waiting" });
  };
  let pauses = 0;
  const onPause = (number: number) => {
    pauses = number;
  };
  const { code, stderr } = await harness({ onPause }).run("task", "create", job);
  expect({ code, asks, pauses }).toEqual({ code: 4, asks: 5, pauses: 4 });
  expect(stderr).toContain("error TR-1015");
});

test.each([
  [["quakes"], "the name of a DAG, a dot and the name of a job"],
  [["quakes.a.b"], "the name of a DAG, a dot and the name of a job"],
  [["Quakes.a"], "the name of a DAG, a dot and the name of a job"],
  [[job, "--payload", "{"], "the payload is no JSON object"],
  [[job, "--payload", "[1]"], "it is not an object in braces"],
  [[job, "--payload", "null"], "it is not an object in braces"],
  [[job, "--payload", "@nothing.json"], "there is no such file"],
  [[job, "--priority", "101"], "a whole number from -100 to 100"],
  [[job, "--priority", "high"], "a whole number from -100 to 100"],
  [[job, "--run-at", "tomorrow"], "a moment with its offset"],
  [[job, "--run-at", "2026-11-24T07:00:00"], "a moment with its offset"],
  [[job, "--run-at", "2026-13-99T07:00:00Z"], "a moment with its offset"],
  [[job, "--count", "0"], "a whole number from 1 to 10000"],
  [[job, "--count", "10001"], "a whole number from 1 to 10000"],
  [[job, "--count", "2", "--dedupe-key", "k"], "exclude each other"],
  [[job, "--pyload", "{}"], "did you mean --payload?"],
])("%j is wrong use and creates nothing", async (argv, words) => {
  const { code, stdout, stderr } = await harness().run("task", "create", ...argv);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(words);
  expect(asked).toEqual([]);
});
