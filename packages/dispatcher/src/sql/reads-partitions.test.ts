/**
 * What the statements about partitions read when their plans were made while the tables were empty: as much as is asked for,
 * beside 100,000 partitions that are there, wait or are live. Commits of one key must not pay for the others.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { World } from "../testing/world.ts";
import {
  addInvalidations,
  dropInvalidations,
  expandSweeps,
  knownPartitions,
  liveTasksOf,
  partitionsHeld,
  partitionsOfJob,
  startableTasks,
  wakeInvalidations,
} from "./statements.gen.ts";

const many = 100_000;
const asked = 20;
/** Pages for one row asked for: probes of some tables, and writes to several indexes. */
const pagesPerRow = 60;

const source = `dag: wide
jobs:
  feed: { operator: ingest, outputs: [{ dataset: fed, partition_by: k }], source: { file: a.csv } }
  rates: { operator: ingest, outputs: [rates], source: { file: a.csv } }
  read: { operator: sql, execution: per_partition, inputs: [fed, rates], outputs: [read], sql: "select 1" }
`;

let world: World;

const key = (n: string) => `'k' || lpad((${n})::text, 6, '0')`;
const job = (name: string) => `(select job_id from jobs where name = '${name}')`;
const jobs = `array[${job("read")}]`;
const generation = (name: string) => `(select current_generation_id from datasets where name = '${name}')`;
const version = "(select current_version_id from dags)";
const keys = (from: number) => `array(select ${key("n")} from generate_series(${from}, ${from + asked - 1}) n)`;
const times = (value: string) => `array_fill(${value}, array[${asked}])`;
const ended = `(select json_agg(json_build_object('job_id', ${job("read")}, 'output_partition', k, 'lease_no', null)) from unnest(${keys(500)}) k)`;
const commit = (name: string, partitions: string) =>
  `json_build_array(json_build_object('generation_id', ${generation(name)}, 'commit_no', 2, 'partitions', ${partitions}, 'elsewhere', false))`;

type Look = readonly [what: string, statement: { readonly text: string }, args: readonly string[]];

const looks: readonly Look[] = [
  ["addInvalidations, of some keys", addInvalidations, [commit("fed", `to_json(${keys(700)})`), jobs, "null"]],
  ["addInvalidations, of every key there is", addInvalidations, [commit("rates", `'[""]'::json`), jobs, "null"]],
  ["wakeInvalidations", wakeInvalidations, [jobs, ended]],
  ["startableTasks, where all but a few wait for their own task", startableTasks, [jobs, `${asked}`]],
  ["expandSweeps", expandSweeps, [jobs, `${asked}`]],
  ["dropInvalidations", dropInvalidations, [times(job("read")), keys(900)]],
  ["liveTasksOf", liveTasksOf, [times(job("read")), keys(1_100)]],
  ["knownPartitions", knownPartitions, [times(version), times(job("read")), keys(1_300)]],
  ["partitionsOfJob", partitionsOfJob, [version, job("read"), "'k001000'", `${asked}`]],
  ["partitionsHeld", partitionsHeld, [generation("fed"), job("read"), keys(1_500)]],
];

beforeAll(async () => {
  world = await World.open({ connectionsMax: 1 });
  await world.deploy(source);
  for (const table of ["tasks", "partitions", "live_outputs", "invalidations", "invalidation_sweeps"]) {
    await world.db.raw(`alter table ${table} set (autovacuum_enabled = off)`);
  }
  await world.db.raw("vacuum analyze");
  for (const [index, [, statement]] of looks.entries()) {
    await world.db.raw(`prepare looked_at_${index} as ${statement.text}`);
    const count = Math.max(...[...statement.text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
    await world.db.raw(
      `explain execute looked_at_${index} (${Array.from({ length: count }, () => "null").join(", ")})`,
    );
  }
  await world.db.raw("update generations set head_commit = 1");
  await world.db.raw(
    `insert into partitions (generation_id, partition_key, head_commit) select ${generation("fed")}, ${key("n")}, 1 from generate_series(1, ${many}) n`,
  );
  await world.db.raw(`
    insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload)
    select gen_random_uuid(), 1, ${job("read")}, ${version}, 1, 0, 3, 10, 60000, now(), ${key("n")}, '{}' from generate_series(1, ${many}) n`);
  await world.db.raw(
    "insert into live_outputs (job_id, output_partition, task_id, run_id) select job_id, output_partition, task_id, 7 from tasks",
  );
  // All wait for their own task and are parked; a few more could start.
  await world.db.raw(`
    insert into invalidations (job_id, output_partition, generation_id, commit_no, run_id, parked)
    select ${job("read")}, ${key("n")}, ${generation("fed")}, 1, 7, n <= ${many} from generate_series(1, ${many} + ${asked / 2}) n`);
  await world.db.raw(
    `insert into invalidation_sweeps (job_id, generation_id, commit_no, after_key, sweeping_commit_no) values (${job("read")}, ${generation("rates")}, 1, 'k050000', 1)`,
  );
}, 120_000);
afterAll(() => world.close());

async function pagesTouched(): Promise<number> {
  const [row] = await world.db.raw<{ pages: number }>(
    "select sum(pg_stat_get_xact_blocks_fetched(oid))::int as pages from pg_class where relnamespace = 'public'::regnamespace",
  );
  return row?.pages ?? Number.NaN;
}

async function look(
  index: number,
  args: readonly string[],
): Promise<{ pages: number; rows: Record<string, unknown>[] }> {
  const columns = args.map((arg, at) => `quote_nullable((${arg})::text) as "${at}"`);
  const [values = {}] = await world.db.raw<Record<string, string>>(`select ${columns.join(", ")}`);
  await world.db.raw("begin");
  try {
    const before = await pagesTouched();
    const rows = await world.db.raw(`execute looked_at_${index} (${Object.values(values).join(", ")})`);
    return { pages: (await pagesTouched()) - before, rows };
  } finally {
    await world.db.raw("rollback");
  }
}

test.each(looks.map(([what, , args], index) => [what, index, args] as const))(
  "%s reads about as much as it is asked for",
  async (_, index, args) => {
    expect((await look(index, args)).pages).toBeLessThanOrEqual(pagesPerRow * asked);
  },
);

test("and does what it is asked for: what can start is found behind all that waits, a sweep goes on from where it was", async () => {
  const of = (what: string) => looks.findIndex(([name]) => name.startsWith(what));
  const [startable] = (await look(of("startableTasks"), looks[of("startableTasks")]?.[2] ?? [])).rows;
  expect((startable as { jobs: { tasks: unknown[] }[] }).jobs[0]?.tasks).toHaveLength(asked / 2);
  expect((await look(of("expandSweeps"), looks[of("expandSweeps")]?.[2] ?? [])).rows).toEqual([{ keys: asked }]);
  expect((await look(of("partitionsHeld"), looks[of("partitionsHeld")]?.[2] ?? [])).rows).toHaveLength(asked);
  expect((await look(of("knownPartitions"), looks[of("knownPartitions")]?.[2] ?? [])).rows).toHaveLength(asked);
});

test("a statement that walked all that waits would be seen", async () => {
  await world.db.raw("begin");
  const before = await pagesTouched();
  await world.db.raw("select count(*) from invalidations where run_id = 7 and commit_no > 1");
  expect((await pagesTouched()) - before).toBeGreaterThan(pagesPerRow * asked);
  await world.db.raw("rollback");
});
