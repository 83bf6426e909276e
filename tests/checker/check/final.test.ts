/** Each rule of the final state, with rows that keep it and rows that break it. */
import { describe, expect, test } from "vitest";
import { attempt, completed, completion, failed, failure, Scene, ttlMs, uuidOf } from "../testing/scene.ts";

function begun(): Scene {
  return new Scene().open("w").create("t").claim("w", { task: "t", no: 1 });
}

const good = () =>
  begun()
    .complete(1)
    .row("t", [attempt(1, 1, "succeeded")]);

test("rows that agree with what was told break nothing", async () => {
  const verdict = await good().check();
  expect(verdict.violations).toEqual([]);
  expect([verdict.fact("tasks completed"), verdict.fact("attempts succeeded")]).toEqual([1, 1]);
});

test("a task that was created and is gone, or that nobody created", async () => {
  expect(await good().create("u").broken()).toEqual(["lost_task"]);
  expect(
    await good()
      .row("u", [], { places: ["ready"], state: null, due_ms: 0 })
      .broken(),
  ).toEqual(["unasked_task"]);
  const unanswered = good();
  unanswered.silence(unanswered.call("user", "POST /v1/tasks", { items: [{ dag: "d", job: "j" }] }));
  expect(await unanswered.row("u", [], { places: ["ready"], state: null, due_ms: 0 }).broken()).toEqual([]);
});

test("a task in two places, or in none", async () => {
  expect(
    await begun()
      .complete(1)
      .row("t", [attempt(1, 1, "succeeded")], { places: ["ready", "outcome"] })
      .broken(),
  ).toContain("place");
  const nowhere = begun().row("t", [attempt(1, 1, "expired", "TR-3004")], { places: [], state: null });
  expect(await nowhere.broken()).toEqual(["place"]);
});

describe("a task that does not end", () => {
  const left = (parts: object) => new Scene().create("t").row("t", [], { state: null, ...parts });

  test("is explained by when it is due, by its job's slots, or by a lease that lives", async () => {
    expect(await left({ places: ["ready"], due_ms: -60_000 }).broken()).toEqual([]);
    expect(await left({ places: ["waiting"], due_ms: 60_000, slots_full: true }).broken()).toEqual([]);
    const running = begun().row("t", [attempt(1, 1, "running")], { places: ["lease"], state: null, lease_live: true });
    expect(await running.broken()).toEqual([]);
  });
  test("is stuck when nothing explains it", async () => {
    expect(await left({ places: ["ready"], due_ms: 60_000 }).broken()).toEqual(["stuck_task"]);
    expect(await left({ places: ["waiting"], due_ms: 60_000, slots_full: false }).broken()).toEqual(["stuck_task"]);
    const reaped = begun().row("t", [attempt(1, 1, "running")], { places: ["lease"], state: null, lease_live: false });
    expect(await reaped.broken()).toEqual(["stuck_task"]);
  });
});

