/** Events: written by the transaction that decides what they tell, and put on the bus at least once. */
import { silentLog, TestRace } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Events, type TaskEvent } from "../events.ts";
import { eventPutsInFlightMax, lanePauseBaseMs, outboxTriesMax } from "../limits.ts";
import { outboxLanes, outboxStatus } from "../sql/statements.gen.ts";
import { MemoryBus, MemoryQueue } from "../testing/fakes.ts";
import { noopDag, pass, until, World } from "../testing/world.ts";
import { OutboxLane } from "./outbox.ts";
import { EventsLane } from "./outbox-events.ts";

let world: World;
let bus: MemoryBus;
let nowMs: number;
let paused: boolean[];
let jobId: number;
const lanes: (EventsLane | OutboxLane)[] = [];
const events = new Events({ enabled: true });

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  const [job] = await world.db.raw<{ job_id: number }>("select job_id from jobs where name = 'noop'");
  jobId = job?.job_id ?? 0;
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  bus = new MemoryBus();
  nowMs = 0;
  paused = [];
});
afterEach(async () => {
  for (const lane of lanes.splice(0)) await lane.stop();
});

function lane(race?: TestRace): EventsLane {
  const made = new EventsLane({
    db: world.db,
    bus: bus.asEventBus(),
    log: silentLog(),
    random: () => 0.5,
    monotonicMs: () => nowMs,
    ...(race === undefined ? {} : { race }),
    onSent: () => undefined,
    onPaused: (now) => paused.push(now),
  });
  lanes.push(made);
  return made;
}

const taskId = (n: number) => `0198c7a2-0000-7000-8000-${String(n).padStart(12, "0")}`;

function event(n: number): TaskEvent {
  return { type: "task.dead", org_id: world.orgId, job_id: jobId, task_id: taskId(n), attempt: 3 };
}

async function write(count: number): Promise<void> {
  await events.write(
    world.db,
    Array.from({ length: count }, (_, n) => event(n)),
  );
}

const taken = () => bus.taken.map(({ detail }) => (detail as { task_id: string }).task_id);
const all = (count: number) => Array.from({ length: count }, (_, n) => taskId(n));
const rows = () => world.count("outbox");

describe("an event", () => {
  test("tells names and ids as the API does, and when it was decided", async () => {
    const committed = { ...event(1), type: "dataset.committed", dataset: "ds", generation: 2, commit: 7 } as const;
    await events.write(world.db, [event(0), committed]);
    await pass(lane().loop);
    const of = { org: "main", dag: "plain", job: "noop", attempt: 3 };
    expect(bus.taken).toEqual([
      { type: "task.dead", time: expect.any(Date), detail: { ...of, task_id: taskId(0) } },
      {
        type: "dataset.committed",
        time: expect.any(Date),
        detail: { ...of, task_id: taskId(1), dataset: "ds", generation: 2, commit: 7 },
      },
    ]);
    const [written] = await world.db.raw<{ age_ms: number }>(
      "select extract(epoch from clock_timestamp() - $1::timestamptz)::float8 * 1000 as age_ms",
      [bus.taken[0]?.time],
    );
    expect(Math.abs(written?.age_ms ?? Number.NaN)).toBeLessThan(20_000);
    expect(await rows()).toBe(0);
  });

  test("is not told when its transaction changes its mind", async () => {
    const failing = world.db.transaction(async (tx) => {
      await events.write(tx, [event(0)]);
      throw new Error("changed its mind");
    });
    await expect(failing).rejects.toThrow("changed its mind");
    expect(await rows()).toBe(0);
  });

  test("is not written when there is no bus", async () => {
    await new Events({ enabled: false }).write(world.db, [event(0)]);
    await new Events({ enabled: false }).writeCompleted(world.db, [1]);
    expect(await rows()).toBe(0);
  });

  test("of attempts that succeeded needs their lease numbers only; the others tell nothing", async () => {
    await world.create("plain", "noop", 3);
    const claimed = await world.claim(await world.session(), 3);
    const [good, bad] = claimed;
    if (good === undefined || bad === undefined) throw new Error("nothing was ready");
    await world.complete(good, { kind: "success", outputs: [] });
    await world.fail(bad);
    await world.db.raw("delete from outbox");
    await events.writeCompleted(
      world.db,
      claimed.map((task) => task.lease_no),
    );
    await pass(lane().loop);
    const detail = { org: "main", dag: "plain", job: "noop", task_id: good.task_id, attempt: 1 };
    expect(bus.taken).toEqual([{ type: "task.completed", time: expect.any(Date), detail }]);
  });
});

