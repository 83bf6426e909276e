/** Creating tasks: answers by item, dedupe keys in every state and race, one live task per output, hostile payloads. */
import { payloadBytesMax } from "@trace/contracts";
import { Database, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { forgetTaskKeys } from "./sql/statements.gen.ts";
import { diamondDag, noopDag, until, World, waitingForLocks } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const noop = { dag: "plain", job: "noop", priority: 0, payload: {} };
const tracked = { dag: "diamond", job: "a", priority: 0, payload: {} };

async function create(...items: Partial<typeof noop & { dedupe_key: string; run_at: string }>[]) {
  return world.tasks.create(
    world.orgId,
    items.map((item) => ({ ...noop, ...item })),
  );
}

describe("a batch", () => {
  test("answers item by item, in order, and a bad item does not stop the good ones", async () => {
    const answers = await create({}, { job: "nothing" }, { dag: "nowhere" }, { payload: { a: "\0" } }, {});
    expect(answers.map((answer) => answer.error?.code ?? answer.created)).toEqual([
      true,
      "TR-3010",
      "TR-3010",
      "TR-1002",
      true,
    ]);
    expect(await world.count("tasks")).toBe(2);
    expect(await world.count("ready")).toBe(2);
  });

  test("of 10,000 tasks is created whole, with ten outbox rows of 1,000 ids", async () => {
    const ids = await world.create("plain", "noop", 10_000);
    expect(new Set(ids).size).toBe(10_000);
    expect(await world.count("ready")).toBe(10_000);
    const rows = await world.db.raw<{ n: number }>("select cardinality(task_ids) as n from outbox");
    expect(rows.map((row) => row.n)).toEqual(Array.from({ length: 10 }, () => 1_000));
    const [told] = await world.db.raw("select count(distinct id)::int as n from outbox, unnest(task_ids) as id");
    expect(told).toEqual({ n: 10_000 });
  });

  test("in which every item is bad creates nothing and writes no wake-up", async () => {
    const answers = await create({ job: "nothing" });
    expect(answers[0]).toMatchObject({ created: false, error: { code: "TR-3010" } });
    expect(await world.count("outbox")).toBe(0);
    expect(await world.count("tasks")).toBe(0);
  });

  test("puts a task of the future among the ready ones with its wake-up due then", async () => {
    const [answer] = await create({ run_at: "2999-01-01T12:00:00+02:00" });
    expect((await world.task(answer?.task_id ?? "")).run_at).toBe("2999-01-01T10:00:00.000Z");
    const [row] = await world.db.raw<{ due_at: Date }>("select due_at from outbox");
    expect(row?.due_at.toISOString()).toBe("2999-01-01T10:00:00.000Z");
    expect(await world.claim(await world.session(), 10)).toEqual([]);
  });
});

describe("a dedupe key", () => {
  const keyed = { dedupe_key: "k" };

  async function again(): Promise<unknown> {
    const [answer] = await create(keyed);
    return answer;
  }

  test("used twice in one call makes one task", async () => {
    const [first, second, other] = await create(keyed, keyed, { dedupe_key: "l" });
    expect(first?.created).toBe(true);
    expect(second).toEqual({ task_id: first?.task_id, created: false });
    expect(other?.created).toBe(true);
    expect(await world.count("tasks")).toBe(2);
  });

  test("of another job is another key", async () => {
    const answers = await create(keyed, { ...keyed, job: "other" });
    expect(answers.map((answer) => answer.created)).toEqual([true, true]);
  });

  test("answers with the first task while it is queued, running, completed and dead", async () => {
    const [first] = await create(keyed);
    const same = { task_id: first?.task_id, created: false };
    expect(await again()).toEqual(same);
    const task = await world.claimOne();
    expect(await again()).toEqual(same);
    await world.succeed(task);
    expect((await world.task(task.task_id)).state).toBe("completed");
    expect(await again()).toEqual(same);
    expect(await world.count("tasks")).toBe(1);

    const [doomed] = await create({ dedupe_key: "dead" });
    await world.fail(await world.claimOne(), "TR-5200");
    expect((await world.task(doomed?.task_id ?? "")).state).toBe("dead");
    expect((await create({ dedupe_key: "dead" }))[0]).toEqual({ task_id: doomed?.task_id, created: false });
  });

  test("raced by many creators makes one task, and all are answered with it", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => create(keyed, { dedupe_key: "m" })));
    for (const index of [0, 1]) {
      expect(new Set(answers.map((answer) => answer[index]?.task_id)).size).toBe(1);
      expect(answers.filter((answer) => answer[index]?.created)).toHaveLength(1);
    }
    expect(await world.count("tasks")).toBe(2);
  });

  test("taken by a transaction that rolls back goes to the creator who waited for it", async () => {
    const other = new Database({ url: world.url, name: "other", log: silentLog(), connectionsMax: 1 });
    const first = await other.session();
    try {
      await first.raw("begin");
      await first.raw(
        "insert into task_keys (job_id, dedupe_key, task_public_id) select job_id, 'k', gen_random_uuid() from jobs where name = 'noop'",
      );
      const second = create(keyed);
      await until(async () => (await waitingForLocks(world.db)) === 1);
      await first.raw("rollback");
      expect((await second)[0]?.created).toBe(true);
      expect(await world.count("tasks")).toBe(1);
    } finally {
      first.release(true);
      await other.stop();
    }
  });

  test("is given back when its task is refused because the output is busy", async () => {
    const live = (await world.create("diamond", "a"))[0];
    const refused = await create({ ...tracked, ...keyed }, { ...tracked, ...keyed });
    for (const answer of refused)
      expect(answer).toMatchObject({ created: false, task_id: live, error: { code: "TR-3011" } });
    expect(await world.count("task_keys")).toBe(0);
    await world.fail(await world.claimOne(), "TR-5200");
    const [now] = await create({ ...tracked, ...keyed });
    expect(now?.created).toBe(true);
    expect((await world.task(now?.task_id ?? "")).state).toBe("queued");
  });

  test("of 256 characters beyond ASCII is kept, and NUL in it is refused by name", async () => {
    const [long, bad] = await create({ dedupe_key: "ü".repeat(256) }, { dedupe_key: "a\0b" });
    expect(long?.created).toBe(true);
    expect(bad?.error).toMatchObject({ code: "TR-1002", where: "dedupe_key" });
  });
});

