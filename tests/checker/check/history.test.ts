/** Each rule of the history, with a history that keeps it and one that breaks it. */
import { describe, expect, test } from "vitest";
import {
  claimAnswer,
  completed,
  completion,
  deadlineMs,
  failed,
  failure,
  Scene,
  stale,
  success,
  tokenOf,
  ttlMs,
  uuidOf,
} from "../testing/scene.ts";

/** A task that is claimed by session `w` with lease 1. */
function begun(): Scene {
  return new Scene().open("w").create("t").claim("w", { task: "t", no: 1 });
}

test("a task that is created, claimed and completed breaks nothing", async () => {
  const verdict = await begun().complete(1).close("w").check();
  expect(verdict.violations).toEqual([]);
  expect(verdict.fact("complete accepted")).toBe(1);
});

describe("one end", () => {
  test("the same call again is a repeat", async () => {
    expect(
      await begun()
        .complete(1)
        .complete(1)
        .check()
        .then((v) => v.fact("complete repeated, same answer")),
    ).toBe(1);
  });
  test("another body is a second end", async () => {
    expect(await begun().complete(1).complete(1, failed, failure).broken()).toEqual(["one_end"]);
    expect(
      await begun()
        .complete(1)
        .complete(1, { ...completed, accepted: false, error: { code: "TR-3003" } }, failure)
        .broken(),
    ).toEqual([]);
  });
  test("a release after a completion is a second end", async () => {
    expect(await begun().complete(1).release(1, stale).broken()).toEqual([]);
    expect(await begun().complete(1).release(1).broken()).toEqual(["one_end"]);
  });
});

describe("same answer", () => {
  test("a repeat that is answered differently", async () => {
    const other = { ...completed, task_state: "dead" };
    expect(await begun().complete(1).complete(1, other).broken()).toEqual(["same_answer"]);
  });
  test("a repeat that is refused as stale", async () => {
    expect(await begun().complete(1).complete(1, stale).broken()).toEqual(["same_answer"]);
  });
  test("a repeat that is told to come again breaks nothing", async () => {
    const later = { accepted: false, error: { code: "TR-1009" } };
    expect(await begun().complete(1).complete(1, later).complete(1).broken()).toEqual([]);
  });
});

