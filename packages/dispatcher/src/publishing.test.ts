/** Attempts that end at the same time share a transaction where they can, and nobody suffers for another. */
import type { ClaimedTask } from "@trace/contracts";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CheckedOutput } from "./manifests.ts";
import { type EndingAttempt, roundsOf } from "./publishing.ts";
import { until, World, waitingForLocks } from "./testing/world.ts";

const jobs = Array.from({ length: 8 }, (_, at) => `w${at}`);
const dag = `dag: together
jobs:
${jobs.map((job) => `  ${job}: { operator: ingest, outputs: [ds_${job}], source: { file: a.csv }, retries: 0 }`).join("\n")}
  keyed: { operator: ingest, outputs: [ds_keyed], source: { file: a.csv }, partitions: { keys: [a, b, c] } }
`;

let world: World;
beforeAll(async () => {
  world = await World.open();
  await world.deploy(dag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

async function claim(job: string, partition?: string): Promise<ClaimedTask> {
  const item = { dag: "together", job, priority: 0, payload: {}, ...(partition === undefined ? {} : { partition }) };
  const [made] = await world.tasks.create(world.orgId, [item]);
  const [task] = await world.claim(await world.session(), 1, [made?.task_id ?? ""]);
  if (task === undefined) throw new Error("nothing was ready");
  return task;
}

async function transactions(): Promise<number> {
  const rows = await world.db.raw<{ n: number }>("select count(distinct xmin::text)::int as n from commits");
  return rows[0]?.n ?? -1;
}

/** Holds one completion in its transaction, so that what comes meanwhile waits and goes together. */
async function behindASlowOne(work: () => Promise<unknown>[]) {
  const first = await claim("w0");
  const slow = world.race.pauseAt("complete:published");
  const firstDone = world.succeed(first);
  await slow.reached;
  const rest = work();
  return { rest, release: () => slow.resume(), firstDone };
}

describe("attempts that end together", () => {
  test("are published in one transaction, each with its own answer", async () => {
    const tasks = await Promise.all(jobs.map((job) => claim(job)));
    const answers = await world.completions.complete(
      tasks.map((task) => ({
        lease_token: task.lease_token,
        result: { kind: "success" as const, outputs: [world.stage(task)] },
      })),
    );
    expect(answers.map((answer) => answer.commits?.[0]?.dataset)).toEqual(jobs.map((job) => `ds_${job}`));
    // The first goes at once, the others together.
    expect(await transactions()).toBeLessThanOrEqual(3);
    const times = await world.db.raw("select count(distinct committed_at)::int as n from commits");
    expect(times[0]?.n).toBe(jobs.length);
  });

  test("have a time of their own each, so that every moment shows one commit", async () => {
    const tasks = await Promise.all(["a", "b", "c"].map((key) => claim("keyed", key)));
    const { rest, release, firstDone } = await behindASlowOne(() => tasks.map((task) => world.succeed(task)));
    release();
    await Promise.all([firstDone, ...rest]);
    const commits = await world.db.raw<{ commit_no: number; transaction: string; time: string }>(
      `select commit_no, c.xmin::text as transaction, to_char(committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time
         from commits c join generations g using (generation_id) join datasets d using (dataset_id)
        where d.name = 'ds_keyed' order by commit_no`,
    );
    expect(new Set(commits.map(({ transaction }) => transaction)).size).toBeLessThan(3);
    const times = commits.map(({ time }) => time);
    expect(times).toEqual([...new Set(times)].sort());
    for (const { commit_no, time } of commits) {
      expect(await world.read("ds_keyed", { timestamp: time })).toMatchObject({ commit: commit_no });
    }
  });

  test("one that is refused leaves the others alone and keeps its lease", async () => {
    const first = await claim("w1");
    await world.succeed(first);
    const tasks = await Promise.all(["w1", "w2", "w3"].map((job) => claim(job)));
    const narrow = (manifest: object) => ({ ...manifest, schema: [{ name: "other", type: "BIGINT" }] });
    const answers = await world.completions.complete(
      tasks.map((task, at) => ({
        lease_token: task.lease_token,
        result: {
          kind: "success" as const,
          outputs: [world.stage(task, task.staging[0], at === 0 ? narrow : undefined)],
        },
      })),
    );
    expect(answers.map((answer) => answer.accepted)).toEqual([false, true, true]);
    expect(answers[0]?.error?.code).toBe("TR-4014");
    expect(await world.count("leases")).toBe(1);
  });

  test("a lease that is lost meanwhile changes nothing, and the others are published", async () => {
    const [lost, live] = [await claim("w1"), await claim("w2")];
    const { rest, release, firstDone } = await behindASlowOne(() => [world.succeed(lost), world.succeed(live)]);
    await world.db.raw("update leases set deadline = clock_timestamp() - interval '1 second' where lease_no = $1", [
      lost.lease_no,
    ]);
    release();
    await firstDone;
    const [first, second] = await Promise.all(rest);
    expect(first).toMatchObject({ accepted: false, error: { code: "TR-3001" } });
    expect(second).toMatchObject({ accepted: true });
  });

  test("the same call twice in one batch is answered alike, and published once", async () => {
    const task = await claim("w1");
    const outputs = [world.stage(task)];
    const call = { lease_token: task.lease_token, result: { kind: "success" as const, outputs } };
    const answers = await world.completions.complete([call, call, call]);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    expect(await world.count("commits")).toBe(1);
  });

  test("partitions of one dataset share a transaction, with numbers of their own", async () => {
    const tasks = await Promise.all(["a", "b", "c"].map((key) => claim("keyed", key)));
    const { rest, release, firstDone } = await behindASlowOne(() => tasks.map((task) => world.succeed(task)));
    // They wait for the one that is on its way, or, once it is slow, go beside it: it holds none of their locks.
    await Promise.race([Promise.all(rest), until(async () => (await waitingForLocks(world.db)) > 0)]);
    release();
    await firstDone;
    const answers = (await Promise.all(rest)) as { commits?: { commit: number }[] }[];
    expect(answers.map((answer) => answer.commits?.[0]?.commit).sort()).toEqual([1, 2, 3]);
    const rows = await world.db.raw("select partition_key, head_commit from partitions where partition_key <> ''");
    expect(new Set(rows.map((row) => row.partition_key))).toEqual(new Set(["a", "b", "c"]));
    expect(await world.count("commit_files", "removed_commit is null and partition_key <> ''")).toBe(3);
  });
});

describe("what goes together", () => {
  type Parts = { generation: number; partition: string; how: "one" | "many" | "append"; files: number };
  const attempt = (parts: Parts, at: number): EndingAttempt => ({
    token: Buffer.from([at]),
    jobId: parts.generation,
    partition: parts.partition,
    result: { kind: "success", outputs: [] },
    outputs: [
      {
        kind: "staged",
        place: {
          generationId: parts.generation,
          partitionBy: parts.how === "many" ? "column" : null,
          strategy: parts.how === "append" ? "append" : "replace",
        },
        manifest: { files: { length: parts.files } },
      } as unknown as CheckedOutput,
    ],
  });

  test("never two that write the same, nothing is lost, what came first is decided first, and no round is too large", () => {
    const parts = fc.record({
      generation: fc.integer({ min: 1, max: 3 }),
      partition: fc.constantFrom("a", "b", "c"),
      how: fc.constantFrom("one" as const, "one" as const, "many" as const, "append" as const),
      files: fc.constantFrom(1, 1, 1, 6_000),
    });
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 20 }), (all) => {
        const attempts = all.map(attempt);
        const rounds = roundsOf(attempts);
        expect(rounds.flat()).toHaveLength(attempts.length);
        expect(new Set(rounds.flat()).size).toBe(attempts.length);
        const roundOf = new Map(rounds.flatMap((round, at) => round.map((one) => [one, at] as const)));
        for (const round of rounds) {
          const files = round.reduce(
            (sum, one) => sum + (one.outputs[0] as { manifest: { files: { length: number } } }).manifest.files.length,
            0,
          );
          expect(round.length === 1 || files <= 10_000).toBe(true);
        }
        for (const [i, a] of attempts.entries()) {
          for (const [j, b] of attempts.entries()) {
            if (i >= j || all[i]?.generation !== all[j]?.generation) continue;
            const apart = all[i]?.partition === all[j]?.partition || all[i]?.how !== "one" || all[j]?.how !== "one";
            if (apart) expect(roundOf.get(a)).toBeLessThan(roundOf.get(b) ?? -1);
          }
        }
      }),
    );
  });
});
