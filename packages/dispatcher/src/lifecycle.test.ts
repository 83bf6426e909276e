/**
 * Random lives of tasks against a model of a page: whatever callers, deadlines and reapers do in whatever order, each
 * task is where the model says, with the model's counts, and stale tokens change nothing.
 */
import type { AttemptResult, ClaimedTask } from "@trace/contracts";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { leaseLossesMax } from "./limits.ts";
import { noopDag, World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open({ connectionsMax: 4 });
  await world.deploy(noopDag);
});
afterAll(() => world.close());

interface ModelTask {
  readonly failuresMax: number;
  state: "queued" | "running" | "completed" | "dead";
  due: boolean;
  attempt: number;
  failures: number;
  losses: number;
}

interface Held {
  readonly task: ClaimedTask;
  readonly session: number;
}

class Model {
  readonly tasks = new Map<string, ModelTask>();
  /** Sessions that live, by number. */
  readonly live = new Set<number>();
  held: Held[] = [];
  /** Tokens whose attempts have ended, in any way. */
  ended: ClaimedTask[] = [];

  get(held: Held): ModelTask {
    const task = this.tasks.get(held.task.task_id);
    if (task === undefined) throw new Error("the model does not know this task");
    return task;
  }

  end(held: Held): ModelTask {
    this.held = this.held.filter((one) => one !== held);
    this.ended.push(held.task);
    return this.get(held);
  }

  fail(task: ModelTask): void {
    task.failures += 1;
    task.state = task.failures >= task.failuresMax ? "dead" : "queued";
    task.due = false;
  }

  lose(task: ModelTask): void {
    task.losses += 1;
    task.state = task.losses >= leaseLossesMax ? "dead" : "queued";
    task.due = true;
  }
}

class Real {
  readonly sessions: string[] = [];
}

type Step = fc.AsyncCommand<Model, Real>;

/** After every step all of Postgres is compared with all of the model. */
async function agree(model: Model): Promise<void> {
  const rows = await world.db.raw<{
    public_id: string;
    state: string;
    attempt: number;
    failures: number;
    lease_losses: number;
  }>("select public_id, state, attempt, failures, lease_losses from task_details");
  const real = new Map(rows.map(({ public_id, ...row }) => [public_id, row]));
  const wanted = new Map(
    [...model.tasks].map(([id, { state, attempt, failures, losses }]) => [
      id,
      { state, attempt, failures, lease_losses: losses },
    ]),
  );
  expect(real).toEqual(wanted);
  expect(await world.count("leases")).toBe(model.held.length);
  const [places] = await world.db.raw(
    "select (select count(*) from ready)::int + (select count(*) from leases)::int + (select count(*) from outcomes)::int as n",
  );
  expect(places).toEqual({ n: model.tasks.size });
}

function step(name: string, check: (model: Model) => boolean, run: (model: Model, real: Real) => Promise<void>): Step {
  return {
    check,
    run: async (model, real) => {
      await run(model, real);
      await agree(model);
    },
    toString: () => name,
  };
}

const always = () => true;
const some = (model: Model) => model.held.length > 0;

const create = (job: "noop" | "other", count: number) =>
  step(`create ${count} ${job}`, always, async (model) => {
    for (const id of await world.create("plain", job, count)) {
      const counts = { attempt: 0, failures: 0, losses: 0 };
      model.tasks.set(id, { failuresMax: job === "noop" ? 3 : 1, state: "queued", due: true, ...counts });
    }
  });

const open = step("open a session", always, async (model, real) => {
  model.live.add(real.sessions.push(await world.session()) - 1);
});

const claim = (pick: number, max: number) =>
  step(
    `claim ${max}`,
    (model) => model.live.size > 0,
    async (model, real) => {
      const session = [...model.live][pick % model.live.size] ?? 0;
      const tasks = await world.claim(real.sessions[session] ?? "", max);
      const due = [...model.tasks.values()].filter((task) => task.state === "queued" && task.due).length;
      expect(tasks).toHaveLength(Math.min(due, max));
      for (const task of tasks) {
        const held = { task, session };
        const known = model.get(held);
        expect(known).toMatchObject({ state: "queued", due: true });
        known.state = "running";
        known.attempt += 1;
        expect(task.attempt).toBe(known.attempt);
        model.held.push(held);
      }
    },
  );

const results: Record<string, AttemptResult> = {
  success: { kind: "success", outputs: [] },
  retryable: { kind: "failure", error: { code: "TR-5306", detail: "x" } },
  terminal: { kind: "failure", error: { code: "TR-5200", detail: "x" } },
  snooze: { kind: "snooze", delay_ms: 3_600_000 },
};

