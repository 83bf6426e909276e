/** The loop of the outbox lane: what was decided is said, at least once, whatever is away for a while. */
import { Database, silentLog, TestRace } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  failedKeptMs,
  lanePauseBaseMs,
  outboxLagMs,
  outboxRowsMax,
  outboxSweepEveryMs,
  outboxTriesMax,
  wakeupLateMs,
  wakeupSendsInFlightMax,
} from "../limits.ts";
import { MemoryQueue } from "../testing/fakes.ts";
import { noopDag, pass, until, World } from "../testing/world.ts";
import { OutboxLane } from "./outbox.ts";
import { FailedRows } from "./outbox-failed.ts";

let world: World;
let queue: MemoryQueue;
let nowMs: number;
let paused: boolean[];
const lanes: OutboxLane[] = [];
const databases: Database[] = [];

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  queue = new MemoryQueue();
  nowMs = 0;
  paused = [];
});
afterEach(async () => {
  for (const lane of lanes.splice(0)) await lane.stop();
  for (const db of databases.splice(0)) await db.stop();
});

function lane(options: { db?: Database; to?: MemoryQueue; race?: TestRace } = {}): OutboxLane {
  const made = new OutboxLane({
    db: options.db ?? world.db,
    queue: (options.to ?? queue).asMessageQueue(),
    queueName: () => "default",
    log: silentLog(),
    random: () => 0.5,
    monotonicMs: () => nowMs,
    ...(options.race === undefined ? {} : { race: options.race }),
    onSent: () => undefined,
    onPaused: (now) => paused.push(now),
  });
  lanes.push(made);
  return made;
}

function another(name: string): Database {
  const db = new Database({ url: world.url, name, log: silentLog(), connectionsMax: 3 });
  databases.push(db);
  return db;
}

/** Tasks whose wake-ups nobody sent when they were written, and that are due. */
async function overdue(count = 1, times = 1, agoMs = 0): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < times; n += 1) ids.push(...(await world.create("plain", "noop", count)));
  await makeDue(agoMs);
  return ids;
}

/** Time passes until every row of the outbox is due, for so long. */
async function makeDue(agoMs = 0): Promise<void> {
  await world.db.raw(`update outbox set due_at = clock_timestamp() - interval '${agoMs} ms'`);
}

/** Passes until the lane is read to its end. */
async function drain(relay: OutboxLane): Promise<void> {
  const ended = relay.loop.passed.next(20_000, (result) => result === "idle");
  await relay.loop.start();
  await ended;
  await relay.loop.stop();
}

const rows = () => world.count("outbox");
const tries = () => world.db.raw("select tries, failed, last_error, task_ids from outbox_tries");

