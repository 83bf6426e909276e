/**
 * kill -9 of each service while many tasks and a DAG run: the supervisor brings it back, every task ends once, each run
 * commits once, and no reader ever sees half of a commit.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ExampleCopy } from "./harness/example-copy.ts";
import { readFiles, resolve, Watcher } from "./harness/reader.ts";
import { type Role, type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import {
  createWork,
  deploy,
  deployExample,
  fates,
  noopDag,
  notExactlyOnce,
  runToEnd,
  untilOver,
  untilRunEnds,
} from "./harness/work.ts";

const tasksEach = 150;
/** A task whose attempt fails because a service is away waits up to 45 s for its next one. */
const overMsMax = 120_000;

let running: RunningStack;
const copy = new ExampleCopy();

beforeAll(async () => {
  running = await startStack({ roots: [copy.folder] });
  await deploy(running.access, noopDag("short", "50ms"));
  await deployExample(running.access);
  // A first run, so that there is something to be replaced.
  await runToEnd(running.access, "quakes", 60_000);
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  copy.remove();
});

async function heads(): Promise<number[]> {
  const names = ["quakes", "quakes_by_region_day"];
  return Promise.all(names.map(async (name) => (await resolve(running.access, name)).commit));
}

/** Commit numbers of both datasets have no gap and no double, and each was made by a task of its own. */
async function expectGapless(): Promise<void> {
  const rows = await running.access.sql<{ gapless: boolean }>(
    `select count(*) = max(commit_no) and min(commit_no) = 1 and count(distinct task_id) = count(*) as gapless
       from commits group by generation_id`,
  );
  expect(rows).toEqual([{ gapless: true }, { gapless: true }]);
}

const victims: Role[] = ["dispatcher", "postgres-state", "postgres-data", "localcloud"];

test.each(victims)(
  "kill -9 of %s during a run: it comes back, nothing is lost and nothing is done twice",
  async (victim) => {
    const { access } = running;
    const before = await heads();
    const restarts = running.restarts(victim);
    const watcher = new Watcher(access, "quakes");
    const ids = await createWork(access, "short", tasksEach);
    copy.change();
    const { run_id } = await access.user.run({ params: { dag: "quakes" }, body: {} });
    ids.push(...(await createWork(access, "short", tasksEach)));
    await until(
      "work is under way",
      async () => (await fates(access, ids)).filter(({ state }) => state === "completed").length >= 20,
      30_000,
    );
    const killedMs = await running.kill(victim);
    const done = await until("what was done is known", async () => fates(access, ids), 30_000);
    expect(done.some(({ state }) => state !== "completed")).toBe(true);
    await running.waitReady(victim);
    process.stdout.write(`${victim} is back ${Math.round(performance.now() - killedMs)} ms after kill -9\n`);
    expect(running.restarts(victim)).toBe(restarts + 1);

    expect(notExactlyOnce(await untilOver(access, ids, overMsMax))).toEqual([]);
    const run = await untilRunEnds(access, run_id, overMsMax);
    expect(run.state).toBe("completed");
    expect(await heads()).toEqual(before.map((commit) => commit + 1));
    await expectGapless();
    const [head] = before;
    const summary = await access.user.getDataset({ params: { name: "quakes_by_region_day" } });
    expect(summary.commits[0]?.inputs).toEqual([{ dataset: "quakes", generation: 1, commit: (head ?? 0) + 1 }]);
    const quakes = await resolve(access, "quakes");
    expect(await readFiles(quakes.files, "select count(*)::int as rows from data")).toEqual([{ rows: 1_707 }]);
    await watcher.stop();
    // Every answer that any reader got was one of the two commits, whole: one list of files for each.
    expect([...watcher.seen.keys()].sort((a, b) => a - b)).toEqual([head, (head ?? 0) + 1]);
    expect([...watcher.seen.values()].map((lists) => lists.size)).toEqual([1, 1]);
  },
);
