/** Limits of jobs: never more tasks of a job at once than it allows, whoever races, and no slot is ever lost. */
import type { ClaimedTask, Completion } from "@trace/contracts";
import { silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createAdmission } from "./loops/admission.ts";
import { strayedSlots } from "./sql/statements.gen.ts";
import { pass, World } from "./testing/world.ts";

let world: World;

const dag = (limit: number | undefined, extra = "") => `dag: narrow
jobs:
  one: { operator: noop, retries: 2${limit === undefined ? "" : `, max_concurrency: ${limit}`} }
  two: { operator: noop, max_concurrency: 1 }
${extra}`;

beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.clear();
  await world.deploy(dag(1));
});

const success: Completion["result"] = { kind: "success", outputs: [] };
const person = () => ({ orgId: world.orgId, name: "on-call" });
const admission = () => pass(createAdmission({ db: world.db, log: silentLog(), onReady: () => undefined }));

/** Ids in the order in which they would be claimed. */
async function ready(): Promise<string[]> {
  const rows = await world.db.raw<{ id: string }>(
    "select public_id as id from ready join tasks using (task_id) order by ready.priority, ready.run_at, task_id",
  );
  return rows.map((row) => row.id);
}

/** Every slot belongs to a task that is ready or leased, and each of those has one. */
async function whole(): Promise<void> {
  expect(await world.db.query(strayedSlots, {})).toEqual([]);
  const without = "limited and not exists (select 1 from job_slots s where s.task_id = tasks.task_id)";
  expect(await world.count("tasks join ready using (task_id)", without)).toBe(0);
  expect(await world.count("tasks join leases using (task_id)", without)).toBe(0);
}

describe("the slot is free again, and given to the next in the same transaction, when the one who has it", () => {
  const ends: [string, (task: ClaimedTask) => Promise<unknown>][] = [
    ["succeeds", (task) => world.complete(task, success)],
    ["fails and is to be tried again", (task) => world.fail(task)],
    ["dies", (task) => world.fail(task, "TR-5200")],
    ["snoozes", (task) => world.complete(task, { kind: "snooze", delay_ms: 60_000 })],
    ["is overdue", () => world.passDeadlines().then(() => world.reap())],
    ["is canceled", (task) => world.actions.cancel(person(), [task.task_id])],
  ];
  test.each(ends)("%s", async (_, end) => {
    const [first = "", second = "", third = ""] = await world.create("narrow", "one", 3);
    expect(await ready()).toEqual([first]);
    const task = await world.claimOne();
    await world.db.raw("delete from outbox");
    await end(task);
    expect(await ready()).toEqual([second]);
    expect(
      await world.db.raw("select task_ids from outbox where due_at < clock_timestamp() + interval '1 second'"),
    ).toEqual([{ task_ids: [second] }]);
    expect((await world.task(third)).waiting_for).toBe("slot");
    await whole();
  });

  test.each<[string, (task: ClaimedTask) => Promise<unknown>]>([
    ["is handed back", (task) => world.completions.release([task.lease_token])],
    ["snoozes for no time at all", (task) => world.complete(task, { kind: "snooze", delay_ms: 0 })],
    ["loses its lease", () => world.expireSessions().then(() => world.reap())],
  ])("%s, and goes behind those that have waited longer", async (_, end) => {
    const [first = "", second = ""] = await world.create("narrow", "one", 2);
    await end(await world.claimOne());
    expect(await ready()).toEqual([second]);
    await world.complete(await world.claimOne(), success);
    expect(await ready()).toEqual([first]);
    await whole();
  });

  test("of two that end in one call, both are given", async () => {
    await world.deploy(dag(2));
    const ids = await world.create("narrow", "one", 5);
    const tasks = await world.claim(await world.session(), 5);
    expect(tasks).toHaveLength(2);
    await world.completions.complete(tasks.map((task) => ({ lease_token: task.lease_token, result: success })));
    expect(await ready()).toEqual(ids.slice(2, 4));
    await whole();
  });
});