describe("the outbox", () => {
  test("row is written by the transaction that creates the task, and by no other", async () => {
    const other = another("other");
    const failing = other.transaction(async (tx) => {
      await world.tasks.createIn(tx, world.orgId, [{ dag: "plain", job: "noop", priority: 0, payload: {} }], null);
      throw new Error("changed its mind");
    });
    await expect(failing).rejects.toThrow("changed its mind");
    expect(await rows()).toBe(0);
    expect(await world.count("tasks")).toBe(0);
    const ids = await world.create("plain", "noop", 3);
    expect(await world.db.raw("select task_ids from outbox")).toEqual([{ task_ids: ids }]);
  });

  test("is sent in messages of at most 100 ids and then deleted", async () => {
    const ids = await overdue(250);
    await pass(lane().loop);
    expect(queue.sent.map((message) => message.queue)).toEqual(["trace-default", "trace-default", "trace-default"]);
    expect(queue.sent.map(({ body }) => body.task_ids.length)).toEqual([100, 100, 50]);
    expect(new Set(queue.ids())).toEqual(new Set(ids));
    expect(await rows()).toBe(0);
  });

  test("merges the rows of single creates into few messages", async () => {
    await overdue(1, 30);
    expect(await rows()).toBe(30);
    await pass(lane().loop);
    expect(queue.sent).toHaveLength(1);
    expect(queue.ids()).toHaveLength(30);
  });

  test("keeps a row until it is due", async () => {
    await world.create("plain", "noop", 1, { run_at: "2999-01-01T00:00:00Z" });
    const relay = lane();
    await pass(relay.loop);
    expect(queue.sent).toEqual([]);
    expect(await rows()).toBe(1);
    await makeDue();
    await pass(relay.loop);
    expect(queue.sent).toHaveLength(1);
    expect(await rows()).toBe(0);
  });

  test("of more rows than one look takes is read on from where the last one ended", async () => {
    const ids = await overdue(1, outboxRowsMax + 1);
    const relay = lane();
    await drain(relay);
    expect(queue.calls).toBe(2);
    expect([...queue.ids()].sort()).toEqual([...ids].sort());
    expect(await rows()).toBe(0);
  });

  test("finds a row that was committed long after it came due, when it looks at the whole lane again", async () => {
    const relay = lane();
    await pass(relay.loop);
    await overdue(1, 1, 2 * outboxLagMs);
    nowMs += outboxSweepEveryMs - 1;
    await pass(relay.loop);
    expect(queue.calls).toBe(0);
    nowMs += outboxSweepEveryMs;
    await pass(relay.loop);
    expect(queue.calls).toBe(1);
  });

  test("leaves out of wake-ups that are long overdue the tasks that were claimed meanwhile", async () => {
    const ids = await overdue(3, 1, 2 * wakeupLateMs);
    const [first = "", second = ""] = ids;
    await world.claim(await world.session(), 2, [first, second]);
    await pass(lane().loop);
    expect(queue.ids()).toEqual(ids.slice(2));
    expect(await rows()).toBe(0);
  });

  test("deletes a wake-up that is long overdue and says nothing any more", async () => {
    await overdue(1, 1, 2 * wakeupLateMs);
    await world.claimOne();
    await pass(lane().loop);
    expect(queue.calls).toBe(0);
    expect(await rows()).toBe(0);
  });
});

describe("while SQS is away, the outbox", () => {
  test("pauses, keeps its rows, blames none, and goes on afterwards", async () => {
    const ids = await overdue(2);
    const relay = lane();
    queue.away = true;
    await pass(relay.loop);
    await pass(relay.loop);
    expect(queue.calls).toBe(1); // the second pass found the lane paused
    expect(paused).toEqual([true]);
    expect(await rows()).toBe(1);
    expect(await world.count("outbox_tries")).toBe(0);
    queue.away = false;
    nowMs += lanePauseBaseMs;
    await pass(relay.loop);
    expect(queue.ids()).toEqual(ids);
    expect(paused).toEqual([true, false]);
    expect(await rows()).toBe(0);
  });

  test("tries with one row, and sends the others when that was taken", async () => {
    const ids = await overdue(1, 30);
    const relay = lane();
    queue.away = true;
    await pass(relay.loop);
    nowMs += lanePauseBaseMs;
    await pass(relay.loop);
    expect(queue.calls).toBe(2);
    queue.away = false;
    nowMs += 2 * lanePauseBaseMs;
    await drain(relay);
    expect(queue.sent.map(({ body }) => body.task_ids.length)).toEqual([1, 29]);
    expect([...queue.ids()].sort()).toEqual([...ids].sort());
    expect(await rows()).toBe(0);
  });

  test("starts no call after one that failed, and sends nothing twice that was taken before", async () => {
    const ids = await overdue(1_000, 16);
    const relay = lane();
    queue.takes = 5;
    await pass(relay.loop);
    expect(queue.ids()).toHaveLength(5_000);
    expect(queue.calls).toBeLessThanOrEqual(5 + wakeupSendsInFlightMax);
    expect(await rows()).toBe(11);
    queue.takes = Number.POSITIVE_INFINITY;
    nowMs += lanePauseBaseMs;
    await drain(relay);
    expect([...queue.ids()].sort()).toEqual([...ids].sort());
  });
});