describe("the lane of events", () => {
  test("puts ten in a call, of rows that hold 100", async () => {
    await write(205);
    expect(await rows()).toBe(3);
    await pass(lane().loop);
    expect(bus.calls).toBe(21);
    expect(taken().sort()).toEqual(all(205));
    expect(await rows()).toBe(0);
  });

  test("sends again only the events that were not taken, and counts no try where they are not to blame", async () => {
    await write(25);
    const late = taskId(12);
    bus.faultOf = ({ detail }) =>
      (detail as { task_id: string }).task_id === late
        ? { reason: "ThrottlingException: later", blamed: false }
        : undefined;
    const relay = lane();
    await pass(relay.loop);
    expect(taken()).toHaveLength(24);
    expect(await world.count("outbox", "json_array_length(events) = 1")).toBe(1);
    expect(await world.count("outbox_tries")).toBe(0);
    bus.faultOf = () => undefined;
    await pass(relay.loop);
    expect(taken().slice(24)).toEqual([late]);
    expect(await rows()).toBe(0);
  });

  test("counts tries for the row of an event that is refused, which fails with that event alone", async () => {
    await write(3);
    const bad = taskId(1);
    bus.faultOf = ({ detail }) =>
      (detail as { task_id: string }).task_id === bad ? { reason: "MalformedDetail: no", blamed: true } : undefined;
    const relay = lane();
    for (let tries = 1; tries <= outboxTriesMax; tries += 1) {
      await world.db.raw("update outbox set due_at = clock_timestamp()");
      await pass(relay.loop);
    }
    expect(taken()).toEqual([taskId(0), taskId(2)]);
    expect(await rows()).toBe(0);
    const failed = await world.db.raw(
      "select lane, tries, failed, last_error, events #>> '{0,detail,task_id}' as task_id, json_array_length(events) as events from outbox_tries",
    );
    const row = { lane: "events", tries: outboxTriesMax, failed: true, last_error: "MalformedDetail: no" };
    expect(failed).toEqual([{ ...row, task_id: bad, events: 1 }]);
  });

  test("pauses while the bus takes none, counts nothing, and goes on by itself", async () => {
    await write(205);
    const relay = lane();
    bus.faultOf = () => ({ reason: "NotAuthorizedForSourceException: no", blamed: false });
    await pass(relay.loop);
    expect(paused).toEqual([true]);
    await pass(relay.loop);
    expect(bus.calls).toBeLessThanOrEqual(eventPutsInFlightMax);
    expect(await world.count("outbox_tries")).toBe(0);
    bus.faultOf = () => undefined;
    nowMs += lanePauseBaseMs;
    await relay.start();
    await until(async () => (await rows()) === 0);
    expect(paused).toEqual([true, false]);
    expect(taken().sort()).toEqual(all(205));
  });

  test("puts an event again that was taken when the process died before it deleted the row", async () => {
    await write(1);
    const race = new TestRace();
    const died = race.pauseAt("outbox:sent");
    const first = lane(race);
    await first.start();
    await died.reached;
    died.fail(new Error("the process died here"));
    await first.stop();
    await pass(lane().loop);
    expect(taken()).toEqual([taskId(0), taskId(0)]);
    expect(await rows()).toBe(0);
  });

  test("is not held up by a pause of the other lane, nor holds it up", async () => {
    const queue = new MemoryQueue();
    const wakeups = new OutboxLane({
      db: world.db,
      queue: queue.asMessageQueue(),
      queueName: () => "default",
      log: silentLog(),
      monotonicMs: () => nowMs,
      onSent: () => undefined,
      onPaused: () => undefined,
    });
    lanes.push(wakeups);
    const relay = lane();
    const both = async () => {
      await write(1);
      await world.create("plain", "noop");
      await world.db.raw("update outbox set due_at = clock_timestamp()");
      await pass(wakeups.loop);
      await pass(relay.loop);
    };
    queue.away = true;
    await both();
    expect([queue.ids().length, taken().length]).toEqual([0, 1]);
    queue.away = false;
    bus.away = true;
    nowMs += 2 * lanePauseBaseMs;
    await both();
    expect([queue.ids().length, taken().length]).toEqual([2, 1]);
  });
});

test("each lane tells what is due, how late it is and what failed, and the status tells both together", async () => {
  expect(await world.db.query(outboxLanes, {})).toEqual([
    { lane: "sqs", pending: 0, oldest_ms: null, failed: 0 },
    { lane: "events", pending: 0, oldest_ms: null, failed: 0 },
  ]);
  await write(150);
  await world.create("plain", "noop"); // not due yet
  await world.db.raw("update outbox set due_at = due_at - interval '1 hour' where lane = 'events'");
  await world.db.raw(`insert into outbox_tries (outbox_id, lane, queue_id, task_ids, tries, last_error, failed)
    values (1000, 'sqs', 1, array[gen_random_uuid()], 20, 'no', true), (1001, 'sqs', 1, array[gen_random_uuid()], 1, 'no', false)`);
  const hour = expect.toSatisfy((ms: number) => ms >= 3_600_000 && ms < 3_660_000);
  expect(await world.db.query(outboxLanes, {})).toEqual([
    { lane: "sqs", pending: 0, oldest_ms: null, failed: 1 },
    { lane: "events", pending: 2, oldest_ms: hour, failed: 0 },
  ]);
  expect(await world.db.query(outboxStatus, {})).toEqual([{ pending: 2, oldest_ms: hour, failed: 1 }]);
});

test("a row of one lane cannot hold what is of the other", async () => {
  const insert = (lane: string, queue: string, ids: string, json: string) =>
    world.db.raw(
      `insert into outbox (lane, due_at, queue_id, task_ids, events) values ('${lane}', now(), ${queue}, ${ids}, ${json})`,
    );
  const ids = "array[gen_random_uuid()]";
  await insert("sqs", "1", ids, "null");
  await insert("events", "null", "null", "'[{}]'");
  for (const [lane, queue, tasks, json] of [
    ["sqs", "1", "null", "null"],
    ["sqs", "null", ids, "null"],
    ["sqs", "1", ids, "'[{}]'"],
    ["events", "null", "null", "null"],
    ["events", "1", "null", "'[{}]'"],
    ["events", "null", "null", "'[]'"],
    ["other", "1", ids, "null"],
  ] as const) {
    await expect(insert(lane, queue, tasks, json)).rejects.toThrow("check constraint");
  }
});
