/** The writer of wake-ups sends them the moment they are committed, and leaves to the loop what it cannot. */
import { type Database, silentLog, TestRace } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { wakeupIdsInHandMax, wakeupSendBurst, wakeupSendsInFlightMax } from "../limits.ts";
import { MemoryQueue } from "../testing/fakes.ts";
import { noopDag, pass, until, World } from "../testing/world.ts";
import type { WakeupRow } from "../wakeups.ts";
import { OutboxLane } from "./outbox.ts";

let world: World;
let queue: MemoryQueue;
let race: TestRace;
let nowMs: number;
let left: number;
const lanes: OutboxLane[] = [];

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  world.wakeups.splice(0);
  queue = new MemoryQueue();
  race = new TestRace();
  nowMs = 0;
  left = 0;
});
afterEach(async () => {
  queue.letGo();
  race.resumeAll();
  for (const one of lanes.splice(0)) await one.stop();
});

function lane(db: Database = world.db): OutboxLane {
  const made = new OutboxLane({
    db,
    queue: queue.asMessageQueue(),
    queueName: () => "default",
    log: silentLog(),
    random: () => 0.5,
    monotonicMs: () => nowMs,
    race,
    onSent: () => undefined,
    onLeft: (rows) => {
      left += rows;
    },
    onPaused: () => undefined,
  });
  lanes.push(made);
  return made;
}

/** Rows that were committed and nobody sent yet. */
async function written(tasks = 1, times = 1): Promise<WakeupRow[]> {
  for (let n = 0; n < times; n += 1) await world.create("plain", "noop", tasks);
  return world.wakeups.splice(0);
}

/** Rows that are in no table. */
function invented(count: number, ids: number): WakeupRow[] {
  return Array.from({ length: count }, (_, row) => ({
    outbox_id: 1_000_000 + row,
    queue_id: 1,
    task_ids: Array.from({ length: ids }, (_, n) => `${row}.${n}`),
  }));
}

/** Each as soon as the one before is through. */
async function oneByOne(relay: OutboxLane, rows: readonly WakeupRow[]): Promise<void> {
  for (const row of rows) {
    relay.take([row]);
    await until(() => Promise.resolve(queue.inFlight === 0));
  }
}

const empty = async () => (await world.count("outbox")) === 0;

describe("a wake-up that was just committed", () => {
  test("is on its way to SQS when take returns, and its row is deleted afterwards", async () => {
    const rows = await written(3);
    const relay = lane();
    const sent = relay.sent.next(10_000);
    relay.take(rows);
    expect(queue.calls).toBe(1);
    expect(await sent).toBe(1);
    expect(queue.ids()).toEqual(rows[0]?.task_ids);
    expect(await empty()).toBe(true);
  });

  test("is not due for the loop yet, so that nobody sends it twice", async () => {
    await written();
    await pass(lane().loop);
    expect(queue.calls).toBe(0);
    expect(await empty()).toBe(false);
  });

  test("that is due and still in the writer's hand is passed over by the loop of the same process", async () => {
    const rows = await written();
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    const relay = lane();
    queue.hold();
    relay.take(rows);
    await pass(relay.loop);
    expect(queue.calls).toBe(1);
    queue.letGo();
    await relay.sent.next(10_000);
    expect(queue.ids()).toHaveLength(1);
  });

  test("is sent again by the loop when the process dies between send and delete: twice, which is harmless", async () => {
    const rows = await written();
    const died = race.pauseAt("wakeup:sent");
    const first = lane();
    first.take(rows);
    await died.reached;
    died.fail(new Error("the process died here"));
    await first.stop();
    expect(await empty()).toBe(false);
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    await pass(lane().loop);
    expect(queue.ids()).toEqual([rows[0]?.task_ids[0], rows[0]?.task_ids[0]]);
    expect(await empty()).toBe(true);
  });

  test("is sent again by the loop when its delete fails", async () => {
    const rows = await written();
    const broken = { query: () => Promise.reject(new Error("Postgres is away")) } as unknown as Database;
    const first = lane(broken);
    first.take(rows);
    await first.stop();
    expect(queue.ids()).toHaveLength(1);
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    await pass(lane().loop);
    expect(queue.ids()).toHaveLength(2);
    expect(await empty()).toBe(true);
  });
});