describe("attempts", () => {
  test("one that was handed out is there", async () => {
    const scene = begun().complete(1, failed, failure).claim("w", { task: "t", no: 2, attempt: 2 }).complete(2);
    const lost = scene.row("t", [attempt(2, 1, "succeeded")]);
    expect(await lost.broken()).toContain("lost_attempt");
  });
  test("one ended as its caller was told", async () => {
    expect(
      await begun()
        .complete(1, failed, failure)
        .row("t", [attempt(1, 1, "snoozed")], { places: ["ready"], state: null, due_ms: 0 })
        .broken(),
    ).toEqual(["attempt_state"]);
    const otherCode = begun()
      .complete(1, failed, failure)
      .row("t", [attempt(1, 1, "failed", "TR-5003")], { places: ["ready"], state: null, due_ms: 0 });
    expect(await otherCode.broken()).toEqual(["attempt_state"]);
  });
  test("one that succeeded without a call, or by one whose answer was lost", async () => {
    expect(
      await begun()
        .row("t", [attempt(1, 1, "succeeded")])
        .broken(),
    ).toEqual(["attempt_state"]);
    const scene = begun();
    scene.silence(scene.call("worker", "POST /v1/completions", completion(1)));
    expect(await scene.row("t", [attempt(1, 1, "succeeded")]).broken()).toEqual([]);
  });
  test("one of a lease that nobody was told of cannot have succeeded, but expired or gone back", async () => {
    const unknown = (state: string) =>
      new Scene()
        .create("t")
        .row("t", [attempt(9, 1, state, "TR-3004")], { places: ["ready"], state: null, due_ms: 0 });
    expect(await unknown("expired").broken()).toEqual([]);
    const handedBack = new Scene()
      .create("t")
      .row("t", [attempt(9, 1, "released")], { places: ["ready"], state: null, attempt: 0, due_ms: 0 });
    expect(await handedBack.broken()).toEqual([]);
    expect(await unknown("succeeded").broken()).toContain("attempt_state");
    expect(await unknown("failed").broken()).toEqual(["attempt_state"]);
  });
  test("one that is canceled although nobody canceled its task", async () => {
    const scene = () => begun().row("t", [attempt(1, 1, "canceled")], { state: "canceled" });
    expect(await scene().broken()).toEqual(["attempt_state", "task_state"]);
    const asked = begun().act("cancel", "t", { accepted: true, state: "canceled" });
    expect(await asked.row("t", [attempt(1, 1, "canceled")], { state: "canceled" }).broken()).toEqual([]);
  });
  test("numbers without a gap; what was handed back is counted again", async () => {
    const scene = () => begun().release(1).claim("w", { task: "t", no: 2 }).complete(2);
    expect(
      await scene()
        .row("t", [attempt(1, 1, "released"), attempt(2, 1, "succeeded")])
        .broken(),
    ).toEqual([]);
    expect(
      await scene()
        .row("t", [attempt(1, 1, "released"), attempt(2, 2, "succeeded")])
        .broken(),
    ).toEqual(["attempt_numbers"]);
  });
});

describe("counts", () => {
  const lostOnce = (parts: object = {}) =>
    begun()
      .wait(ttlMs)
      .open("v")
      .claim("v", { task: "t", no: 2, attempt: 2 })
      .complete(2)
      .row("t", [attempt(1, 1, "expired", "TR-3004"), attempt(2, 2, "succeeded")], parts);

  test("failures and lost leases are those of the attempts", async () => {
    expect(await lostOnce().broken()).toEqual([]);
    expect(await lostOnce({ lease_losses: 0 }).broken()).toEqual(["counts"]);
    expect(await lostOnce({ failures: 1 }).broken()).toEqual(["counts"]);
    expect(await lostOnce({ attempt: 3 }).broken()).toEqual(["counts"]);
  });
  test("an attempt past its deadline is a failure and no lost lease", async () => {
    const overdue = [attempt(1, 1, "expired", "TR-3005")];
    const row = { places: ["ready"], state: null, due_ms: 0 };
    expect(
      await begun()
        .row("t", overdue, { ...row, failures: 1, lease_losses: 0 })
        .broken(),
    ).toEqual([]);
    expect(
      await begun()
        .row("t", overdue, { ...row, failures: 0, lease_losses: 1 })
        .broken(),
    ).toEqual(["counts"]);
  });
  test("a replay sets them to zero", async () => {
    const dead = { accepted: true, attempt_state: "failed", task_state: "dead" };
    const scene = begun().complete(1, dead, failure).act("replay", "t", { accepted: true, state: "queued" });
    scene.claim("w", { task: "t", no: 2, attempt: 2 }).complete(2);
    const attempts = [attempt(1, 1, "failed", "TR-5001"), attempt(2, 2, "succeeded")];
    expect(await scene.row("t", attempts, { failures: 0 }).broken()).toEqual([]);
    scene.dump.length = 0;
    expect(await scene.row("t", attempts, { failures: 1 }).broken()).toEqual(["counts"]);
  });
  test("a task that goes on has not reached its bounds", async () => {
    const attempts = [1, 2, 3].map((no) => attempt(no, no, "failed", "TR-5001"));
    const scene = () => {
      const told = begun().complete(1, failed, failure);
      for (const no of [2, 3]) told.claim("w", { task: "t", no, attempt: no }).complete(no, failed, failure);
      return told;
    };
    expect(
      await scene()
        .row("t", attempts, { places: ["ready"], state: null, due_ms: 0 })
        .broken(),
    ).toEqual(["counts"]);
  });
});