describe("stale accept", () => {
  /** The session's last beat has just been answered; the call comes `afterMs` later. */
  const late = (afterMs: number) => begun().beat("w", [1]).wait(afterMs).complete(1);

  test("before the session can have expired it is accepted, after that it must not be", async () => {
    expect(await late(ttlMs).broken()).toEqual([]);
    expect(await late(ttlMs + 49).broken()).toEqual([]);
    const verdict = await late(ttlMs + 51).check();
    expect(verdict.violations).toMatchObject([
      { rule: "stale_accept", task: uuidOf("t"), lease: 1, lines: [8, 9, 10] },
    ]);
    expect(verdict.violations[0]?.why).toContain("had its last beat 3.051 s before the call");
  });
  test("refused after that breaks nothing, and neither does the same by a clock that was set meanwhile", async () => {
    expect(
      await begun()
        .wait(ttlMs * 2)
        .complete(1, stale)
        .broken(),
    ).toEqual([]);
    const scene = begun();
    scene.lines.push({ clock: 1_000_000, at: scene.nowMs * 1e6 });
    scene.wait(ttlMs + 300).complete(1);
    scene.lines.push({ clock: 1_000_000 + ttlMs, at: scene.nowMs * 1e6 });
    const verdict = await scene.check();
    expect(verdict.total).toBe(0);
    expect(verdict.fact("taken back, as the clock was set")).toBe(1);
  });
  test("a beat on its way that is taken explains it, one that is refused does not", async () => {
    for (const [status, broken] of [
      [200, []],
      [409, ["stale_accept"]],
    ] as const) {
      const scene = begun().wait(ttlMs + 100);
      const beat = scene.call("worker", `POST /v1/sessions/${uuidOf("w")}/heartbeat`, { leases: [1] });
      scene.complete(1).answer(beat, status === 200 ? { lost: [] } : { code: "TR-3002" }, status);
      // The beat came too late as well: accepting it is wrong in itself.
      const all = await scene.broken();
      expect(all.filter((rule) => rule !== "dead_session")).toEqual(broken);
    }
  });
  test("a beat without an answer keeps the session from being judged by time, for as long as it may take effect", async () => {
    const unanswered = (afterMs: number) => {
      const scene = begun();
      scene.silence(scene.call("worker", `POST /v1/sessions/${uuidOf("w")}/heartbeat`, { leases: [1] }));
      return scene.wait(afterMs).complete(1).broken({ lateEffectMaxMs: 10_000 });
    };
    expect(await unanswered(9_000)).toEqual([]);
    expect(await unanswered(13_100)).toEqual(["stale_accept"]);
  });
  test("past the deadline, by a session that lives", async () => {
    const late = (ms: number) =>
      begun()
        .keep("w", ms - 10)
        .wait(10)
        .complete(1);
    expect(await late(20_000).broken()).toEqual([]);
    expect(await late(deadlineMs + 200).broken()).toEqual(["stale_accept"]);
  });
  test("a start begins the time limit anew", async () => {
    const scene = begun().keep("w", 20_000).start(1, "n").keep("w", 20_000).complete(1);
    expect(await scene.broken()).toEqual([]);
  });
  test("of a lease that was told lost", async () => {
    expect(await begun().beat("w", [1], [1]).complete(1, stale).broken()).toEqual([]);
    expect(await begun().beat("w", [1], [1]).complete(1).broken()).toEqual(["stale_accept"]);
  });
  test("of a lease that was refused as stale before", async () => {
    expect(await begun().complete(1, stale).complete(1).broken()).toEqual(["stale_accept"]);
  });
  test("of a session that was closed, or told that it is over", async () => {
    expect(await begun().close("w").complete(1).broken()).toEqual(["stale_accept"]);
    const path = `POST /v1/sessions/${uuidOf("w")}/heartbeat`;
    const told = begun().ask("worker", path, { leases: [] }, { code: "TR-3002" }, 409);
    expect(await told.complete(1).broken()).toEqual(["stale_accept"]);
  });
  test("of an older lease of the task", async () => {
    const scene = () =>
      begun()
        .open("v")
        .keep("v", ttlMs + 100)
        .claim("v", { task: "t", no: 2, attempt: 2 });
    expect(await scene().complete(1, stale).complete(2).broken()).toEqual([]);
    expect(await scene().complete(1).broken()).toEqual(["stale_accept"]);
  });
  test("of a task that was canceled", async () => {
    const scene = () => begun().act("cancel", "t", { accepted: true, state: "canceled" });
    expect(await scene().complete(1, stale).broken()).toEqual([]);
    expect(await scene().complete(1).broken()).toEqual(["stale_accept"]);
    expect(await scene().release(1).broken()).toEqual(["stale_accept"]);
  });
  test("of a lease that was handed back", async () => {
    const scene = () => begun().release(1).claim("w", { task: "t", no: 2 });
    expect(await scene().complete(2).broken()).toEqual([]);
    expect(await begun().release(1).complete(1).broken()).toEqual(["one_end"]);
  });
  test("a release after the session has expired", async () => {
    expect(
      await begun()
        .wait(ttlMs + 100)
        .release(1)
        .broken(),
    ).toEqual(["stale_accept"]);
  });
  test("a start and the task API after it", async () => {
    expect(
      await begun()
        .wait(ttlMs + 100)
        .start(1, "n")
        .broken(),
    ).toEqual(["stale_accept"]);
    const asked = (ms: number) => {
      const scene = begun().wait(ms);
      return scene.answer(scene.call("task", "GET /v1/task", undefined, tokenOf(1)), {}).broken();
    };
    expect(await asked(100)).toEqual([]);
    expect(await asked(ttlMs + 100)).toEqual(["stale_accept"]);
  });
  test("the earliest call of the same body may be the one that took effect", async () => {
    const scene = begun();
    const first = scene.call("worker", "POST /v1/completions", completion(1));
    scene
      .wait(10)
      .silence(first)
      .wait(ttlMs * 2);
    expect(await scene.complete(1).broken()).toEqual([]);
    const other = begun();
    const snooze = other.call("worker", "POST /v1/completions", completion(1, { kind: "snooze", delay_ms: 5 }));
    other
      .wait(10)
      .silence(snooze)
      .wait(ttlMs * 2);
    expect(await other.complete(1).broken()).toEqual(["stale_accept"]);
  });
  test("a call that no dispatcher saw explains nothing", async () => {
    const scene = begun();
    scene.silence(scene.call("worker", "POST /v1/completions", completion(1)), false);
    expect(
      await scene
        .wait(ttlMs * 2)
        .complete(1)
        .broken(),
    ).toEqual(["stale_accept"]);
  });
});

test("a token that was never handed out opens nothing", async () => {
  expect(await begun().complete(9, stale).broken()).toEqual([]);
  expect(await begun().complete(9).broken()).toEqual(["unknown_token"]);
});

