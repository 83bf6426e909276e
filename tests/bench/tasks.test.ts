/**
 * The benchmark of tasks with a handful of tasks: that it runs through on both sides and proves what it counted. No time is
 * looked at.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPlace, type Place } from "../../bench/harness/place.ts";
import { BenchPostgres } from "../../bench/harness/postgres.ts";
import { GraphileSide } from "../../bench/tasks/graphile/side.ts";
import { drainRound } from "../../bench/tasks/measures/drain.ts";
import { soak } from "../../bench/tasks/measures/soak.ts";
import { sustainedRound } from "../../bench/tasks/measures/sustained.ts";
import { TraceSide } from "../../bench/tasks/trace/side.ts";
import { addFinished, relationSizes, verifyState } from "../../bench/tasks/trace/state.ts";

const small = { warmupTasks: 50, patienceMs: 0 };
const steady = { ...small, batch: 10, lanes: 2, warmupMs: 50, ms: 200 };

let place: Place;
let postgres: BenchPostgres;
let ours: TraceSide;
let graphile: GraphileSide;

beforeAll(async () => {
  place = await openPlace();
  postgres = await BenchPostgres.start(place.folder);
  ours = new TraceSide({ postgres, folder: place.folder, worker: "lean" });
  graphile = await GraphileSide.create(postgres);
});
afterAll(async () => {
  await ours?.stop();
  await graphile?.stop();
  await postgres?.stop();
  await place?.remove();
});

test("the server is as durable as a real one, and a checkpoint is made when it is asked for", async () => {
  const db = postgres.database(postgres.ownDatabase);
  const [settings] = await db.raw(
    "select current_setting('fsync') as a, current_setting('synchronous_commit') as b, current_setting('full_page_writes') as c",
  );
  expect(settings).toEqual({ a: "on", b: "on", c: "on" });
  const checkpoint = () => db.raw("select checkpoint_lsn::text from pg_control_checkpoint()");
  const before = await checkpoint();
  await postgres.checkpoint();
  expect(await checkpoint()).not.toEqual(before);
});

test("ours drains and sustains, and every task is proved to have been done exactly once", async () => {
  await ours.start();
  const drained = await drainRound(ours, postgres, { ...small, tasks: 200 });
  expect(drained).toMatchObject({ tasks: 200 });
  expect(drained.perSecond).toBeGreaterThan(0);
  expect(drained.cost.walBytes).toBeGreaterThan(0);
  const sustained = await sustainedRound(ours, postgres, steady);
  expect(sustained.perSecond).toBeGreaterThan(0);

  const [{ n: created } = { n: 0 }] = await ours.db.raw<{ n: number }>("select count(*) as n from tasks");
  await verifyState(ours.db, created);
  await expect(verifyState(ours.db, created + 1)).rejects.toThrow("exactly once");
  await ours.db.raw(`insert into attempts (lease_no, task_id, attempt, state, worker, token, started_at)
    select lease_no, task_id, attempt, 'succeeded', worker, token, started_at from outcomes where token is not null limit 1`);
  await expect(verifyState(ours.db, created)).rejects.toThrow(/"twice":1,"shared":1/);
  await ours.db.raw("delete from attempts");
  await verifyState(ours.db, created);
  await ours.db.raw(
    "update outcomes set lease_no = (select min(lease_no) from outcomes) where task_id = (select max(task_id) from outcomes)",
  );
  await expect(verifyState(ours.db, created)).rejects.toThrow(/"twice":0,"shared":1/);
  await ours.db.raw("delete from outcomes where task_id = (select min(task_id) from outcomes)");
  await expect(verifyState(ours.db, created)).rejects.toThrow('"lost":1');

  await ours.empty();
  await addFinished(ours.db, 100, () => Promise.resolve());
  await verifyState(ours.db, 0, 100);
  await ours.empty();
  const soaked = await soak(ours, postgres, { ...small, minutes: 0.01, rate: 100, sampleMs: 300 }, () => undefined);
  expect(soaked.headline).toMatch(/hot tables and indexes are flat/);
  const tables = new Set((await relationSizes(ours.db)).map(({ table }) => table));
  expect([...tables].sort()).toEqual(
    [
      "attempts",
      "job_slots",
      "leases",
      "live_outputs",
      "outbox",
      "outcomes",
      "ready",
      "sessions",
      "tasks",
      "waiting",
    ].sort(),
  );
  await ours.stop();
});

test("graphile-worker drains and sustains, and nothing is left", async () => {
  await graphile.start();
  const drained = await drainRound(graphile, postgres, { ...small, tasks: 200 });
  expect(drained).toMatchObject({ tasks: 200, wakeupsReceived: 0 });
  const sustained = await sustainedRound(graphile, postgres, steady);
  expect(sustained.perSecond).toBeGreaterThan(0);
  expect(await graphile.open()).toBe(0);
  await graphile.producer.ask(
    { kind: "produce", tasks: 3, batch: 3, lanes: 1, outstandingMax: null, rate: null },
    "produced",
  );
  await expect(graphile.verify(3)).rejects.toThrow("3 are left");
  await graphile.stop();
});