describe("a stale call", () => {
  test("frees no slot", async () => {
    const [, second = ""] = await world.create("narrow", "one", 2);
    const task = await world.claimOne();
    await world.expireSessions();
    expect(await world.complete(task, success)).toMatchObject({ accepted: false });
    expect(await world.completions.release([task.lease_token])).toMatchObject([{ accepted: false }]);
    expect(await ready()).toEqual([]);
    expect((await world.task(second)).waiting_for).toBe("slot");
    await whole();
  });
});

describe("a task that is put off", () => {
  test("holds no slot while it waits for its next try, and gets one when it is due and there is one", async () => {
    const [id = ""] = await world.create("narrow", "one");
    await world.fail(await world.claimOne());
    expect(await world.count("job_slots")).toBe(0);
    expect((await world.task(id)).waiting_for).toBe("due");
    await admission();
    expect(await ready()).toEqual([]);
    const [other = ""] = await world.create("narrow", "one");
    await world.makeDue();
    await admission();
    expect(await ready()).toEqual([other]);
    expect((await world.task(id)).waiting_for).toBe("slot");
    await world.complete(await world.claimOne(), success);
    expect(await world.claimOne()).toMatchObject({ task_id: id, attempt: 2 });
    await whole();
  });

  test("to a time of its own comes then, although nothing else happens to its job", async () => {
    const [id = ""] = await world.create("narrow", "one", 1, { run_at: "2999-01-01T00:00:00Z" });
    await admission();
    expect(await ready()).toEqual([]);
    await world.makeDue();
    await admission();
    expect(await ready()).toEqual([id]);
  });
});

describe("who gets the slot", () => {
  test("is the one with the lowest priority number, then the one that has been due longest", async () => {
    const [running = ""] = await world.create("narrow", "one");
    const task = await world.claimOne();
    const [late = ""] = await world.create("narrow", "one", 1, { priority: 5 });
    const [newer = ""] = await world.create("narrow", "one", 1, { run_at: "2020-01-02T00:00:00Z" });
    const [older = ""] = await world.create("narrow", "one", 1, { run_at: "2020-01-01T00:00:00Z" });
    const [urgent = ""] = await world.create("narrow", "one", 1, { priority: -100 });
    const order: string[] = [];
    for (let next: ClaimedTask | undefined = task; next !== undefined; ) {
      order.push(next.task_id);
      await world.complete(next, success);
      next = (await world.claim(await world.session()))[0];
    }
    expect(order).toEqual([running, urgent, older, newer, late]);
  });

  test("is of the same job: another job's slots are its own", async () => {
    const [one = ""] = await world.create("narrow", "one", 2);
    const [two = ""] = await world.create("narrow", "two", 2);
    expect((await ready()).sort()).toEqual([one, two].sort());
    const task = (await world.claim(await world.session(), 5)).find((claimed) => claimed.task_id === one);
    if (task === undefined) throw new Error("one was not claimed");
    await world.complete(task, success);
    expect(await world.count("job_slots s join jobs j using (job_id)", "j.name = 'two'")).toBe(1);
  });
});

describe("a deploy", () => {
  test("that raises the limit lets more run at the next pass, and not before a pass or an end", async () => {
    const ids = await world.create("narrow", "one", 5);
    await world.deploy(dag(3));
    expect(await ready()).toEqual(ids.slice(0, 1));
    await admission();
    expect((await ready()).sort()).toEqual(ids.slice(0, 3).sort());
    await whole();
  });

  test("that lowers the limit ends nobody, and lets nobody in until there are fewer", async () => {
    await world.deploy(dag(3));
    const ids = await world.create("narrow", "one", 6);
    const tasks = await world.claim(await world.session(), 6);
    expect(tasks).toHaveLength(3);
    await world.deploy(dag(1));
    await admission();
    for (const task of tasks.slice(0, 2)) {
      expect(await world.complete(task, success)).toMatchObject({ accepted: true });
      expect(await ready()).toEqual([]);
    }
    await world.complete(tasks[2] as ClaimedTask, success);
    expect(await ready()).toEqual(ids.slice(3, 4));
    await whole();
  });

  test("that takes the limit away lets all run, and those it does not limit are not counted when it comes back", async () => {
    const ids = await world.create("narrow", "one", 4);
    await world.deploy(dag(undefined));
    await admission();
    expect((await ready()).sort()).toEqual(ids.toSorted());
    const free = await world.create("narrow", "one", 3);
    expect(await world.claim(await world.session(), 10)).toHaveLength(7);
    await world.deploy(dag(1));
    expect(await world.count("job_slots")).toBe(4);
    expect(await world.count("tasks", `public_id = any ('{${free.join(",")}}') and limited`)).toBe(0);
    await whole();
  });

  test("that takes the job out lets what waits of it run, under its last limit", async () => {
    // A DAG of its own: here every version of `narrow` has been deployed before.
    await world.deploy("dag: going\njobs:\n  one: { operator: noop, max_concurrency: 1 }\n  two: { operator: noop }\n");
    const ids = await world.create("going", "one", 3);
    await world.deploy("dag: going\njobs:\n  two: { operator: noop }\n");
    const order: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const tasks = await world.claim(await world.session(), 5);
      expect(tasks).toHaveLength(1);
      for (const task of tasks) {
        order.push(task.task_id);
        await world.complete(task, success);
      }
    }
    expect(order).toEqual(ids);
  });
});