const complete = (pick: number, kind: keyof typeof results) =>
  step(`complete ${pick} ${kind}`, some, async (model) => {
    const held = model.held[pick % model.held.length];
    const result = results[kind];
    if (held === undefined || result === undefined) throw new Error("nothing is held");
    expect((await world.complete(held.task, result)).accepted).toBe(true);
    const task = model.end(held);
    if (kind === "success") task.state = "completed";
    else if (kind === "retryable") model.fail(task);
    else if (kind === "terminal") Object.assign(task, { state: "dead", failures: task.failures + 1 });
    else Object.assign(task, { state: "queued", due: false });
  });

const release = (pick: number) =>
  step(`release ${pick}`, some, async (model) => {
    const held = model.held[pick % model.held.length];
    if (held === undefined) throw new Error("nothing is held");
    expect(await world.completions.release([held.task.lease_token])).toEqual([{ accepted: true }]);
    const task = model.end(held);
    Object.assign(task, { state: "queued", due: true, attempt: task.attempt - 1 });
  });

const stale = (pick: number, kind: keyof typeof results) =>
  step(
    `stale ${pick} ${kind}`,
    (model) => model.ended.length > 0,
    async (model) => {
      const task = model.ended[pick % model.ended.length];
      const result = results[kind];
      if (task === undefined || result === undefined) throw new Error("nothing has ended");
      // Accepted means here: the answer that this very call got before. `agree` sees that nothing moved.
      const answer = await world.complete(task, result);
      if (!answer.accepted) expect(["TR-3001", "TR-3003"]).toContain(answer.error?.code);
      expect((await world.completions.release([task.lease_token]))[0]?.accepted).toBe(false);
    },
  );

const lose = (pick: number, how: "expires" | "closes") =>
  step(
    `session ${pick} ${how}`,
    (model) => model.live.size > 0,
    async (model, real) => {
      const session = [...model.live][pick % model.live.size] ?? 0;
      const id = real.sessions[session] ?? "";
      if (how === "closes") await world.sessions.close(id);
      else await world.db.raw("update sessions set expires_at = clock_timestamp() where public_id = $1", [id]);
      model.live.delete(session);
      // Not reaped yet, and stale already.
      const mine = model.held.filter((held) => held.session === session);
      for (const held of mine) {
        const answer = await world.complete(held.task, { kind: "success", outputs: [] });
        expect(answer.error?.code).toBe("TR-3001");
      }
      await expect(world.sessions.beat(id, [], [])).rejects.toMatchObject({ code: "TR-3002" });
      await world.reap();
      for (const held of mine) model.lose(model.end(held));
    },
  );

const overdue = (pick: number) =>
  step(`overdue ${pick}`, some, async (model) => {
    const held = model.held[pick % model.held.length];
    if (held === undefined) throw new Error("nothing is held");
    await world.db.raw("update leases set deadline = clock_timestamp() where lease_no = $1", [held.task.lease_no]);
    const answer = await world.complete(held.task, { kind: "success", outputs: [] });
    expect(answer.error?.code).toBe("TR-3001");
    await world.reap();
    model.fail(model.end(held));
  });

const due = step("time passes", always, async (model) => {
  await world.makeDue();
  for (const task of model.tasks.values()) task.due = true;
});

const beat = step("all beat", always, async (model, real) => {
  for (const session of model.live) {
    const [mine, others] = [true, false].map((own) =>
      model.held.filter((held) => (held.session === session) === own).map((held) => held.task.lease_no),
    ) as [number[], number[]];
    expect(await world.sessions.beat(real.sessions[session] ?? "", [...mine, ...others], [])).toEqual(others);
  }
});

const kinds = fc.constantFrom("success", "retryable", "terminal", "snooze");
const steps = [
  fc
    .tuple(fc.constantFrom("noop" as const, "other" as const), fc.integer({ min: 1, max: 4 }))
    .map((args) => create(...args)),
  fc.constant(open),
  fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 6 })).map((args) => claim(...args)),
  fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 6 })).map((args) => claim(...args)),
  fc.tuple(fc.nat(9), kinds).map((args) => complete(...args)),
  fc.tuple(fc.nat(9), fc.constant("retryable")).map((args) => complete(...args)),
  fc.nat(9).map(release),
  fc.tuple(fc.nat(9), kinds).map((args) => stale(...args)),
  fc.tuple(fc.nat(9), fc.constantFrom("expires" as const, "closes" as const)).map((args) => lose(...args)),
  fc.nat(9).map(overdue),
  fc.constant(due),
  fc.constant(beat),
];

test("any sequence of calls leaves every task where the model says", async () => {
  const commands = fc.commands(steps, { maxCommands: 30, size: "max" });
  const property = fc.asyncProperty(commands, async (sequence) => {
    await world.clear();
    await fc.asyncModelRun(() => ({ model: new Model(), real: new Real() }), [create("noop", 3), open, ...sequence]);
  });
  await fc.assert(property, { numRuns: 30, endOnFailure: true });
}, 60_000);
