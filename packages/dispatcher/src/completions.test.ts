/** The fence: an attempt has one end, and whoever is stale changes nothing. */
import { randomBytes } from "node:crypto";
import type { ClaimedTask, Completion, CompletionAnswer } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const success: Completion["result"] = { kind: "success", outputs: [] };
const failure: Completion["result"] = { kind: "failure", error: { code: "TR-5306", detail: "no route" } };

/** Everything that a call could have changed, to be compared before and after. */
async function everything(): Promise<unknown> {
  const tables = [
    "ready",
    "waiting",
    "job_slots",
    "leases",
    "attempts",
    "outcomes",
    "outbox",
    "commits",
    "commit_files",
    "live_outputs",
    "invalidations",
  ];
  return Promise.all(tables.map((table) => world.db.raw(`select t::text from ${table} t order by 1`)));
}

async function oneClaimed(): Promise<ClaimedTask> {
  await world.create("plain", "noop");
  return world.claimOne();
}

const refused = (code: string) => ({ accepted: false, error: { code } });

describe("a stale token changes nothing", () => {
  const stale: [string, (task: ClaimedTask) => Promise<unknown>][] = [
    ["of a session that expired and is not reaped yet", () => world.expireSessions()],
    ["of a session that expired and was reaped", () => world.expireSessions().then(() => world.reap())],
    ["of a session that was closed", () => world.db.raw("update sessions set closed_at = clock_timestamp()")],
    ["past the task's deadline while its session lives", () => world.passDeadlines()],
    ["past the deadline and reaped", () => world.passDeadlines().then(() => world.reap())],
    ["after a release", (task) => world.completions.release([task.lease_token])],
    [
      "after another attempt began",
      async () => {
        await world.expireSessions();
        await world.reap();
        await world.claimOne();
      },
    ],
    [
      "after another attempt completed",
      async () => {
        await world.expireSessions();
        await world.reap();
        await world.succeed(await world.claimOne());
      },
    ],
  ];
  test.each(stale)("%s", async (_, end) => {
    const task = await oneClaimed();
    await end(task);
    const before = await everything();
    for (const result of [success, failure, { kind: "snooze", delay_ms: 1 } as const]) {
      expect(await world.complete(task, result)).toMatchObject(refused("TR-3001"));
    }
    expect(await world.completions.release([task.lease_token])).toMatchObject([refused("TR-3001")]);
    expect(await everything()).toEqual(before);
  });

  test.each(stale)("%s, of a job with an output, publishes nothing", async (_, end) => {
    await world.create("diamond", "a");
    const task = await world.claimOne();
    const outputs = [world.stage(task)];
    await end(task);
    const before = await everything();
    expect(await world.complete(task, { kind: "success", outputs })).toMatchObject(refused("TR-3001"));
    expect(await everything()).toEqual(before);
  });

  test("that was guessed: right numbers and wrong secret, no numbers at all, the largest numbers there are", async () => {
    const task = await oneClaimed();
    const before = await everything();
    const real = Buffer.from(task.lease_token, "base64url");
    const guesses = [
      Buffer.concat([real.subarray(0, 24), randomBytes(16)]),
      Buffer.concat([Buffer.alloc(8), real.subarray(8)]),
      Buffer.concat([real.subarray(0, 8), Buffer.alloc(8), real.subarray(16)]),
      Buffer.concat([real.subarray(0, 16), Buffer.alloc(8), real.subarray(24)]),
      Buffer.alloc(40),
      Buffer.concat([Buffer.from("7fffffffffffffff".repeat(3), "hex"), randomBytes(16)]),
      Buffer.alloc(40, 0xff),
    ].map((bytes) => ({ lease_token: bytes.toString("base64url"), result: success }));
    const answers = await world.completions.complete(guesses);
    expect(answers.map((answer) => answer.error?.code)).toEqual(guesses.map(() => "TR-3001"));
    expect(await everything()).toEqual(before);
    expect(await world.complete(task, success)).toMatchObject({ accepted: true });
    const after = await world.completions.complete(guesses);
    expect(after.map((answer) => answer.error?.code)).toEqual(guesses.map(() => "TR-3001"));
  });
});