describe("keys are forgotten", () => {
  const day = 24 * 3_600_000;
  const forget = () => world.db.query(forgetTaskKeys, { older_than_ms: 30 * day, limit: 100 });
  const age = (table: "task_keys" | "outcomes", column: string) =>
    world.db.raw(`update ${table} set ${column} = ${column} - interval '31 days'`);

  test("30 days after their task has ended, and not while it lives", async () => {
    await create({ dedupe_key: "old" });
    await age("task_keys", "created_at");
    await forget();
    expect(await world.count("task_keys")).toBe(1);

    const [task] = await world.claim(await world.session());
    if (task === undefined) throw new Error("nothing was claimed");
    await world.succeed(task);
    await forget();
    expect(await world.count("task_keys")).toBe(1);

    await age("outcomes", "ended_at");
    await forget();
    expect(await world.count("task_keys")).toBe(0);
    expect(await create({ dedupe_key: "old" })).toMatchObject([{ created: true }]);
  });
});

describe("one live task per output", () => {
  test("a second create is told which one", async () => {
    const [first, second] = await create(tracked, tracked);
    expect(second).toMatchObject({ created: false, task_id: first?.task_id, error: { code: "TR-3011" } });
    expect((await create(tracked))[0]).toMatchObject({ task_id: first?.task_id, error: { code: "TR-3011" } });
  });

  test("raced by many creators makes one", async () => {
    const answers = (await Promise.all(Array.from({ length: 15 }, () => create(tracked)))).flat();
    expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.task_id)).size).toBe(1);
    expect(await world.count("live_outputs")).toBe(1);
  });

  test("frees the output when the task ends, well or not", async () => {
    await create(tracked);
    expect(await world.succeed(await world.claimOne())).toMatchObject({ accepted: true });
    expect((await create(tracked))[0]?.created).toBe(true);
  });

  test("a run that cannot start all of its jobs starts none", async () => {
    const [live] = await create(tracked);
    await expect(world.runs.start(world.orgId, "diamond", undefined)).rejects.toMatchObject({ code: "TR-3011" });
    expect(await world.count("runs")).toBe(0);
    expect(await world.count("tasks")).toBe(1);
    await expect(world.runs.start(world.orgId, "diamond", ["nothing"])).rejects.toMatchObject({ code: "TR-3010" });
    await expect(world.runs.start(world.orgId, "nowhere", undefined)).rejects.toMatchObject({ code: "TR-1006" });
    expect(live?.created).toBe(true);
  });
});