describe("an entry that SQS does not take", () => {
  test("by no fault of the row leaves its ids in the row, and nothing else; no try is counted", async () => {
    const ids = await overdue(250);
    queue.fail = (some) => some.includes(ids[150] ?? "");
    const relay = lane();
    await pass(relay.loop);
    expect(await world.db.raw("select task_ids from outbox")).toEqual([{ task_ids: ids.slice(100, 200) }]);
    expect(paused).toEqual([]);
    queue.fail = () => false;
    await pass(relay.loop);
    expect(queue.ids()).toEqual([...ids.slice(0, 100), ...ids.slice(200), ...ids.slice(100, 200)]);
    expect(await rows()).toBe(0);
    expect(await world.count("outbox_tries")).toBe(0);
  });

  test("counts a try only for the row whose ids were refused, lets it wait, and keeps it as failed at the bound", async () => {
    const good = (await overdue(100))[0];
    const [bad = ""] = await overdue();
    queue.refuse = (ids) => (ids.includes(bad) ? "InvalidMessageContents: no" : undefined);
    const relay = lane();
    await pass(relay.loop);
    expect(queue.ids()).toContain(good);
    const refused = { last_error: "InvalidMessageContents: no", task_ids: [bad] };
    expect(await tries()).toEqual([{ tries: 1, failed: false, ...refused }]);
    expect(await world.count("outbox", "due_at > clock_timestamp()")).toBe(1);
    for (let n = 2; n <= outboxTriesMax; n += 1) {
      await makeDue();
      await pass(relay.loop);
    }
    expect(await rows()).toBe(0);
    expect(await tries()).toEqual([{ tries: outboxTriesMax, failed: true, ...refused }]);
    const calls = queue.calls;
    await pass(relay.loop);
    expect(queue.calls).toBe(calls);
  });

  test("is all that is sent again of its row", async () => {
    const ids = await overdue(250);
    queue.refuse = (some) => (some.includes(ids[150] ?? "") ? "InvalidMessageContents: no" : undefined);
    const relay = lane();
    await pass(relay.loop);
    queue.refuse = () => undefined;
    await makeDue();
    await pass(relay.loop);
    expect(queue.ids()).toHaveLength(250);
    expect(await rows()).toBe(0);
    // The tries of a row that was taken in the end are forgotten.
    expect(await world.count("outbox_tries")).toBe(0);
  });
});

