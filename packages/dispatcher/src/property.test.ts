/**
 * Random lives of tasks, on the real services and Postgres, against the reference model of testing/model.ts: every call that
 * there is, by several workers of two dispatchers, tokens that are stale or guessed, deadlines, sessions and reapers in between.
 * After each call its answers and the whole state are compared.
 *
 * It was seen to fail: each of fourteen defects put in on purpose, one at a time, was found within a minute, among them a fence
 * that does not look at the session, a release that keeps the attempt, a slot that is not freed, and no wake-up for a retry.
 *
 * A failure prints its seed and the shortest sequence that was found. TRACE_PROPERTY_SEED and TRACE_PROPERTY_PATH repeat it,
 * TRACE_PROPERTY_SECONDS searches longer (default 40).
 */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Model } from "./testing/model.ts";
import * as life from "./testing/model-steps.ts";
import { World } from "./testing/world.ts";

const searchMs = Number(process.env.TRACE_PROPERTY_SECONDS ?? 40) * 1_000;
const shrinkMs = 120_000;
const priorities = [-5, 0, 5];

let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());

const jobs = fc.constantFrom<life.ItemChoice["job"]>(
  "noop",
  "noop",
  "other",
  "narrow",
  "narrow",
  "narrow",
  "feed",
  "derive",
  "nothing",
);
const item: fc.Arbitrary<life.ItemChoice> = fc.record({
  job: jobs,
  priority: fc.constantFrom(...priorities),
  key: fc.option(fc.nat(2), { nil: undefined, freq: 3 }),
  due: fc.constantFrom<"now" | "later" | number>("now", "now", "now", "later", 1, 2),
});
const pick = fc.nat(11);
const kind = fc.constantFrom<life.Kind>(
  "success",
  "success",
  "retryable",
  "retryable",
  "terminal",
  "snooze",
  "snooze later",
  "wrong",
);
const steps = [
  fc.array(item, { minLength: 1, maxLength: 5 }).map(life.create),
  fc.array(item, { minLength: 1, maxLength: 5 }).map(life.create),
  fc.constant(life.open),
  ...[1, 2, 3].map(() =>
    fc
      .tuple(pick, fc.array(pick, { maxLength: 3 }), fc.integer({ min: 1, max: 4 }), fc.nat(1))
      .map((choice) => life.claim(...choice)),
  ),
  fc.integer({ min: 1, max: 3 }).map(life.claimTogether),
  ...[1, 2, 3].map(() => fc.array(fc.tuple(pick, kind), { minLength: 1, maxLength: 4 }).map(life.complete)),
  fc.tuple(pick, kind).map((choice) => life.completeTogether(...choice)),
  pick.map(life.cancelWhileCompleting),
  fc.array(pick, { minLength: 1, maxLength: 3 }).map(life.release),
  fc.tuple(pick, fc.nat(1)).map((choice) => life.start(...choice)),
  ...(["cancel", "retry", "replay", "replay"] as const).map((action) =>
    fc.array(pick, { minLength: 1, maxLength: 3 }).map((picks) => life.act(action, picks)),
  ),
  pick.map(life.beat),
  fc.tuple(pick, fc.constantFrom("expires" as const, "closes" as const)).map((choice) => life.loseSession(...choice)),
  pick.map(life.passDeadline),
  fc.constant(life.reap),
  fc.constant(life.makeDue),
  fc.constant(life.admission),
  fc.integer({ min: 1, max: 3 }).map(life.deploy),
  pick.map(life.look),
];

const beginning = [
  life.deploy(2),
  life.open,
  life.open,
  life.create([
    { job: "noop", priority: 0, key: undefined, due: "now" },
    { job: "narrow", priority: 0, key: undefined, due: "now" },
    { job: "feed", priority: 0, key: undefined, due: "now" },
  ]),
];

/** Plain data, so that a seed and a path repeat a sequence whatever came of it; a step that cannot be made is left out. */
const sequences = fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 60, size: "max" });

const lives = fc.asyncProperty(sequences, async (sequence) => {
  await world.clear();
  const setup = () => ({ model: new Model(), real: new life.Real(world, priorities) });
  await fc.asyncModelRun(setup, [...beginning, ...sequence]);
});

test(
  "any sequence of calls is answered as the model says, and leaves every task where it says",
  async () => {
    const seed = process.env.TRACE_PROPERTY_SEED;
    const path = process.env.TRACE_PROPERTY_PATH;
    const again = { ...(seed === undefined ? {} : { seed: Number(seed) }), ...(path === undefined ? {} : { path }) };
    const limit = { numRuns: 1_000_000, interruptAfterTimeLimit: searchMs };
    const found = await fc.check(lives, { ...again, ...limit, endOnFailure: true });
    if (!found.failed) {
      process.stdout.write(`${found.numRuns} random lives as the model says; seed ${found.seed}\n`);
      expect(found.numRuns).toBeGreaterThan(0);
      return;
    }
    // Shrinking has its own time: what was found late is to be as short as what was found early.
    const at = { seed: found.seed, path: found.counterexamplePath ?? "" };
    const shrunk = await fc.check(lives, { ...at, ...limit, interruptAfterTimeLimit: shrinkMs });
    throw new Error(fc.defaultReportMessage(shrunk.failed ? shrunk : found) ?? "failed without a report", {
      cause: (shrunk.failed ? shrunk : found).errorInstance,
    });
  },
  searchMs + shrinkMs + 60_000,
);
