/** The reconciler: tasks whose wake-ups were lost are spoken for again, as many as there are free slots. */
import { type Database, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { reconcileAfterMs, reconcileEveryMs, reconcileTasksMax, sessionTtlMs } from "../limits.ts";
import { openSession, tellClaims } from "../sql/statements.gen.ts";
import { noopDag, pass, until, World, waitingForLocks } from "../testing/world.ts";
import type { WakeupRow } from "../wakeups.ts";
import { Reconciler } from "./reconciler.ts";

let world: World;
let nowMs: number;
let told: WakeupRow[];

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  nowMs = 1_000_000;
  told = [];
});

interface Process {
  readonly loop: Reconciler;
  lastClaimMs: number | undefined;
}

/** A dispatcher, past its start. */
async function dispatcher(): Promise<Process> {
  const process = starting();
  await world.db.raw("begin; create temp table kept as select * from sessions; delete from sessions; commit");
  await pass(process.loop); // no session: it finds nobody to speak to
  await world.db.raw("begin; insert into sessions overriding system value select * from kept; drop table kept; commit");
  return process;
}

function starting(db: Database = world.db): Process {
  const process: { loop: Reconciler; lastClaimMs: number | undefined } = {
    lastClaimMs: undefined,
    loop: new Reconciler({
      db,
      log: silentLog(),
      monotonicMs: () => nowMs,
      lastClaimMs: () => process.lastClaimMs,
      onReady: (rows) => told.push(...rows),
    }),
  };
  return process;
}

/** A worker with so many slots. */
async function worker(slots = 100): Promise<string> {
  const public_id = crypto.randomUUID();
  await world.db.query(openSession, { public_id, worker: "w", host: "h", pid: 1, slots, ttl_ms: sessionTtlMs });
  return public_id;
}

/** Tasks whose wake-ups were lost, and that wait longer than the bound. */
async function forgotten(count = 3, priority = 0): Promise<string[]> {
  const ids = await world.create("plain", "noop", count, { priority });
  await world.db.raw("delete from outbox");
  const ago = `clock_timestamp() - interval '${2 * reconcileAfterMs} milliseconds'`;
  await world.db.raw(`update ready set ready_at = ${ago}, run_at = ${ago}`);
  return ids;
}

/** The bounds of state pass: what was claimed and said was so long ago. */
async function later(ms: number): Promise<void> {
  nowMs += ms;
  await world.db.raw(
    `update queue_pulses set claimed_at = claimed_at - interval '${ms} ms', spoken_at = spoken_at - interval '${ms} ms'`,
  );
}

const ids = () => told.flatMap((row) => row.task_ids);