describe("two live attempts", () => {
  const again = (ms: number) => begun().beat("w", [1]).open("v").wait(ms).claim("v", { task: "t", no: 2, attempt: 2 });

  test("a lease is handed out again after the first can have expired, not before", async () => {
    expect(await again(ttlMs).broken()).toEqual([]);
    expect(await again(ttlMs - 100).broken()).toEqual(["two_live"]);
  });
  test("after an accepted end, or a call that may have been one", async () => {
    expect(await begun().complete(1, failed, failure).claim("w", { task: "t", no: 2, attempt: 2 }).broken()).toEqual(
      [],
    );
    const scene = begun();
    scene.silence(scene.call("worker", "POST /v1/completions", completion(1, failure)));
    expect(await scene.claim("w", { task: "t", no: 2, attempt: 2 }).broken()).toEqual([]);
    expect(await begun().complete(1, stale).claim("w", { task: "t", no: 2, attempt: 2 }).broken()).toEqual([
      "two_live",
    ]);
  });
  test("after its session was closed", async () => {
    expect(await begun().open("v").close("w").claim("v", { task: "t", no: 2, attempt: 2 }).broken()).toEqual([]);
  });
  test("after its deadline, by a session that lives", async () => {
    const scene = (ms: number) =>
      begun().open("v").keep("w", ms).open("u").claim("u", { task: "t", no: 2, attempt: 2 });
    expect(await scene(29_000).broken()).toEqual(["two_live"]);
    expect(await scene(31_000).broken()).toEqual([]);
  });
  test("after a cancel and a replay", async () => {
    const scene = begun().act("cancel", "t", { accepted: true, state: "canceled" });
    scene.act("replay", "t", { accepted: true, state: "queued" });
    expect(await scene.claim("w", { task: "t", no: 2, attempt: 2 }).complete(2).broken()).toEqual([]);
  });
});

describe("lease numbers", () => {
  test("a number that was handed out before", async () => {
    expect(await begun().create("u").claim("w", { task: "u", no: 1 }).broken()).toEqual(["lease_numbers"]);
  });
  test("a number that is smaller than an earlier one of the task", async () => {
    const scene = new Scene().open("w").create("t").claim("w", { task: "t", no: 5 }).release(5);
    expect(await scene.claim("w", { task: "t", no: 4 }).broken()).toEqual(["lease_numbers"]);
  });
  test("an answer that was overtaken tells of no wrong order", async () => {
    const scene = new Scene().open("w").create("t");
    const body = { session_id: uuidOf("w"), queue: "default", task_ids: [], max: 100 };
    const slow = scene.call("worker", "POST /v1/claims", body);
    scene
      .open("v")
      .keep("v", ttlMs + 100)
      .claim("v", { task: "t", no: 2, attempt: 2 });
    scene.answer(slow, claimAnswer([{ task: "t", no: 1 }]));
    expect(await scene.complete(1, stale).complete(2).broken()).toEqual([]);
  });
  test("a token of another number", async () => {
    const scene = new Scene().open("w").create("t");
    const answer = claimAnswer([{ task: "t", no: 1 }]);
    const body = { session_id: uuidOf("w"), queue: "default", task_ids: [], max: 100 };
    Object.assign(answer.tasks[0] ?? {}, { lease_token: tokenOf(2) });
    expect(await scene.ask("worker", "POST /v1/claims", body, answer).broken()).toEqual(["lease_numbers"]);
  });
  test("attempts that count backwards", async () => {
    const scene = new Scene().open("w").create("t").claim("w", { task: "t", no: 1, attempt: 2 });
    expect(await scene.complete(1, failed, failure).claim("w", { task: "t", no: 2 }).broken()).toEqual([
      "attempt_numbers",
    ]);
  });
});

describe("a task that is over", () => {
  test("is not handed out", async () => {
    expect(await begun().complete(1).claim("w", { task: "t", no: 2, attempt: 2 }).broken()).toEqual(["ended_task"]);
  });
  test("is not handed out after a cancel, until it is replayed", async () => {
    const scene = () => new Scene().open("w").create("t").act("cancel", "t", { accepted: true, state: "canceled" });
    expect(await scene().claim("w", { task: "t", no: 1 }).broken()).toEqual(["ended_task"]);
    const replayed = scene();
    replayed.silence(replayed.call("user", "POST /v1/tasks/replay", { task_ids: [uuidOf("t")] }));
    expect(await replayed.claim("w", { task: "t", no: 1 }).broken()).toEqual([]);
  });
  test("is canceled once more without harm", async () => {
    const told = { accepted: true, state: "canceled" };
    expect(await begun().act("cancel", "t", told).act("cancel", "t", told).broken()).toEqual([]);
  });
  test("is handed out after a replay that was refused", async () => {
    const scene = new Scene().open("w").create("t").act("cancel", "t", { accepted: true, state: "canceled" });
    scene.act("replay", "t", { accepted: false, state: "queued", error: { code: "TR-3015" } });
    expect(await scene.claim("w", { task: "t", no: 1 }).broken()).toEqual(["ended_task"]);
  });
  test("is completed once", async () => {
    const scene = begun().wait(ttlMs).open("v").claim("v", { task: "t", no: 2, attempt: 2 }).complete(2);
    expect(await scene.complete(1).broken()).toEqual(["stale_accept", "one_completion"]);
  });
  test("is neither canceled, retried nor replayed when it is completed", async () => {
    for (const action of ["cancel", "retry", "replay"] as const) {
      const refusal = { accepted: false, state: "completed", error: { code: "TR-3014" } };
      const state = action === "cancel" ? "canceled" : "queued";
      expect(await begun().complete(1).act(action, "t", refusal).broken()).toEqual([]);
      expect(await begun().complete(1).act(action, "t", { accepted: true, state }).broken()).toEqual(["ended_task"]);
    }
  });
});