describe("a failed row", () => {
  const failed = new FailedRows(
    new Proxy({} as Database, { get: (_, name) => Reflect.get(world.db, name).bind(world.db) }),
    silentLog(),
  );

  async function fail(): Promise<string[]> {
    const ids = await overdue(2);
    await world.db.raw(`with gone as (delete from outbox returning *)
      insert into outbox_tries (outbox_id, lane, queue_id, task_ids, tries, last_error, failed)
      select outbox_id, lane, queue_id, task_ids, ${outboxTriesMax}, 'InvalidMessageContents: no', true from gone`);
    return ids;
  }

  test("can be looked at, and goes back to its lane once", async () => {
    const ids = await fail();
    const { messages, more } = await failed.list(10);
    expect(messages).toEqual([
      {
        outbox_id: expect.any(Number),
        lane: "sqs",
        queue: "default",
        entries: 2,
        event_types: [],
        tries: outboxTriesMax,
        last_error: "InvalidMessageContents: no",
        last_tried_at: expect.stringMatching(/^20.*Z$/),
      },
    ]);
    expect(more).toBe(false);
    const id = messages[0]?.outbox_id ?? 0;
    await world.db.raw(`insert into outbox_tries (outbox_id, lane, queue_id, task_ids, tries, last_error)
      select outbox_id + 1, lane, queue_id, task_ids, 1, last_error from outbox_tries`);
    const refused = (outbox_id: number) => ({
      outbox_id,
      accepted: false,
      error: expect.objectContaining({ code: "TR-1006" }),
    });
    expect(await failed.requeue("owner", [id + 1, id])).toEqual([refused(id + 1), { outbox_id: id, accepted: true }]);
    expect(await failed.requeue("owner", [id])).toEqual([refused(id)]);
    expect((await failed.list(10)).messages).toEqual([]);
    await pass(lane().loop);
    expect(queue.ids()).toEqual(ids);
    expect(await world.count("outbox_tries", "failed")).toBe(0);
  });

  test("of events is told by their types, each once; of more than the limit the newest come first", async () => {
    await fail();
    const events = ["task.dead", "task.completed", "task.dead"].map((type) => ({ type, detail: {} }));
    await world.db.raw(`insert into outbox_tries (outbox_id, lane, events, tries, last_error, failed)
      select max(outbox_id) + 1, 'events', '${JSON.stringify(events)}', ${outboxTriesMax}, 'MalformedDetail: no', true from outbox_tries`);
    const { messages, more } = await failed.list(1);
    expect(messages).toMatchObject([
      { lane: "events", queue: null, entries: 3, event_types: ["task.completed", "task.dead"] },
    ]);
    expect(more).toBe(true);
    expect((await failed.list(2)).more).toBe(false);
    const id = messages[0]?.outbox_id ?? 0;
    expect(await failed.requeue("owner", [id])).toEqual([{ outbox_id: id, accepted: true }]);
    expect(await world.db.raw("select lane, events from outbox")).toEqual([{ lane: "events", events }]);
  });

  test("is forgotten when nobody looked at it for a month, and not before", async () => {
    await fail();
    await pass(lane().loop);
    expect(await world.count("outbox_tries")).toBe(1);
    await world.db.raw(`update outbox_tries set last_tried_at = clock_timestamp() - interval '${failedKeptMs} ms'`);
    await lanes[0]?.stop();
    await pass(lane().loop);
    expect(await world.count("outbox_tries")).toBe(0);
  });
});

describe("the lane", () => {
  test("sends a row again that was taken when the process died before it deleted it: twice, which is harmless", async () => {
    const ids = await overdue();
    const race = new TestRace();
    const died = race.pauseAt("outbox:sent");
    const first = lane({ race });
    await first.start();
    await died.reached;
    died.fail(new Error("the process died here"));
    await first.stop();
    expect(await rows()).toBe(1);
    await pass(lane().loop);
    expect(queue.ids()).toEqual([...ids, ...ids]);
    expect(await rows()).toBe(0);
  });

  test("is relayed by one of two dispatchers; when the connection of that one is killed, the other takes over", async () => {
    const [first, second] = [new MemoryQueue(), new MemoryQueue()];
    const [holder, waiter] = [another("holder"), another("waiter")];
    const [one, two] = [lane({ db: holder, to: first }), lane({ db: waiter, to: second })];
    await one.loop.start();
    await one.loop.passed.next(10_000);
    await overdue();
    await pass(two.loop);
    expect(second.sent).toEqual([]);
    one.loop.nudge();
    await until(async () => first.sent.length === 1 && (await world.count("outbox")) === 0);
    // The first one's process dies: its loop makes no pass any more, and Postgres ends its connections.
    await one.loop.stop();
    await world.db.raw(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'holder'",
    );
    await overdue();
    await two.loop.start();
    await two.sent.next(10_000);
    expect(first.sent).toHaveLength(1);
    expect(second.sent).toHaveLength(1);
  });

  test("held by a dispatcher that loses its connection and lives on is sent once it has the lane again", async () => {
    const db = another("survivor");
    const relay = lane({ db });
    await pass(relay.loop);
    await db.raw(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'survivor' and pid <> pg_backend_pid()",
    );
    await overdue();
    await relay.start();
    await relay.sent.next(15_000);
    expect(queue.sent).toHaveLength(1);
  });
});
