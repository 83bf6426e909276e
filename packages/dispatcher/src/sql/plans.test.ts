/** Plans of the hot statements, as prepared and generic, on empty, large and dirty tables: none reads a whole table. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noopDag, World } from "../testing/world.ts";
import * as statements from "./statements.gen.ts";

let world: World;

const uuid = "0198c7a2-0000-7000-8000-000000000000";

/** Of the dispatcher, with any arguments: a generic plan is made without looking at them. */
const all = Object.values(statements);

/** Statements that mean to walk a table, and why that is bounded. */
const walkers: Readonly<Record<string, string>> = {
  jobsWithWaiting: "takes the first row of each job",
  garbageStatus: "counts up to a bound, and takes the first",
  heldCommits: "a purge, which a person asks for, looks at each lease: as many as tasks that run",
  strayedSlots: "looks at each slot, of which there are as many as limited tasks may run",
};

/** Of people, about tasks: while there are none the plan walks them, until statistics of the first ones are taken. */
const ofTasks: readonly string[] = ["findTask", "tasksOfRun"];

/** Tables that grow with the work; the others have as many rows as workers or jobs. */
const large =
  "ready|waiting|job_slots|leases|tasks|attempts(_[0-9]+)?|outcomes(_[0-9]+)?|live_outputs|attempt_inputs|outbox|commits|commit_files|commit_partitions|partitions|append_keys|staging|garbage_files|invalidations|invalidation_sweeps";

beforeAll(async () => {
  world = await World.open({ connectionsMax: 1 });
  await world.deploy(noopDag);
});
afterAll(() => world.close());

/** Index scans of a large table without a condition: whoever has one reads all of the table, in order. */
function walks(plan: string): string[] {
  const lines = plan.split("\n");
  const scan = new RegExp(
    `(Index (Only )?Scan (Backward )?using \\w+ on (${large})|Bitmap Index Scan on (${large})_\\w+)\\b`,
  );
  return lines.filter((line, at) => scan.test(line) && !lines[at + 1]?.includes("Index Cond:"));
}

test("a walk over a whole table by its index is seen", async () => {
  await world.db.raw("begin; set local enable_hashjoin = on");
  const seen = async (text: string) => walks(await planOf({ text, params: [] }));
  expect(await seen("select count(*) from tasks t join ready r on r.task_id + 0 = t.task_id + 0")).toHaveLength(2);
  await world.db.raw("rollback");
  expect(await seen("select payload from tasks order by task_id limit 1")).toHaveLength(1);
  expect(await seen("select payload from tasks where task_id = 1")).toEqual([]);
});

async function planOf({ text, params }: { text: string; params: readonly string[] }): Promise<string> {
  await world.db.raw("set plan_cache_mode = force_generic_plan");
  await world.db.raw(`prepare looked_at as ${text}`);
  const args = params.length === 0 ? "" : `(${params.map(() => "null").join(", ")})`;
  const rows = await world.db.raw<Record<string, string>>(`explain execute looked_at ${args}`);
  await world.db.raw("deallocate looked_at");
  return rows.map((row) => row["QUERY PLAN"]).join("\n");
}

function check(state: string): void {
  const isLookedAt = (name: string) =>
    walkers[name] === undefined && !(ofTasks.includes(name) && state === "analyzed while empty");
  test.each(all.filter(({ name }) => isLookedAt(name)))(
    `$name reads no large table whole, ${state}`,
    async (statement) => {
      const plan = await planOf(statement);
      expect(plan.match(new RegExp(`Seq Scan on (${large})\\b`, "g")), plan).toBeNull();
      expect(walks(plan), plan).toEqual([]);
    },
  );
  test(`claimTasks starts where it is told and stops after what it takes, ${state}`, async () => {
    const plan = await planOf(statements.claimTasks);
    const next = plan.slice(plan.indexOf("CTE next"), plan.indexOf("CTE claimed"));
    expect(next, plan).toContain("Index Scan using ready_next on ready r");
    expect(next, plan).toMatch(/Index Cond: .*ROW\(run_at, task_id\) >= ROW/);
    expect(next, plan).not.toMatch(/Sort|Bitmap/);
  });
  test(`the outbox is read in the order of its index, ${state}`, async () => {
    const plan = await planOf(statements.readWakeups);
    expect(plan).toMatch(/Index Cond: .*ROW\(due_at, outbox_id\) > ROW/);
    expect(plan).not.toMatch(/Sort|Hash|Merge|Bitmap (Heap|Index) Scan on (outbox|ready)/);
  });
  test(`the reconciler looks at the first in line only, ${state}`, async () => {
    const plan = await planOf(statements.wakeForgotten);
    expect(plan).toMatch(/Index Cond: .*priority = line.*run_at <=/);
    expect(plan).not.toMatch(/Hash|Merge|Bitmap (Heap|Index) Scan on (outbox|ready|tasks)/);
  });
}

describe("on empty tables", () => {
  check("never analyzed");

  describe("after vacuum", () => {
    beforeAll(() => world.db.raw("vacuum analyze"));
    check("analyzed while empty");
  });
});

describe("on 100,000 tasks, half of them claimed", () => {
  beforeAll(async () => {
    await world.db.raw(`
      insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, payload)
      select gen_random_uuid(), 1, j.job_id, jv.dag_version_id, 1, 0, 3, 10, 60000, now(), '{}'
        from generate_series(1, 100000), jobs j join job_versions jv using (job_id) where j.name = 'noop'`);
    await world.db.raw(
      `insert into sessions (public_id, worker, host, pid, expires_at) values ('${uuid}', 'w', 'h', 1, now() + interval '1 hour')`,
    );
    await world.db.raw(
      "insert into ready (task_id, queue_id, priority, run_at) select task_id, 1, 0, now() from tasks where task_id % 2 = 0",
    );
    await world.db.raw(`
      insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, plain, deadline)
      select int8send(1) || int8send(task_id) || int8send(task_id) || uuid_send(gen_random_uuid()), task_id, task_id, 1, 1, 0, 1, 0, 0, true, now() + interval '1 hour' from tasks where task_id % 2 = 1`);
    await world.db.raw(`
      insert into outbox (lane, due_at, queue_id, task_ids)
      select 'sqs', now() + (task_id - 90000) * interval '1 ms', 1, array[public_id] from tasks`);
  }, 60_000);

  check("never analyzed since");

  describe("analyzed", () => {
    beforeAll(() => world.db.raw("analyze"), 60_000);
    check("with fresh statistics");

    test("and a claim of 50 takes 50 rows in the index's order", async () => {
      const tasks = await world.claims.claim({ session_id: uuid, queue: "default", task_ids: [], max: 50 });
      expect(tasks.tasks).toHaveLength(50);
      expect(tasks.more).toBe(true);
    });
  });

  describe("most of them gone and not vacuumed", () => {
    beforeAll(
      () =>
        world.db.raw(
          "delete from ready where task_id % 100 <> 0; delete from leases where lease_no % 100 <> 1; delete from outbox where outbox_id % 100 <> 0",
        ),
      60_000,
    );
    check("dirty");
  });
});