describe("the reconciler", () => {
  test("speaks again for tasks whose wake-ups were lost, through the outbox", async () => {
    const lost = await forgotten();
    await worker();
    await pass((await dispatcher()).loop);
    expect([...ids()].sort()).toEqual([...lost].sort());
    expect(await world.db.raw("select outbox_id, queue_id, task_ids from outbox")).toEqual(told);
  });

  test("names as many as there are free slots, and those that a claim would take first", async () => {
    await forgotten(4, 5);
    const urgent = await forgotten(2, -5);
    const busy = await worker(3);
    await world.claim(busy, 2, urgent.splice(0, 1));
    await worker(1);
    await pass((await dispatcher()).loop);
    // 3 slots with 2 leases, and 1 with none.
    expect(ids()).toHaveLength(2);
    const [next] = await world.claim(busy, 1, []);
    expect(ids()[0]).toBe(next?.task_id);
  });

  test("names no more than its bound, however many slots are free", async () => {
    await forgotten(reconcileTasksMax + 50);
    await worker(5_000);
    await pass((await dispatcher()).loop);
    expect(ids()).toHaveLength(reconcileTasksMax);
  });

  test("is silent while no slot is free and while no worker lives", async () => {
    await forgotten(3);
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
    const session = await worker(1);
    await world.claim(session, 1);
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
    await worker(1);
    await world.db.raw(
      "update sessions set expires_at = clock_timestamp() - interval '1 s' where slots = 1 and public_id <> $1",
      [session],
    );
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
  });

  test("is silent while nothing waits longer than the bound", async () => {
    await forgotten();
    await worker();
    await world.db.raw("update ready set ready_at = clock_timestamp()");
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
    await world.db.raw("update ready set ready_at = run_at, run_at = clock_timestamp() + interval '1 hour'");
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
  });

  test("is silent while claims are made, by this dispatcher or by another", async () => {
    await forgotten();
    await worker();
    const [one, other] = [await dispatcher(), await dispatcher()];
    one.lastClaimMs = nowMs;
    await pass(one.loop);
    await pass(other.loop);
    expect(told).toEqual([]);
    await later(reconcileAfterMs);
    await pass(other.loop);
    expect(ids()).toHaveLength(3);
  });

  test("adds nothing while the outbox is behind with what it has to say", async () => {
    await forgotten();
    await worker();
    await world.create("plain", "noop");
    await world.db.raw("update outbox set due_at = clock_timestamp() - interval '2 s'");
    await pass((await dispatcher()).loop);
    expect(told).toEqual([]);
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    await pass((await dispatcher()).loop);
    expect(ids()).toHaveLength(3);
  });

  test("speaks ever more rarely when nobody claims, and anew when somebody did", async () => {
    await forgotten();
    await worker();
    const { loop } = await dispatcher();
    const spoke = async () => {
      told = [];
      await pass(loop);
      await world.db.raw("delete from outbox");
      return told.length > 0;
    };
    expect(await spoke()).toBe(true);
    await later(reconcileEveryMs);
    expect(await spoke()).toBe(false);
    await later(reconcileEveryMs);
    expect(await spoke()).toBe(true);
    await later(2 * reconcileEveryMs);
    expect(await spoke()).toBe(false);
    await later(2 * reconcileEveryMs);
    expect(await spoke()).toBe(true);
    const claimer = await dispatcher();
    claimer.lastClaimMs = nowMs;
    await pass(claimer.loop);
    await later(reconcileAfterMs);
    expect(await spoke()).toBe(true);
  });

  test("of several dispatchers lets one speak", async () => {
    await forgotten();
    await worker();
    const processes = [await dispatcher(), await dispatcher(), await dispatcher()];
    const { promise: asked, resolve: go } = Promise.withResolvers<void>();
    const before = world.db.transaction(async (tx) => {
      await tx.query(tellClaims, { queue_ids: [1], ages_ms: [2 * reconcileAfterMs] });
      await asked;
    });
    const passes = Promise.all(processes.map(({ loop }) => pass(loop)));
    // All three have found nothing that keeps them from speaking, and want to be the one.
    await until(async () => (await waitingForLocks(world.db)) === 3);
    go();
    await Promise.all([before, passes]);
    expect(ids()).toHaveLength(3);
  });
});

describe("at once, whatever was claimed and said lately, the reconciler speaks", () => {
  /** Ready a moment ago, and a claim was made a moment ago. */
  async function fresh(process: Process): Promise<string[]> {
    const lost = await world.create("plain", "noop", 3);
    await world.db.raw("delete from outbox");
    await worker();
    process.lastClaimMs = nowMs;
    return lost;
  }

  test("at its start", async () => {
    const process = starting();
    const lost = await fresh(process);
    await pass(process.loop);
    expect([...ids()].sort()).toEqual([...lost].sort());
    await world.db.raw("delete from outbox");
    await pass(process.loop);
    expect(ids()).toHaveLength(3); // and not again
  });

  test("for a queue that was made anew, and for no other", async () => {
    const process = await dispatcher();
    await fresh(process);
    process.loop.speakNow("another");
    await pass(process.loop);
    expect(told).toEqual([]);
    process.loop.speakNow("default");
    await pass(process.loop);
    expect(ids()).toHaveLength(3);
  });

  test("for all queues when they all were lost", async () => {
    const process = await dispatcher();
    await fresh(process);
    process.loop.speakNow();
    await pass(process.loop);
    expect(ids()).toHaveLength(3);
  });

  test("and does so after a pass that failed", async () => {
    let calls = 0;
    const query: Database["query"] = (...call) => {
      calls += 1;
      return calls === 1 ? Promise.reject(new Error("Postgres is away")) : world.db.query(...call);
    };
    const process = starting({ query } as Database);
    await fresh(process);
    const passed = process.loop.passed.next(20_000);
    await process.loop.start();
    await passed;
    await process.loop.stop();
    expect(ids()).toHaveLength(3);
  });
});
