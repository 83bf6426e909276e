/** Lists of tasks: each state has its own way of being found, and each shows every task of it once, page by page. */
import { type TaskState, taskStates } from "@trace/contracts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;

const narrowDag = `dag: narrow
jobs:
  one: { operator: noop, retries: 2, max_concurrency: 1 }
`;

/** Tasks by state, oldest first, as they were made to be. */
const made: Record<TaskState, { id: string; dag: string; job: string }[]> = {
  queued: [],
  running: [],
  completed: [],
  canceled: [],
  dead: [],
};

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
  await world.deploy(narrowDag);
  const session = await world.session();
  const person = { orgId: world.orgId, name: "on-call" };
  // Round by round, so that states and jobs are mixed over the whole list.
  for (let round = 0; round < 4; round += 1) {
    for (const job of ["noop", "other"]) {
      const [done, doomed, off, busy] = await world.create("plain", job, 4);
      const known = { dag: "plain", job };
      for (const task of await world.claim(session, 3, [done ?? "", doomed ?? "", busy ?? ""])) {
        if (task.task_id === done) await world.succeed(task);
        if (task.task_id === doomed) await world.fail(task, "TR-5200");
      }
      await world.actions.cancel(person, [off ?? ""]);
      made.completed.push({ id: done ?? "", ...known });
      made.dead.push({ id: doomed ?? "", ...known });
      made.canceled.push({ id: off ?? "", ...known });
      made.running.push({ id: busy ?? "", ...known });
    }
    const later = await world.create("plain", "noop", 1, { run_at: "2999-01-01T00:00:00Z" });
    made.queued.push(...later.map((id) => ({ id, dag: "plain", job: "noop" })));
    // The first has the slot and is ready, the others wait.
    const narrow = await world.create("narrow", "one");
    made.queued.push(...narrow.map((id) => ({ id, dag: "narrow", job: "one" })));
  }
});
afterAll(() => world.close());

async function pages(query: { state?: TaskState; dag?: string; job?: string }, limit: number): Promise<string[][]> {
  const seen: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = await world.listing.list(world.orgId, { ...query, limit, cursor });
    seen.push(page.tasks.map((task) => task.task_id));
    if (query.state !== undefined) for (const task of page.tasks) expect(task.state).toBe(query.state);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return seen;
}

const newestFirst = (tasks: readonly { id: string }[]) => tasks.map((task) => task.id).reverse();

/** The order of creation, over all states. */
const byCreation = async () => {
  const rows = await world.db.raw<{ id: string }>("select public_id as id from tasks order by task_id");
  const all = new Map(taskStates.flatMap((state) => made[state].map((task) => [task.id, { ...task, state }] as const)));
  return rows.map(({ id }) => all.get(id) ?? { id, dag: "unknown", job: "unknown", state: "queued" as const });
};

describe.each(taskStates)("tasks that are %s", (state) => {
  test.each([1, 3, 8, 100])("come newest first, each once, in pages of %i", async (limit) => {
    const seen = await pages({ state }, limit);
    expect(seen.flat()).toEqual(newestFirst(made[state]));
    expect(seen.length).toBe(Math.ceil(made[state].length / limit));
  });

  test.each([{ dag: "plain" }, { dag: "narrow" }, { job: "noop" }, { dag: "plain", job: "other" }])(
    "of %o alone",
    async (filter) => {
      const wanted = made[state].filter(
        (task) => (filter.dag ?? task.dag) === task.dag && (filter.job ?? task.job) === task.job,
      );
      expect((await pages({ state, ...filter }, 2)).flat()).toEqual(newestFirst(wanted));
    },
  );

  test("of another organisation are none of ours", async () => {
    expect(await world.listing.list(world.orgId + 1, { state, limit: 5 })).toEqual({ tasks: [], next: null });
  });
});

describe("tasks of any state", () => {
  test.each([{}, { dag: "plain" }, { job: "one" }, { dag: "plain", job: "noop" }])("of %o", async (filter) => {
    const wanted = (await byCreation()).filter(
      (task) => (!("dag" in filter) || filter.dag === task.dag) && (!("job" in filter) || filter.job === task.job),
    );
    expect((await pages(filter, 3)).flat()).toEqual(newestFirst(wanted));
  });

  test.each([{ dag: "nowhere" }, { job: "nothing" }, { dag: "narrow", job: "noop" }])(
    "of %o, which nobody deployed, are none",
    async (filter) => {
      expect(await world.listing.list(world.orgId, { ...filter, limit: 5 })).toEqual({ tasks: [], next: null });
    },
  );
});

describe("a task that changes its state between two pages", () => {
  test("moves no other task out of the list or into it twice", async () => {
    const [oldest = "", middle = "", newest = ""] = await world.create("plain", "noop", 3);
    const first = await world.listing.list(world.orgId, { state: "queued", limit: 1 });
    expect(first.tasks.map((task) => task.task_id)).toEqual([newest]);
    await world.actions.cancel({ orgId: world.orgId, name: "on-call" }, [newest]);
    const rest = await world.listing.list(world.orgId, { state: "queued", limit: 2, cursor: first.next ?? "" });
    expect(rest.tasks.map((task) => task.task_id)).toEqual([middle, oldest]);
    await world.actions.cancel({ orgId: world.orgId, name: "on-call" }, [middle, oldest]);
  });
});

test("what a queued task waits for is told: its time, a slot, a worker", async () => {
  const tasks = new Map(
    (await world.listing.list(world.orgId, { state: "queued", limit: 100 })).tasks.map((task) => [task.task_id, task]),
  );
  const whys = made.queued.map(({ id }) => tasks.get(id)?.waiting_for);
  expect(whys).toEqual(["due", "worker", "due", "slot", "due", "slot", "due", "slot"]);
  const running = await world.listing.list(world.orgId, { state: "running", limit: 100 });
  for (const task of running.tasks) expect(task).toMatchObject({ waiting_for: null, run_at: null, worker: "w" });
});