describe("when SQS does not take it", () => {
  test("the row is left, nothing is held against it, and the loop sends it once SQS is back", async () => {
    const rows = await written();
    const relay = lane();
    queue.away = true;
    relay.take(rows);
    await until(() => Promise.resolve(left === 1));
    expect(await world.count("outbox_tries")).toBe(0);
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    queue.away = false;
    await pass(relay.loop);
    expect(queue.ids()).toEqual([]); // the lane pauses
    nowMs += 1_000;
    await pass(relay.loop);
    expect(queue.ids()).toEqual(rows[0]?.task_ids);
    expect(await empty()).toBe(true);
  });

  test("what is taken during the pause is left at once, and the first after it is the only one that tries", async () => {
    const [first, second, third, fourth] = await written(1, 4);
    const relay = lane();
    const take = (row: WakeupRow | undefined) => relay.take(row === undefined ? [] : [row]);
    queue.away = true;
    take(first);
    await until(() => Promise.resolve(left === 1));
    take(second);
    expect([queue.calls, left]).toEqual([1, 2]);
    nowMs += 1_000;
    queue.away = false;
    queue.hold();
    take(third);
    take(fourth);
    expect([queue.calls, left]).toEqual([2, 3]);
    queue.letGo();
    await relay.sent.next(10_000);
    expect(queue.ids()).toEqual(third?.task_ids);
  });

  test("a message that is refused is the loop's to judge: the writer counts no try", async () => {
    const rows = await written(150);
    const [bad = ""] = rows[0]?.task_ids.slice(-1) ?? [];
    queue.refuse = (ids) => (ids.includes(bad) ? "InvalidMessageContents: no" : undefined);
    const relay = lane();
    relay.take(rows);
    await until(() => Promise.resolve(left === 1));
    await relay.stop();
    expect(queue.ids()).toHaveLength(100);
    expect(await world.count("outbox_tries")).toBe(0);
    expect(await empty()).toBe(false);
  });
});

describe("many", () => {
  test("that arrive while calls are on their way go together in the next", async () => {
    const rows = await written(1, wakeupSendBurst + 20);
    const relay = lane();
    queue.hold();
    for (const row of rows) relay.take([row]);
    expect(queue.calls).toBe(wakeupSendsInFlightMax);
    queue.letGo();
    await until(empty);
    expect(queue.calls).toBe(wakeupSendsInFlightMax + 1);
    expect(new Set(queue.ids())).toEqual(new Set(rows.flatMap((row) => row.task_ids)));
  });

  test("small calls that come too fast wait for each other, and then go together", async () => {
    const relay = lane();
    const rows = invented(wakeupSendBurst + 5, 1);
    await oneByOne(relay, rows);
    expect(queue.calls).toBe(wakeupSendBurst);
    nowMs += 1_000;
    await until(() => Promise.resolve(queue.ids().length === rows.length));
    expect(queue.calls).toBe(wakeupSendBurst + 1);
  });

  test("full calls wait for no time, and take along what does", async () => {
    const relay = lane();
    const rows = invented(wakeupSendBurst + 5, 1);
    await oneByOne(relay, rows);
    relay.take(invented(1, 1_000));
    expect(queue.calls).toBe(wakeupSendBurst + 2);
    await until(() => Promise.resolve(queue.ids().length === rows.length + 1_000));
  });

  test("are bounded in hand: what comes beyond is left to the loop", async () => {
    const relay = lane();
    queue.hold();
    relay.take(invented(wakeupIdsInHandMax / 1_000 + 2, 1_000));
    expect(left).toBe(2);
    expect(queue.inFlight).toBe(wakeupSendsInFlightMax);
    queue.letGo();
    await until(() => Promise.resolve(queue.ids().length === wakeupIdsInHandMax));
    expect(queue.inFlightMost).toBe(wakeupSendsInFlightMax);
  });

  test("a stop ends the calls that were begun, deletes their rows and leaves the rest", async () => {
    const rows = await written(1, wakeupSendsInFlightMax + 3);
    const relay = lane();
    queue.hold();
    for (const row of rows) relay.take([row]);
    const stopped = relay.stop();
    expect(left).toBe(3);
    relay.take(invented(1, 1));
    expect(left).toBe(4);
    queue.letGo();
    await stopped;
    expect(queue.ids()).toHaveLength(wakeupSendsInFlightMax);
    expect(await world.count("outbox")).toBe(3);
  });
});