describe("the state of a task", () => {
  test("completed means one attempt that succeeded, the last one", async () => {
    expect(
      await begun()
        .complete(1)
        .row("t", [attempt(1, 1, "succeeded")], { state: "dead", error: "TR-5001" })
        .broken(),
    ).toContain("one_completion");
    const scene = begun()
      .complete(1)
      .row("t", [attempt(1, 1, "succeeded"), attempt(2, 2, "expired", "TR-3004")]);
    expect(await scene.broken()).toEqual(["one_completion"]);
  });
  test("dead, although no bound is reached and nothing failed", async () => {
    const scene = begun().row("t", [attempt(1, 1, "expired", "TR-3004")], { state: "dead", error: "TR-3004" });
    expect(await scene.broken()).toEqual(["task_state"]);
  });
  test("a task that is told to be dead and goes on without a replay", async () => {
    const dead = { accepted: true, attempt_state: "failed", task_state: "dead" };
    const scene = begun().complete(1, dead, failure);
    scene.row("t", [attempt(1, 1, "failed", "TR-5001")], { places: ["ready"], state: null, due_ms: 0 });
    expect(await scene.broken()).toEqual(["task_state"]);
  });
  test("a dead task keeps the error of every attempt", async () => {
    const dead = { accepted: true, attempt_state: "failed", task_state: "dead" };
    const scene = (code: string | null) => {
      const told = begun()
        .wait(ttlMs)
        .open("v")
        .claim("v", { task: "t", no: 2, attempt: 2 })
        .complete(2, dead, failure);
      return told.row("t", [attempt(1, 1, "expired", code), attempt(2, 2, "failed", "TR-5001")], {
        state: "dead",
        error: "TR-5001",
      });
    };
    expect(await scene("TR-3004").broken()).toEqual([]);
    expect(await scene(null).broken()).toEqual(["dead_errors"]);
  });
});

describe("commits", () => {
  const output = { kind: "success", outputs: [{ dataset: "d", manifest_key: "k", manifest_sha256: "s" }] };
  const told = (commit: number) => ({ ...completed, commits: [{ dataset: "d", generation: 1, commit }] });
  const scene = () =>
    new Scene()
      .open("w")
      .create("t", "u")
      .claim("w", { task: "t", no: 1, staging: ["d"] }, { task: "u", no: 2, staging: ["d"] })
      .complete(1, told(1), output)
      .complete(2, told(2), output)
      .row("t", [attempt(1, 1, "succeeded")])
      .row("u", [attempt(2, 1, "succeeded")]);

  test("each belongs to the completion that was told of it", async () => {
    expect(await scene().commit("d", 1, "t", 1).commit("d", 2, "u", 2).broken()).toEqual([]);
    expect(await scene().commit("d", 1, "t", 1).commit("d", 2, "u", 1).broken()).toEqual([
      "commit_owner",
      "commit_owner",
    ]);
  });
  test("one that was told of is there", async () => {
    expect(await scene().commit("d", 1, "t", 1).broken()).toEqual(["commit_owner"]);
  });
  test("numbers have no gap", async () => {
    const gap = new Scene()
      .open("w")
      .create("t")
      .claim("w", { task: "t", no: 1, staging: ["d"] })
      .complete(1, told(2), output);
    expect(
      await gap
        .row("t", [attempt(1, 1, "succeeded")])
        .commit("d", 2, "t", 1)
        .broken(),
    ).toEqual(["commit_numbers"]);
  });
  test("one of an answer that was lost is accepted once its attempt is seen to have succeeded", async () => {
    const lost = new Scene()
      .open("w")
      .create("t")
      .claim("w", { task: "t", no: 1, staging: ["d"] });
    lost.silence(lost.call("worker", "POST /v1/completions", completion(1, output)));
    expect(
      await lost
        .row("t", [attempt(1, 1, "succeeded")])
        .commit("d", 1, "t", 1)
        .broken(),
    ).toEqual([]);
  });
});

test("a violation says what, where and why", async () => {
  const { violations } = await begun().complete(1).complete(1, failed, failure).check();
  expect(violations).toEqual([
    {
      rule: "one_end",
      what: "lease 1 ended a second time, by another complete",
      why: "it had ended as succeeded",
      task: uuidOf("t"),
      lease: 1,
      lines: [8, 9, 10],
    },
  ]);
});