test("tokens of another length are refused, and move nothing of the right one beside them", async () => {
  await world.create("plain", "noop");
  const task = await world.claimOne();
  const right = { lease_token: task.lease_token, result: success };
  const real = Buffer.from(task.lease_token, "base64url");
  const odd = [0, 1, 24, 39, 41, 80].map((length) => ({
    ...right,
    lease_token: Buffer.concat([real, real]).subarray(0, length).toString("base64url"),
  }));
  const alone = await world.completions.complete(odd);
  expect(alone.map((answer) => answer.error?.code)).toEqual(odd.map(() => "TR-3001"));
  const twice = { ...right, lease_token: Buffer.concat([real, real]).toString("base64url") };
  expect((await world.completions.complete([twice]))[0]?.error?.code).toBe("TR-3001");
  expect(await world.count("leases")).toBe(1);
  const answers = await world.completions.complete([...odd, right, ...odd]);
  expect(answers.map((answer) => answer.accepted)).toEqual([...odd.map(() => false), true, ...odd.map(() => false)]);
});

test("a guessed secret in one call with the right one is refused, and the right one is accepted", async () => {
  const task = await oneClaimed();
  const right = { lease_token: task.lease_token, result: success };
  const real = Buffer.from(task.lease_token, "base64url");
  const guess = { ...right, lease_token: Buffer.concat([real.subarray(0, 24), randomBytes(16)]).toString("base64url") };
  const answers = await world.completions.complete([guess, right, guess]);
  expect(answers).toMatchObject([refused("TR-3001"), { accepted: true }, refused("TR-3001")]);
});

test("a success that publishes nothing is kept by its outcome alone, and people see its attempt as any other", async () => {
  const task = await oneClaimed();
  await world.complete(task, success);
  expect(await world.count("attempts")).toBe(0);
  expect(await world.task(task.task_id)).toMatchObject({
    state: "completed",
    attempt: 1,
    error: null,
    started_at: expect.any(String),
    ended_at: expect.any(String),
    attempts: [{ attempt: 1, state: "succeeded", worker: "w", error: null, ended_at: expect.any(String) }],
  });
});

test("one after a failure comes last, and the error of the failure is not the task's", async () => {
  await world.fail(await oneClaimed());
  await world.makeDue();
  const task = await world.claimOne();
  await world.complete(task, success);
  const shown = await world.task(task.task_id);
  expect(shown).toMatchObject({ state: "completed", attempt: 2, error: null });
  expect(shown.attempts.map(({ attempt, state }) => [attempt, state])).toEqual([
    [1, "failed"],
    [2, "succeeded"],
  ]);
  expect(shown.started_at).toBe(shown.attempts[1]?.started_at);
});

describe("the same token again", () => {
  test.each([
    ["success", success],
    ["failure", failure],
    ["snooze", { kind: "snooze", delay_ms: 5 } as const],
  ])("with the same body gets the same answer: %s", async (_, result) => {
    const task = await oneClaimed();
    const first = await world.complete(task, result);
    expect(first.accepted).toBe(true);
    const before = await everything();
    expect(await world.complete(task, result)).toEqual(first);
    expect(await everything()).toEqual(before);
  });

  test("with the same body gets the same answer after the task went on to later attempts", async () => {
    const task = await oneClaimed();
    const first = await world.complete(task, failure);
    await world.makeDue();
    await world.succeed(await world.claimOne());
    expect(await world.complete(task, failure)).toEqual(first);
  });

  test("with another body is told what the first one got", async () => {
    const task = await oneClaimed();
    await world.complete(task, failure);
    expect(await world.complete(task, success)).toMatchObject({
      ...refused("TR-3003"),
      attempt_state: "failed",
      task_state: "queued",
    });
  });

  test("with staged outputs answers with the commit it made, without a look at the store", async () => {
    await world.create("diamond", "a");
    const task = await world.claimOne();
    const result = { kind: "success" as const, outputs: [world.stage(task)] };
    const first = await world.complete(task, result);
    expect(first.commits).toEqual([{ dataset: "ds_a", generation: 1, commit: 1, outcome: "committed" }]);
    world.store.away = true;
    expect(await world.complete(task, result)).toEqual(first);
    expect(await world.count("commits")).toBe(1);
  });

  test("many times in one batch ends the attempt once and answers each", async () => {
    const task = await oneClaimed();
    const item = { lease_token: task.lease_token, result: success };
    const answers = await world.completions.complete([item, item, { ...item, result: failure }, item]);
    expect(answers.map((answer) => answer.error?.code ?? answer.accepted)).toEqual([true, true, "TR-3003", true]);
    expect(await world.ended()).toBe(1);
    expect(await world.completions.release([task.lease_token, task.lease_token])).toMatchObject([
      refused("TR-3001"),
      refused("TR-3001"),
    ]);
  });

  test("in 100 calls at once makes one accepted row, and every call has the same answer", async () => {
    const task = await oneClaimed();
    const answers = await Promise.all(Array.from({ length: 100 }, () => world.complete(task, success)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ accepted: true, attempt_state: "succeeded", task_state: "completed", commits: [] })]),
    );
    expect(await world.ended()).toBe(1);
    expect(await world.count("outcomes")).toBe(1);
  });

  test("in 40 calls at once with different bodies is accepted once", async () => {
    const task = await oneClaimed();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, delay_ms) => world.complete(task, { kind: "snooze", delay_ms })),
    );
    expect(answers.filter((answer) => answer.accepted)).toHaveLength(1);
    expect(answers.filter((answer) => answer.error?.code === "TR-3003")).toHaveLength(39);
    expect(await world.count("ready")).toBe(1);
  });
});

