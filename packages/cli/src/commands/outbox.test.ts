import { type FailedOutbox, failedOutboxMax, type RequeueOutboxAnswer } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answersShownMax } from "../limits.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import { sampleNowMs } from "../testing/samples.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const asking = (...typed: string[]) => ({ columns: 100, env: { NO_COLOR: "1" }, typed });

const wakeup = (outbox_id: number): FailedOutbox => ({
  outbox_id,
  lane: "sqs",
  queue: "default",
  entries: 2,
  event_types: [],
  tries: 20,
  last_error: "InvalidMessageContents: no",
  last_tried_at: "2026-11-23T08:00:00.000Z",
});
const events = (outbox_id: number): FailedOutbox => ({
  ...wakeup(outbox_id),
  lane: "events",
  queue: null,
  entries: 1,
  event_types: ["task.dead"],
  last_error: "MalformedDetail: no",
});

/** What was given up, newest first. */
let messages: FailedOutbox[];
let requeued: number[][];
const gone = (id: number) => ({ code: "TR-1006", detail: `no failed message has the id ${id}` }) as const;

beforeAll(async () => {
  await stack.start();
  stack.answers.listFailedOutbox = async ({ query }) => ({
    messages: messages.slice(0, query.limit),
    more: messages.length > query.limit,
  });
  stack.answers.requeueOutbox = async ({ body }) => {
    requeued.push(body.outbox_ids);
    const known = new Set(messages.map((message) => message.outbox_id));
    const answer = (outbox_id: number): RequeueOutboxAnswer =>
      known.has(outbox_id) ? { outbox_id, accepted: true } : { outbox_id, accepted: false, error: gone(outbox_id) };
    return { items: body.outbox_ids.map(answer) };
  };
});
beforeEach(() => {
  messages = [events(12), wakeup(11)];
  requeued = [];
});
afterAll(() => stack.stop());

test("what was given up is listed with what it is and why, and the way to send it again", async () => {
  const { code, stdout, stderr } = await harness().run("outbox", "list");
  expect(code).toBe(0);
  const [head, first, second] = stdout.trimEnd().split("\n");
  expect(head).toMatch(/^id +lane +what +tries +last tried +refused for$/);
  expect(first).toMatch(/^12 {2}events {2}1 event: task\.dead +20 {2}10 s ago +MalformedDetail: no$/);
  expect(second).toMatch(
    /^11 {2}sqs +wake-up for 2 tasks of queue default +20 {2}10 s ago +InvalidMessageContents: no$/,
  );
  expect(stderr).toContain("2 messages\n");
  expect(stderr).toContain("trace outbox requeue --all");
});

test("no more than the limit is listed, and that there is more is said", async () => {
  const { stdout, stderr } = await harness().run("outbox", "list", "--limit", "1");
  expect(stdout).not.toContain("InvalidMessageContents");
  expect(stderr).toContain("1 message, and there are more");
  const asJson = await harness().run("outbox", "list", "--limit", "1", "--json");
  expect(asJson).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(asJson.stdout)).toEqual({ messages: [events(12)], more: true });
});

test("where nothing was given up, there is nothing to list and nothing to requeue, which is no failure", async () => {
  messages = [];
  const list = await harness().run("outbox", "list");
  expect(list).toEqual({ code: 0, stdout: "", stderr: "No message was given up.\n" });
  const all = await harness().run("outbox", "requeue", "--all");
  expect(all).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("nothing to requeue") });
  const asJson = await harness().run("outbox", "requeue", "--all", "--json");
  expect(JSON.parse(asJson.stdout)).toEqual({ items: [] });
  expect(requeued).toEqual([]);
});

test("messages named by id are requeued without a question, one named twice once", async () => {
  const { code, stdout, stderr } = await harness().run("outbox", "requeue", "11", "12", "11");
  expect({ code, stdout }).toEqual({ code: 0, stdout: "11  requeued\n12  requeued\n" });
  expect(stderr).toContain("Requeued 2 messages.");
  expect(requeued).toEqual([[11, 12]]);
});

test("--all counts by lane and asks first", async () => {
  const { code, stderr } = await harness(asking("y")).run("outbox", "requeue", "--all");
  expect(code).toBe(0);
  expect(stderr).toContain("  1 of lane events\n  1 of lane sqs\nRequeue 2 messages? [y/N] ");
  expect(requeued).toEqual([[12, 11]]);
});

test.each(["n", undefined])("an answer of '%s' changes nothing, exit code 1", async (typed) => {
  const options = typed === undefined ? asking() : asking(typed);
  const { code, stdout, stderr } = await harness(options).run("outbox", "requeue", "--all");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("Nothing was changed.");
  expect(requeued).toEqual([]);
});

test("where nobody can be asked, --yes is needed and said to be", async () => {
  for (const run of [
    harness().run("outbox", "requeue", "--all"),
    harness(asking("y")).run("outbox", "requeue", "--all", "--json"),
  ]) {
    const { code, stdout, stderr } = await run;
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain("look first with 'trace outbox list', then say --yes");
  }
  expect(requeued).toEqual([]);
  const { code, stdout } = await harness().run("outbox", "requeue", "--all", "--yes", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ items: [12, 11].map((outbox_id) => ({ outbox_id, accepted: true })) });
});

test("one call takes what it can, says that there is more, and does not list what was accepted of many", async () => {
  messages = Array.from({ length: failedOutboxMax + 1 }, (_, n) => wakeup(5_000 - n));
  const { code, stdout, stderr } = await harness().run("outbox", "requeue", "--all", "--yes");
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(requeued).toEqual([messages.slice(0, failedOutboxMax).map((message) => message.outbox_id)]);
  expect(failedOutboxMax).toBeGreaterThan(answersShownMax);
  expect(stderr).toContain("Requeued 1,000 messages.");
  expect(stderr).toContain("There were more than that");
});

test("a refusal is told with its reason, exit code 1, and the others stand", async () => {
  const { code, stdout, stderr } = await harness().run("outbox", "requeue", "11", "98", "99");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "11  requeued\n98  TR-1006\n99  TR-1006\n" });
  expect(stderr).toContain("Requeued 1 of 3 messages.");
  expect(stderr).toContain("error TR-1006: no failed message has the id 98");
  expect(stderr).toContain("and 1 message more for the same reason");
});

test.each([
  [[], "does not say which messages"],
  [["11", "--all"], "exclude each other"],
  [["0"], "It must be a whole number from 1"],
  [["1e3"], "It must be a whole number from 1"],
  [Array.from({ length: failedOutboxMax + 1 }, (_, n) => String(n + 1)), "1,001 ids are more than the 1,000"],
])("requeue %j is wrong use and changes nothing", async (argv, words) => {
  const { code, stderr } = await harness().run("outbox", "requeue", ...argv);
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(words);
  expect(requeued).toEqual([]);
});
