/** Postgres ends connections in mid-call, or picks a deadlock's victim: every call succeeds, or says so and left nothing half done. */
import { TraceError } from "@trace/contracts";
import { Database, silentLog, TestSignal } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;
/** Ends the others' connections; it is not among those it ends. */
let killer: Database;

beforeAll(async () => {
  world = await World.open({ connectionsMax: 6 });
  killer = new Database({ url: world.url, name: "killer", log: silentLog(), connectionsMax: 1 });
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(async () => {
  await killer.stop();
  await world.close();
});
beforeEach(() => world.clear());

async function killAll(): Promise<number> {
  const [row] = await killer.raw<{ n: number }>(
    "select count(pg_terminate_backend(pid))::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
  );
  return row?.n ?? 0;
}

/** Success, or undefined when Postgres was away; anything else fails the test. */
async function orAway<R>(call: Promise<R>): Promise<R | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof TraceError && error.code === "TR-1009") return undefined;
    throw error;
  }
}

/** Every task is in exactly one place, and what hangs on tasks fits where they are. */
async function whole(): Promise<void> {
  const [row] = await world.db.raw(`
    select (select count(*)::int from tasks t where 1 <> (select count(*) from ready r where r.task_id = t.task_id)
             + (select count(*) from leases l where l.task_id = t.task_id) + (select count(*) from outcomes o where o.task_id = t.task_id)) as misplaced,
           (select count(*)::int from live_outputs lo where exists (select 1 from outcomes o where o.task_id = lo.task_id)) as unfreed,
           (select count(*)::int from outcomes o where o.state = 'completed'
             and 1 <> (o.token is not null)::int + (select count(*) from attempts a where a.task_id = o.task_id and a.state = 'succeeded')) as unexplained,
           (select count(*)::int from generations g where g.head_commit <> (select count(*) from commits c where c.generation_id = g.generation_id)) as gaps,
           (select count(*)::int from commits c where c.file_count <> (select count(*) from commit_files f
             where f.generation_id = c.generation_id and f.added_commit = c.commit_no)) as torn`);
  expect(row).toEqual({ misplaced: 0, unfreed: 0, unexplained: 0, gaps: 0, torn: 0 });
}

test("connections killed in mid-call: each call succeeds or fails with TR-1009, no row is half done, and work goes on", async () => {
  const session = async () => orAway(world.session());
  const wanted = Array.from({ length: 20 }, () => ({ dag: "plain", job: "noop", priority: 0, payload: {} }));
  let away = 0;
  const ended = new TestSignal<void>("call ended");
  let calls = 0;
  const counted = async <R>(call: Promise<R>): Promise<R | undefined> => {
    calls += 1;
    const result = await orAway(call);
    ended.emit();
    if (result === undefined) away += 1;
    return result;
  };
  let running = true;
  const worker = async () => {
    while (running) {
      const id = await session();
      if (id === undefined) continue;
      await counted(world.tasks.create(world.orgId, wanted));
      await counted(world.tasks.create(world.orgId, [{ dag: "diamond", job: "a", priority: 0, payload: {} }]));
      const tasks = (await counted(world.claim(id, 30))) ?? [];
      for (const task of tasks.filter((one) => one.staging.length > 0)) await counted(world.succeed(task));
      const plain = tasks.filter((one) => one.staging.length === 0);
      if (plain.length > 0) {
        const items = plain.map((task) => ({
          lease_token: task.lease_token,
          result: { kind: "success" as const, outputs: [] },
        }));
        // An answer that was lost is asked for again: the same call gets the same answer.
        const first = await counted(world.completions.complete(items));
        const again = await counted(world.completions.complete(items));
        if (first !== undefined && again !== undefined) expect(again).toEqual(first);
      }
      await counted(world.sessions.beat(id, [], []));
      await counted(world.sessions.close(id));
    }
  };
  const workers = Array.from({ length: 4 }, () => worker());
  let killed = 0;
  while (away < 15 || calls < 150) {
    killed += await killAll();
    await ended.next(10_000); // calls get under way between two rounds
  }
  running = false;
  await Promise.all(workers);
  expect(killed).toBeGreaterThan(15);
  expect(away).toBeLessThan(calls);
  await whole();
  // A claim whose answer was lost, and a session that could not be closed, end with their time.
  await world.expireSessions();
  await world.reap();
  await whole();
  // And everything that is left can be finished.
  for (;;) {
    const id = await world.session();
    const tasks = await world.claim(id, 500);
    if (tasks.length === 0) break;
    const items = tasks.map((task) => ({
      lease_token: task.lease_token,
      result: { kind: "success" as const, outputs: task.staging.map((place) => world.stage(task, place)) },
    }));
    for (const answer of await world.completions.complete(items)) expect(answer.accepted).toBe(true);
  }
  await whole();
  expect(await world.count("outcomes", "state = 'completed'")).toBe(await world.count("tasks"));
}, 60_000);

test("a transaction that Postgres picks as a deadlock's victim is run again, and both callers succeed", async () => {
  await world.db.raw("create table if not exists pair (id int primary key, n int not null)");
  await world.db.raw("truncate pair; insert into pair values (1, 0), (2, 0)");
  const bump = {
    name: "bump",
    params: ["id"] as const,
    text: "update pair set n = n + 1 where id = $1",
  };
  let tries = 0;
  const meet: (() => void)[] = [];
  const both = async (first: number, second: number) =>
    world.db.transaction(async (tx) => {
      tries += 1;
      await tx.query(bump, { id: first });
      // The first time, each waits until the other holds its row, so that the deadlock is certain.
      if (tries <= 2) {
        await new Promise<void>((go) => {
          meet.push(go);
          if (meet.length === 2) for (const one of meet) one();
        });
      }
      await tx.query(bump, { id: second });
    });
  await Promise.all([both(1, 2), both(2, 1)]);
  expect(tries).toBeGreaterThanOrEqual(3); // one of the two at least was a victim
  expect(await world.db.raw("select n from pair order by id")).toEqual([{ n: 2 }, { n: 2 }]);
});