/**
 * Postgres itself watches: a slot beyond the limit, or a lease without a slot, fails the statement that made it. Answers with
 * the most slots there were at once.
 */
async function watched(limit: number, run: () => Promise<void>): Promise<number> {
  await world.db.raw(`
    create table slots_seen (n int);
    create function watch_slots() returns trigger language plpgsql as $$
    begin
      insert into slots_seen select max(n) from (select count(*) as n from job_slots group by job_id) s;
      if (select max(n) from slots_seen) > ${limit} then raise exception 'a slot beyond the limit'; end if;
      return null;
    end $$;
    create function watch_leases() returns trigger language plpgsql as $$
    begin
      if exists (select 1 from leases l join tasks t using (task_id) where t.limited and not exists (select 1 from job_slots s where s.task_id = l.task_id)) then
        raise exception 'a lease without a slot';
      end if;
      return null;
    end $$;
    create trigger watch_slots after insert on job_slots for each statement execute function watch_slots();
    create trigger watch_leases after insert on leases for each statement execute function watch_leases();`);
  try {
    await run();
    const [seen] = await world.db.raw<{ n: number }>("select max(n) as n from slots_seen");
    return seen?.n ?? 0;
  } finally {
    await world.db.raw(`drop trigger watch_slots on job_slots; drop trigger watch_leases on leases;
      drop function watch_slots(); drop function watch_leases(); drop table slots_seen;`);
  }
}

/** One worker until `over`: it claims, and ends what it claimed in every way there is. */
async function work(worker: number, over: () => boolean): Promise<void> {
  let session = await world.session();
  for (let round = 0; !over(); round += 1) {
    const tasks = await world.claim(session, 1 + (worker % 3));
    for (const [index, task] of tasks.entries()) {
      const way = (worker + round + index) % 7;
      if (way === 0) await world.completions.release([task.lease_token]);
      else if (way === 1) await world.complete(task, { kind: "snooze", delay_ms: 0 });
      else if (way === 2) await world.actions.cancel(person(), [task.task_id]);
      else if (way === 3) await world.fail(task);
      else await world.complete(task, success);
    }
    if (round % 9 === worker) {
      await world.claim(session, 1); // lost with its session
      await world.sessions.close(session);
      await world.reap();
      session = await world.session();
    }
    if (tasks.length === 0) {
      await world.makeDue();
      await admission();
    }
  }
}

test("8 workers that claim, complete, fail, hand back, lose and cancel 300 tasks never run more than 3 at once", async () => {
  await world.deploy(dag(3));
  const ids = await world.create("narrow", "one", 300);
  let left = ids.length;
  const most = await watched(3, async () => {
    const counting = (async () => {
      while (left > 0) left = ids.length - (await world.count("outcomes"));
    })();
    await Promise.all([counting, ...Array.from({ length: 8 }, (_, worker) => work(worker, () => left === 0))]);
  });
  expect(most).toBe(3);
  expect(await world.count("outcomes")).toBe(300);
  for (const state of ["released", "snoozed", "canceled", "failed", "expired", "succeeded"]) {
    expect(await world.count("attempts", `state = '${state}'`), state).toBeGreaterThan(0);
  }
  expect(await world.count("job_slots")).toBe(0);
  await whole();
}, 120_000);