describe("a payload", () => {
  async function roundTrip(payload: Record<string, unknown>): Promise<unknown> {
    await create({ payload });
    return (await world.claimOne()).payload;
  }

  test("comes back as it was sent: unicode, escapes, deep and empty values, hostile names", async () => {
    const payload = {
      text: "żółć 漢字 👩‍🚀 \u2028 \\ \" ' $1 ; drop table tasks; --",
      control: "\u0001\u001f\u007f",
      numbers: [0, -0.5, 1e300, Number.MAX_SAFE_INTEGER],
      empty: [{}, [], "", null, false],
      "": "empty name",
      constructor: { prototype: 1 },
    };
    expect(await roundTrip(payload)).toEqual(payload);
  });

  test("that Postgres cannot keep is a clear refusal of its item", async () => {
    const deep = JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`) as unknown;
    const answers = await create(
      { payload: { a: "\0" } },
      { payload: { a: [{ b: "\ud800" }] } },
      { payload: { "\0": 1 } },
      { payload: { deep } },
      { payload: { big: "x".repeat(payloadBytesMax) } },
      { payload: { good: true } },
    );
    expect(answers.map((answer) => answer.error?.code)).toEqual([
      ...Array.from({ length: 5 }, () => "TR-1002"),
      undefined,
    ]);
    expect(answers[4]?.error?.detail).toMatch(/262144/);
    expect(await world.count("tasks")).toBe(1);
  });

  test("with a run_at that no Postgres knows is a clear refusal of its item", async () => {
    const answers = await create(
      { run_at: "0000-01-01T00:00:00Z" },
      { run_at: "9999-12-31T23:59:59-12:00" },
      { run_at: "2020-01-01T00:00:00+23:00" },
    );
    expect(answers.map((answer) => answer.error?.code)).toEqual(["TR-1002", "TR-1002", undefined]);
  });
});

describe("listing tasks", () => {
  test("pages through all of them once, newest first, and refuses a cursor that is none", async () => {
    await world.create("plain", "noop", 7);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await world.listing.list(world.orgId, { limit: 3, cursor });
      seen.push(...page.tasks.map((task) => task.task_id));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(7);
    for (const bad of ["", "x", "' or 1=1 --", Buffer.from("-1").toString("base64url")]) {
      await expect(world.listing.list(world.orgId, { limit: 3, cursor: bad })).rejects.toMatchObject({
        code: "TR-1002",
      });
    }
  });

  test("of another organisation shows nothing", async () => {
    const [id] = await world.create("plain", "noop");
    expect((await world.listing.list(world.orgId + 1, { limit: 3 })).tasks).toEqual([]);
    await expect(world.listing.get(world.orgId + 1, id ?? "")).rejects.toMatchObject({ code: "TR-1006" });
  });
});
