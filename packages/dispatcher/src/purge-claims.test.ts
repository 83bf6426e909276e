/** A claim that pins its inputs while a purge of them runs: each interleaving is forced. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { caller, leaseOf, Registry } from "./testing/registry.ts";
import { until, waitingForLocks } from "./testing/world.ts";

let reg: Registry;
beforeAll(async () => {
  reg = await Registry.open();
});
afterAll(() => reg.world.close());
beforeEach(() => reg.world.clear());

const purge = (dataset: string, before: number) => reg.world.purges.purge(caller, dataset, { before, dry_run: false });

/** Stops the claim of a job amid its pinning: what it looks at is settled, and none of its rows is seen. */
async function claimAmidPinning(job: string, output: string) {
  const held = reg.world.race.pauseAt("claim:committed");
  const claiming = reg.take(job);
  await held.reached;
  const blocker = await reg.world.db.session();
  await blocker.raw("begin");
  // The place of its output, written by somebody else, who is not done yet.
  await blocker.raw(
    `insert into staging (lease_no, generation_id, prefix, head_commit, write_until)
     select l.lease_no, $1, 'd/' || repeat('x', 20) || '/a/' || repeat('x', 27) || '/', 0, clock_timestamp() from leases l join tasks t using (task_id) join jobs j using (job_id) where j.name = $2`,
    [await reg.generation(output), job],
  );
  held.resume();
  await until(async () => (await waitingForLocks(reg.world.db)) === 1);
  const resume = async () => {
    await blocker.raw("rollback");
    blocker.release();
    return claiming;
  };
  return { resume };
}

test("a purge that begins while a claim pins waits for it, and keeps what it pinned", async () => {
  const { lease_no } = await reg.commit("plain");
  const claim = await claimAmidPinning("derived", "derived");
  await reg.commit("plain");
  let purged = false;
  const purging = purge("plain", 2).finally(() => {
    purged = true;
  });
  await until(async () => purged || (await waitingForLocks(reg.world.db)) === 2);
  const task = await claim.resume();
  expect(await purging).toMatchObject({ commits: 0, kept: 1, files: 0 });
  expect(task.inputs).toMatchObject([{ dataset: "plain", commit: 1 }]);
  const [input] = await reg.world.resolver.resolveForLease(task.lease_no);
  expect(input?.files.map((file) => leaseOf(file.key))).toEqual([lease_no]);
});

test("also where the claim fixes what a task reads of the news", async () => {
  const { lease_no } = await reg.commit("log");
  const claim = await claimAmidPinning("news", "news");
  await reg.commit("log");
  let purged = false;
  const purging = purge("log", 2).finally(() => {
    purged = true;
  });
  await until(async () => purged || (await waitingForLocks(reg.world.db)) === 2);
  const task = await claim.resume();
  expect(await purging).toMatchObject({ commits: 0, kept: 1 });
  const [input] = await reg.world.resolver.resolveForLease(task.lease_no);
  expect(input?.files.map((file) => leaseOf(file.key))).toEqual([lease_no]);
});

test("a claim that comes while a purge marks commits waits for it, and pins the head of then", async () => {
  await reg.commit("plain");
  const first = reg.world.race.pauseAt("claim:committed");
  const claiming = reg.take("derived");
  await first.reached;
  const { lease_no } = await reg.commit("plain");
  const purger = await reg.world.db.session();
  await purger.raw("begin");
  await purger.raw("select 1 from generations where generation_id = $1 for update", [await reg.generation("plain")]);
  await purger.raw("update commits set purged_at = clock_timestamp() where commit_no = 1 and generation_id = $1", [
    await reg.generation("plain"),
  ]);
  first.resume();
  await until(async () => (await waitingForLocks(reg.world.db)) === 1);
  await purger.raw("commit");
  purger.release();
  const task = await claiming;
  expect(task.inputs).toMatchObject([{ dataset: "plain", commit: 2 }]);
  const [input] = await reg.world.resolver.resolveForLease(task.lease_no);
  expect(input?.files.map((file) => leaseOf(file.key))).toEqual([lease_no]);
});