describe("a batch of completions", () => {
  test("refuses the stale and accepts the others", async () => {
    await world.create("plain", "noop", 3);
    const tasks = await world.claim(await world.session(), 3);
    await world.completions.release([tasks[1]?.lease_token ?? ""]);
    const answers = await world.completions.complete(
      tasks.map((task) => ({ lease_token: task.lease_token, result: success })),
    );
    expect(answers.map((answer) => answer.accepted)).toEqual([true, false, true]);
    expect(await world.count("outcomes", "state = 'completed'")).toBe(2);
  });

  test("of 2,000 tasks ends them in one call", async () => {
    await world.create("plain", "noop", 2_000);
    const tasks = await world.claim(await world.session(), 2_000);
    const answers = await world.completions.complete(
      tasks.map((task) => ({ lease_token: task.lease_token, result: success })),
    );
    expect(answers.every((answer) => answer.accepted)).toBe(true);
    expect(await world.count("outcomes")).toBe(2_000);
    expect(await world.count("leases")).toBe(0);
  });

  test("keeps an error whose words hold what Postgres cannot keep, with the rest of its words", async () => {
    const task = await oneClaimed();
    const error = { code: "TR-5205" as const, detail: "bad value 'a\0b\ud800c'" };
    expect(await world.complete(task, { kind: "failure", error })).toMatchObject({ accepted: true });
    expect((await world.task(task.task_id)).error?.detail).toBe("bad value 'a\ufffdb\ufffdc'");
  });

  test("by a job without outputs that names one is refused and keeps the lease", async () => {
    const task = await oneClaimed();
    const outputs = [{ dataset: "ds_a", manifest_key: "x", manifest_sha256: "0".repeat(64) }];
    expect(await world.complete(task, { kind: "success", outputs })).toMatchObject(refused("TR-4005"));
    expect(await world.complete(task, success)).toMatchObject({ accepted: true });
  });
});

describe("a release", () => {
  test("hands the task back at once with the attempt number it had, and counts nothing", async () => {
    const task = await oneClaimed();
    expect(await world.completions.release([task.lease_token])).toEqual([{ accepted: true }]);
    const again = await world.claimOne();
    expect(again).toMatchObject({ task_id: task.task_id, attempt: 1 });
    expect(again.lease_no).toBeGreaterThan(task.lease_no);
    expect(await world.task(task.task_id)).toMatchObject({ failures: 0, lease_losses: 0 });
  });
});

test("a completion racing the reaper over an expiring lease: exactly one end, whoever wins", async () => {
  const ends = { completed: 0, requeued: 0 };
  for (let round = 0; round < 40; round += 1) {
    await world.clear();
    const task = await oneClaimed();
    // The deadline falls somewhere into the race.
    const untilMs = (round % 8) * 2;
    await world.db.raw(`update leases set deadline = clock_timestamp() + interval '${untilMs} milliseconds'`);
    const reapers = [world.reaper(), world.reaper()];
    const [answer] = await Promise.all([
      round % 2 === 0 ? world.complete(task, success) : world.reap().then(() => world.complete(task, success)),
      ...reapers.map((reaper) => reaper.pass()),
    ]);
    const completed = (answer as CompletionAnswer).accepted;
    await world.reap();
    const leases = await world.count("leases");
    if (!completed && leases === 1) await world.passDeadlines().then(() => world.reap());
    expect(await world.ended()).toBe(1);
    expect(await world.count("outcomes")).toBe(completed ? 1 : 0);
    expect(await world.count("ready")).toBe(completed ? 0 : 1);
    expect(await world.count("leases")).toBe(0);
    ends[completed ? "completed" : "requeued"] += 1;
  }
  // Both outcomes must have been met, or the race was none.
  expect(ends.completed).toBeGreaterThan(0);
  expect(ends.requeued).toBeGreaterThan(0);
});
