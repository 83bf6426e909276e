/** The outbox lane and the reconciler: what was decided is said, at least once, whatever is away for a while. */
import { Database, silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { outboxTriesMax, reconcileAfterMs } from "../limits.ts";
import { MemoryQueue } from "../testing/fakes.ts";
import { noopDag, pass, until, World } from "../testing/world.ts";
import { OutboxLane } from "./outbox.ts";
import { createReconciler } from "./reconciler.ts";

let world: World;
let queue: MemoryQueue;
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
});
afterEach(async () => {
  for (const lane of lanes.splice(0)) await lane.stop();
  for (const db of databases.splice(0)) await db.stop();
});

function lane(options: { db?: Database; to?: MemoryQueue; onPaused?: (paused: boolean) => void } = {}): OutboxLane {
  const made = new OutboxLane({
    db: options.db ?? world.db,
    queue: (options.to ?? queue).asMessageQueue(),
    queueName: () => "default",
    log: silentLog(),
    onSent: () => undefined,
    onPaused: options.onPaused ?? (() => undefined),
  });
  lanes.push(made);
  return made;
}

function another(name: string): Database {
  const db = new Database({ url: world.url, name, log: silentLog(), connectionsMax: 3 });
  databases.push(db);
  return db;
}

describe("the outbox", () => {
  test("row is written by the transaction that creates the task, and by no other", async () => {
    const other = another("other");
    const failing = other.transaction(async (tx) => {
      await world.tasks.createIn(tx, world.orgId, [{ dag: "plain", job: "noop", priority: 0, payload: {} }], null);
      throw new Error("changed its mind");
    });
    await expect(failing).rejects.toThrow("changed its mind");
    expect(await world.count("outbox")).toBe(0);
    expect(await world.count("tasks")).toBe(0);
    const ids = await world.create("plain", "noop", 3);
    expect(await world.db.raw("select task_ids from outbox")).toEqual([{ task_ids: ids }]);
  });

  test("is sent in messages of at most 100 ids and then deleted", async () => {
    const ids = await world.create("plain", "noop", 250);
    await pass(lane().loop);
    expect(queue.sent.map((message) => message.queue)).toEqual(["trace-default", "trace-default", "trace-default"]);
    expect(queue.sent.map(({ body }) => body.task_ids.length)).toEqual([100, 100, 50]);
    expect(new Set(queue.ids())).toEqual(new Set(ids));
    expect(await world.count("outbox")).toBe(0);
  });

  test("merges the rows of single creates into few messages", async () => {
    for (let n = 0; n < 30; n += 1) await world.create("plain", "noop");
    expect(await world.count("outbox")).toBe(30);
    await pass(lane().loop);
    expect(queue.sent).toHaveLength(1);
    expect(queue.ids()).toHaveLength(30);
  });

  test("keeps a row until it is due", async () => {
    await world.create("plain", "noop", 1, { run_at: "2999-01-01T00:00:00Z" });
    const relay = lane();
    await pass(relay.loop);
    expect(queue.sent).toEqual([]);
    expect(await world.count("outbox")).toBe(1);
    await world.db.raw("update outbox set due_at = clock_timestamp()");
    await pass(relay.loop);
    expect(queue.sent).toHaveLength(1);
    expect(await world.count("outbox")).toBe(0);
  });

  test("pauses while SQS is away, keeps its rows, blames none, and goes on afterwards", async () => {
    const ids = await world.create("plain", "noop", 2);
    const paused: boolean[] = [];
    const relay = lane({ onPaused: (now) => paused.push(now) });
    queue.away = true;
    await pass(relay.loop);
    await pass(relay.loop);
    expect(queue.calls).toBe(1); // the second pass found the lane paused
    expect(paused).toEqual([true]);
    expect(await world.count("outbox")).toBe(1);
    expect(await world.count("outbox_tries")).toBe(0);
    queue.away = false;
    await relay.start();
    await relay.sent.next(10_000);
    expect(queue.ids()).toEqual(ids);
    await until(() => Promise.resolve(paused.length === 2));
    expect(paused).toEqual([true, false]);
  });

  test("counts a try only for the row whose ids were refused, and keeps it as failed at the bound", async () => {
    const good = (await world.create("plain", "noop", 100))[0];
    const [bad = ""] = await world.create("plain", "noop");
    queue.refuse = (ids) => (ids.includes(bad) ? "InvalidMessageContents: no" : undefined);
    const relay = lane();
    await pass(relay.loop);
    expect(queue.ids()).toContain(good);
    expect(await world.count("outbox")).toBe(1);
    expect(await world.db.raw("select tries, failed, last_error from outbox_tries")).toEqual([
      { tries: 1, failed: false, last_error: "InvalidMessageContents: no" },
    ]);
    for (let tries = 2; tries <= outboxTriesMax; tries += 1) await pass(relay.loop);
    expect(await world.count("outbox")).toBe(0);
    expect(await world.db.raw("select tries, failed, task_ids from outbox_tries")).toEqual([
      { tries: outboxTriesMax, failed: true, task_ids: [bad] },
    ]);
    const calls = queue.calls;
    await pass(relay.loop);
    expect(queue.calls).toBe(calls);
  });

  test("forgets the tries of a row that was taken in the end", async () => {
    await world.create("plain", "noop");
    queue.refuse = () => "InvalidMessageContents: no";
    const relay = lane();
    await pass(relay.loop);
    queue.refuse = () => undefined;
    await pass(relay.loop);
    expect(await world.count("outbox")).toBe(0);
    expect(await world.count("outbox_tries")).toBe(0);
  });

  test("is relayed by one of two dispatchers; when the connection of that one is killed, the other takes over", async () => {
    const [first, second] = [new MemoryQueue(), new MemoryQueue()];
    const [holder, waiter] = [another("holder"), another("waiter")];
    const [one, two] = [lane({ db: holder, to: first }), lane({ db: waiter, to: second })];
    await one.loop.start();
    await one.loop.passed.next(10_000);
    await world.create("plain", "noop");
    await pass(two.loop);
    expect(second.sent).toEqual([]);
    one.nudge();
    await until(async () => first.sent.length === 1 && (await world.count("outbox")) === 0);
    // The first one's process dies: its loop makes no pass any more, and Postgres ends its connections.
    await one.loop.stop();
    await world.db.raw(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'holder'",
    );
    await world.create("plain", "noop");
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
    await world.create("plain", "noop");
    await relay.start();
    await relay.sent.next(15_000);
    expect(queue.sent).toHaveLength(1);
  });
});