describe("a session that is over", () => {
  test("claims nothing", async () => {
    expect(await new Scene().open("w").create("t").close("w").claim("w").broken()).toEqual([]);
    const late = new Scene()
      .open("w")
      .create("t")
      .wait(ttlMs + 100)
      .claim("w", { task: "t", no: 1 });
    expect(await late.broken()).toEqual(["dead_session"]);
  });
  test("beats no more", async () => {
    expect(await new Scene().open("w").wait(ttlMs).beat("w").broken()).toEqual([]);
    expect(
      await new Scene()
        .open("w")
        .wait(ttlMs + 100)
        .beat("w")
        .broken(),
    ).toEqual(["dead_session"]);
    expect(await new Scene().open("w").close("w").beat("w").broken()).toEqual(["dead_session"]);
    expect(await new Scene().beat("nobody").broken()).toEqual(["dead_session"]);
  });
});

test("a heartbeat names every lease sent that is over", async () => {
  expect(await begun().complete(1).beat("w", [1], [1]).broken()).toEqual([]);
  expect(await begun().complete(1).beat("w", [1]).broken()).toEqual(["lost_list"]);
});

test("an attempt is bound to one invocation", async () => {
  expect(
    await begun()
      .start(1, "n")
      .start(1, "n")
      .start(1, "m", { accepted: false, error: { code: "TR-3013" } })
      .broken(),
  ).toEqual([]);
  expect(await begun().start(1, "n").start(1, "m").broken()).toEqual(["nonces"]);
});

describe("dedupe keys", () => {
  const create = (scene: Scene, task: string, created: boolean) =>
    scene.ask(
      "user",
      "POST /v1/tasks",
      { items: [{ dag: "d", job: "j", dedupe_key: "k" }] },
      { items: [{ task_id: uuidOf(task), created }] },
    );
  test("the second create is answered with the first task", async () => {
    expect(await create(create(new Scene(), "t", true), "t", false).broken()).toEqual([]);
  });
  test("two tasks of one key", async () => {
    expect(await create(create(new Scene(), "t", true), "u", true).broken()).toEqual(["created_once"]);
    expect(await create(create(new Scene(), "t", true), "u", false).broken()).toEqual(["created_once"]);
  });
});

test("a success with an output that was told no commit, and a commit that was told twice", async () => {
  const output = { dataset: "d", manifest_key: "k", manifest_sha256: "s" };
  const result = { kind: "success", outputs: [output] };
  const told = (commit: number) => ({ ...completed, commits: [{ dataset: "d", generation: 1, commit }] });
  const scene = () =>
    new Scene()
      .open("w")
      .create("t", "u")
      .claim("w", { task: "t", no: 1, staging: ["d"] }, { task: "u", no: 2, staging: ["d"] });
  expect(await scene().complete(1, told(1), result).complete(2, told(2), result).broken()).toEqual([]);
  expect(await scene().complete(1, completed, result).broken()).toEqual(["commit_owner"]);
  expect(await scene().complete(1, told(1), result).complete(2, told(1), result).broken()).toEqual(["commit_owner"]);
  expect(await scene().complete(1, completed, success).broken()).toEqual(["commit_owner"]);
});

test("an answer of another length than its call", async () => {
  const scene = begun().ask("worker", "POST /v1/completions", completion(1), { items: [] });
  expect(await scene.broken()).toEqual(["answers"]);
});

test("calls that are still on their way at the end may have had their effect", async () => {
  const scene = begun();
  scene.call("worker", "POST /v1/completions", completion(1));
  const verdict = await scene.check();
  expect(verdict.total).toBe(0);
  expect(verdict.fact("calls without a certain end")).toBe(1);
});

test("a line that answers no call is refused, not passed over", async () => {
  await expect(new Scene().answer(7, {}).check()).rejects.toThrow("answers call 7");
});
