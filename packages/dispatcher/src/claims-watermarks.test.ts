/** Claims that begin where earlier ones ended, on a clock that the test moves: what lies before that is late, and never lost. */
import { type ClaimedTask, claimedTasks } from "@trace/contracts";
import { Database, silentLog } from "@trace/kit";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Claims } from "./claims.ts";
import { Jobs } from "./jobs.ts";
import { claimLagMs, claimSweepEveryMs, claimSweepShare } from "./limits.ts";
import { Tasks } from "./tasks.ts";
import { datasetsBucket, diamondDag, noopDag, World } from "./testing/world.ts";

let world: World;
let others: Database;

beforeAll(async () => {
  world = await World.open();
  others = new Database({ url: world.url, name: "others", log: silentLog(), connectionsMax: 10 });
  await world.deploy(noopDag);
  await world.deploy(diamondDag);
});
afterAll(async () => {
  await others.stop();
  await world.close();
});
beforeEach(() => world.clear());

const noop = { dag: "plain", job: "noop", priority: 0, payload: {} };

/** A dispatcher with the positions and the bounds of production; only its clock is ours. */
class Dispatcher {
  nowMs = 1_000;
  readonly claims: Claims;
  readonly tasks: Tasks;
  readonly #session: Promise<string>;

  constructor() {
    const { db, orgId } = world;
    const watermarks = { lagMs: claimLagMs, sweepEveryMs: claimSweepEveryMs, sweepShare: claimSweepShare };
    const monotonicMs = () => this.nowMs;
    const release = (tokens: readonly string[]) => world.completions.release(tokens);
    this.claims = new Claims({
      ...{ db, orgId, datasetsBucket, watermarks, monotonicMs },
      jobs: new Jobs(db),
      release,
    });
    const onAdded = (priorities: ReadonlySet<number>, early: boolean) => this.claims.added(priorities, early);
    this.tasks = new Tasks(db, { onReady: () => undefined, onAdded });
    this.#session = world.session();
  }

  async create(parts: { priority?: number; run_at?: string } = {}): Promise<string> {
    const [answer] = await this.tasks.create(world.orgId, [{ ...noop, ...parts }]);
    if (answer?.task_id === undefined) throw new Error("not created");
    return answer.task_id;
  }

  async claim(max = 10, task_ids: readonly string[] = [], called = false): Promise<string[]> {
    const session_id = await this.#session;
    const answer = await this.claims.claim({ session_id, queue: "default", task_ids, max, called });
    return claimedTasks(answer).map((task: ClaimedTask) => task.task_id);
  }
}

/** A task whose transaction has begun and commits when the test says so. */
async function uncommitted(parts: { priority?: number } = {}): Promise<{ id: string; commit: () => Promise<void> }> {
  const session = await others.session();
  await session.raw("begin");
  const { answers } = await world.tasks.createIn(session.db, world.orgId, [{ ...noop, ...parts }], null);
  return {
    id: answers[0]?.task_id ?? "",
    commit: async () => {
      await session.raw("commit");
      session.release();
    },
  };
}

describe("a task whose transaction commits after that of a later one", () => {
  test("within the lag is found by the very next claim", async () => {
    const dispatcher = new Dispatcher();
    const late = await uncommitted();
    const first = await dispatcher.create();
    expect(await dispatcher.claim()).toEqual([first]);
    dispatcher.nowMs += claimLagMs - 1;
    expect(await dispatcher.claim()).toEqual([]);
    await late.commit();
    expect(await dispatcher.claim()).toEqual([late.id]);
  });

  test("within the lag is found although the next claim comes long after it", async () => {
    const dispatcher = new Dispatcher();
    const late = await uncommitted();
    const first = await dispatcher.create();
    expect(await dispatcher.claim()).toEqual([first]);
    await late.commit();
    dispatcher.nowMs += claimSweepEveryMs - 1;
    expect(await dispatcher.claim()).toEqual([late.id]);
  });

  test("long after it is passed over until the next look at the front, and found then", async () => {
    const dispatcher = new Dispatcher();
    const late = await uncommitted();
    const first = await dispatcher.create();
    expect(await dispatcher.claim()).toEqual([first]); // and looks at the front
    dispatcher.nowMs += claimLagMs;
    expect(await dispatcher.claim()).toEqual([]);
    await late.commit();
    expect(await dispatcher.claim()).toEqual([]); // or this test proves nothing
    dispatcher.nowMs += claimSweepEveryMs - claimLagMs;
    expect(await dispatcher.claim()).toEqual([late.id]);
  });

  test("is found at any time by a claim that was called for it", async () => {
    const dispatcher = new Dispatcher();
    const late = await uncommitted();
    const first = await dispatcher.create();
    expect(await dispatcher.claim()).toEqual([first]);
    dispatcher.nowMs += claimLagMs;
    expect(await dispatcher.claim()).toEqual([]);
    await late.commit();
    expect(await dispatcher.claim()).toEqual([]); // or this test proves nothing
    expect(await dispatcher.claim(10, [], true)).toEqual([late.id]);
  });

  test("is found at any time by its id", async () => {
    const dispatcher = new Dispatcher();
    const late = await uncommitted();
    await dispatcher.create();
    await dispatcher.claim();
    dispatcher.nowMs += claimLagMs;
    await dispatcher.claim();
    await late.commit();
    expect(await dispatcher.claim(10, [late.id])).toEqual([late.id]);
  });
});