describe("the reconciler", () => {
  function reconciler(lastClaimMs: () => number | undefined = () => undefined) {
    return createReconciler({ db: world.db, log: silentLog(), lastClaimMs, onReady: () => undefined });
  }

  /** A task whose wake-up was lost, and that waits longer than the bound. */
  async function forgotten(): Promise<string[]> {
    const ids = await world.create("plain", "noop", 3);
    await world.db.raw("delete from outbox");
    const ago = `clock_timestamp() - interval '${2 * reconcileAfterMs} milliseconds'`;
    await world.db.raw(`update ready set ready_at = ${ago}, run_at = ${ago}`);
    return ids;
  }

  test("speaks again for tasks whose wake-ups were lost", async () => {
    const ids = await forgotten();
    await world.session();
    await pass(reconciler());
    const [row] = await world.db.raw<{ task_ids: string[] }>("select task_ids from outbox");
    expect([...(row?.task_ids ?? [])].sort()).toEqual([...ids].sort());
  });

  test("is silent while claims are made, while nothing waits long, and while no worker lives", async () => {
    const silent = async (loop: ReturnType<typeof reconciler>) => {
      await pass(loop);
      expect(await world.count("outbox")).toBe(0);
    };
    await forgotten();
    await silent(reconciler());
    await world.session();
    await silent(reconciler(() => performance.now()));
    await world.db.raw("update ready set ready_at = clock_timestamp()");
    await silent(reconciler());
  });

  test("adds nothing while its last words are still unsent, and speaks ever more rarely when nobody claims", async () => {
    await forgotten();
    await world.session();
    await pass(reconciler());
    await pass(reconciler()); // as another dispatcher, or the same one after a restart
    expect(await world.count("outbox")).toBe(1);
    const loop = reconciler();
    await world.db.raw("delete from outbox");
    await pass(loop);
    expect(await world.count("outbox")).toBe(1);
    await world.db.raw("delete from outbox");
    await pass(loop);
    expect(await world.count("outbox")).toBe(0);
  });
});