describe("a task of a priority that was not there before", () => {
  test("is found at once in the dispatcher that created it", async () => {
    const dispatcher = new Dispatcher();
    expect(await dispatcher.claim()).toEqual([]);
    const id = await dispatcher.create({ priority: 7 });
    expect(await dispatcher.claim()).toEqual([id]);
  });

  test("is found by another dispatcher with its next look at the front", async () => {
    const [one, two] = [new Dispatcher(), new Dispatcher()];
    expect(await two.claim()).toEqual([]);
    const id = await one.create({ priority: 7 });
    two.nowMs += claimSweepEveryMs - 1;
    expect(await two.claim()).toEqual([]);
    two.nowMs += 1;
    expect(await two.claim()).toEqual([id]);
  });

  test("is found by a dispatcher that has just started", async () => {
    const ids = [await new Dispatcher().create({ priority: 7 }), await new Dispatcher().create({ priority: -7 })];
    expect((await new Dispatcher().claim()).sort()).toEqual(ids.sort());
  });
});

describe("a task with a time of its own that has passed", () => {
  const run_at = "2020-01-01T00:00:00Z";

  async function ahead(dispatcher: Dispatcher): Promise<void> {
    await dispatcher.create();
    await dispatcher.claim();
    dispatcher.nowMs += claimLagMs;
    await dispatcher.claim();
  }

  test("is found at once in the dispatcher that created it, before what is due later", async () => {
    const dispatcher = new Dispatcher();
    await ahead(dispatcher);
    const later = await dispatcher.create();
    const id = await dispatcher.create({ run_at });
    expect(await dispatcher.claim(1)).toEqual([id]);
    expect(await dispatcher.claim(1)).toEqual([later]);
  });

  test("is found by another dispatcher with its next look at the front", async () => {
    const [one, two] = [new Dispatcher(), new Dispatcher()];
    await ahead(two);
    const id = await one.create({ run_at });
    expect(await two.claim()).toEqual([]);
    two.nowMs += claimSweepEveryMs;
    expect(await two.claim()).toEqual([id]);
  });
});

describe("a task of the future, the first of its priority", () => {
  const run_at = "2999-01-01T00:00:00Z";

  test("does not hide one that becomes due before it", async () => {
    const dispatcher = new Dispatcher();
    await dispatcher.create({ run_at });
    expect(await dispatcher.claim()).toEqual([]); // looks at the front, and finds that one
    const now = await dispatcher.create();
    expect(await dispatcher.claim()).toEqual([now]);
  });

  test("does not hide one that was being committed when the front was looked at", async () => {
    const dispatcher = new Dispatcher();
    await dispatcher.create({ run_at });
    const late = await uncommitted();
    expect(await dispatcher.claim()).toEqual([]);
    await late.commit();
    expect(await dispatcher.claim()).toEqual([late.id]);
  });

  test("is claimed when its time comes, with nothing else to tell of it", async () => {
    const dispatcher = new Dispatcher();
    const id = await dispatcher.create({ run_at });
    await dispatcher.claim();
    await world.makeDue();
    dispatcher.nowMs += claimSweepEveryMs;
    expect(await dispatcher.claim()).toEqual([id]);
  });
});

test("what goes back into the queue is found at once: handed back, lost, put off for no time, started by a commit", async () => {
  const dispatcher = new Dispatcher();
  const session_id = await world.session();
  const ask = async (): Promise<ClaimedTask | undefined> =>
    claimedTasks(await dispatcher.claims.claim({ session_id, queue: "default", task_ids: [], max: 1 }))[0];
  const again = async (end: (task: ClaimedTask) => Promise<unknown>) => {
    const task = await ask();
    if (task === undefined) throw new Error("nothing was claimed");
    dispatcher.nowMs += claimLagMs;
    await ask(); // the position moves on
    await end(task);
    return task;
  };
  const id = await dispatcher.create();
  const ends: ((task: ClaimedTask) => Promise<unknown>)[] = [
    (task) => world.completions.release([task.lease_token]),
    (task) => world.complete(task, { kind: "snooze", delay_ms: 0 }),
    () =>
      world
        .passDeadlines()
        .then(() => world.reap())
        .then(() => world.actions.retry({ orgId: world.orgId, name: "x" }, [id])),
  ];
  for (const end of ends) expect((await again(end)).task_id).toBe(id);
  const task = await ask();
  expect(task?.task_id).toBe(id);
  await world.create("diamond", "a");
  const a = await ask();
  expect(a?.job.name).toBe("a");
  if (a !== undefined) await world.succeed(a);
  expect([(await ask())?.job.name, (await ask())?.job.name].sort()).toEqual(["b", "c"]);
});

test("created by many in transactions that commit in any order, claimed by three dispatchers: each once, none left", async () => {
  const dispatchers = [new Dispatcher(), new Dispatcher(), new Dispatcher()];
  const made: string[] = [];
  const taken: string[] = [];
  let creating = 4;
  const create = async (creator: number) => {
    for (let n = 0; n < 12; n += 1) {
      // Pairs that commit in the order in which they began, and pairs that do not.
      const pair = [await uncommitted({ priority: n % 3 }), await uncommitted({ priority: (n + creator) % 3 })];
      if ((n + creator) % 2 === 0) pair.reverse();
      for (const one of pair) {
        await one.commit();
        made.push(one.id);
      }
    }
    creating -= 1;
  };
  const claim = async (dispatcher: Dispatcher) => {
    while (creating > 0) {
      taken.push(...(await dispatcher.claim(3)));
      dispatcher.nowMs += 17;
    }
  };
  await Promise.all([create(0), create(1), ...dispatchers.map(claim), create(2), create(3)]);
  for (const dispatcher of dispatchers) {
    dispatcher.nowMs += 10_000;
    taken.push(...(await dispatcher.claim(1_000)));
  }
  expect(made).toHaveLength(96);
  expect(taken.toSorted()).toEqual(made.toSorted());
});
