/** What a commit makes of a dataset: slices, partitions, schemas, cursors; and what it leaves alone. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { World } from "./testing/world.ts";

/** Ingests into ds_in; copies the news of it to ds_log; writes ds_parts by month. */
const dag = `dag: commits
jobs:
  watch: { operator: noop, retries: 5 }
  ingest: { operator: ingest, outputs: [ds_in], source: { file: a.csv }, retries: 5 }
  log:
    operator: sql
    inputs: [{ dataset: ds_in, read: new }]
    outputs: [{ dataset: ds_log, strategy: append }]
    sql: "select * from ds_in"
    retries: 5
  months: { operator: ingest, outputs: [{ dataset: ds_parts, partition_by: month }], source: { file: b.csv }, retries: 5 }
  slices: { operator: ingest, outputs: [{ dataset: ds_slices, strategy: append }], source: { file: c.csv }, retries: 5 }
  pair: { operator: sql, inputs: [ds_slices], outputs: [ds_one, { dataset: ds_two, sql: "select 2" }], sql: "select 1", retries: 5 }
`;

const fingerprint = "a".repeat(64);
let world: World;
beforeAll(async () => {
  world = await World.open();
  await world.deploy(dag);
});
afterAll(() => world.close());
beforeEach(() => world.clear());

/** Creates a task of a job and claims it. */
async function claim(job: string, payload: Record<string, unknown> = {}) {
  const [made] = await world.tasks.create(world.orgId, [{ dag: "commits", job, priority: 0, payload }]);
  return take(made?.task_id ?? "");
}

async function take(id: string) {
  const [task] = await world.claim(await world.session(), 1, [id]);
  if (task?.task_id !== id) throw new Error(`claimed ${task?.task_id}, not ${id}`);
  return task;
}

async function taskOf(job: string) {
  const [row] = await world.db.raw<{ public_id: string }>(
    "select t.public_id from ready r join tasks t using (task_id) join jobs j using (job_id) where j.name = $1",
    [job],
  );
  return take(row?.public_id ?? "");
}

/** Keys of the files that readers of the head see, and of which lease each is. */
async function seen(dataset: string): Promise<string[]> {
  const rows = await world.db.raw<{ line: string }>(
    `select f.partition_key || ' ' || c.lease_no as line
       from datasets d join generations g on g.generation_id = d.current_generation_id
       join commit_files f on f.generation_id = g.generation_id and f.removed_commit is null
       join commits c on c.generation_id = g.generation_id and c.commit_no = f.added_commit
      where d.name = $1 order by 1`,
    [dataset],
  );
  return rows.map((row) => row.line.trim());
}

async function head(dataset: string): Promise<number> {
  const [row] = await world.db.raw<{ head_commit: number }>(
    "select g.head_commit from datasets d join generations g on g.generation_id = d.current_generation_id where d.name = $1",
    [dataset],
  );
  return row?.head_commit ?? -1;
}

describe("an attempt's place", () => {
  test("is known until 15 minutes past its lease, and goes with the commit that publishes it", async () => {
    const task = await claim("ingest");
    const [row] = await world.db.raw<{ prefix: string; minutes: number }>(
      "select s.prefix, extract(epoch from s.write_until - l.deadline) / 60 as minutes from staging s join leases l using (lease_no)",
    );
    expect(row?.prefix).toBe(task.staging[0]?.prefix);
    expect(Number(row?.minutes)).toBe(15);
    expect(Date.parse(task.staging[0]?.write_until ?? "")).toBeGreaterThan(Date.now());
    await world.succeed(task);
    expect(await world.count("staging")).toBe(0);
  });

  test("stays known as garbage when the attempt fails, and the next attempt has another", async () => {
    const task = await claim("ingest");
    world.stage(task);
    await world.fail(task);
    await world.makeDue();
    const again = await taskOf("ingest");
    expect(again.staging[0]?.prefix).not.toBe(task.staging[0]?.prefix);
    await world.succeed(again);
    expect(await world.count("staging", `lease_no = ${task.lease_no}`)).toBe(1);
    expect(await world.count("staging")).toBe(1);
  });

  test("moves on with an attempt that begins late", async () => {
    const task = await claim("ingest");
    await world.db.raw("update leases set deadline = deadline - interval '1 minute'");
    await world.starts.start([{ lease_token: task.lease_token, nonce: "01910000-0000-7000-8000-000000000001" }]);
    const [row] = await world.db.raw<{ same: boolean }>(
      "select s.write_until = l.deadline + interval '15 minutes' as same from staging s join leases l using (lease_no)",
    );
    expect(row?.same).toBe(true);
  });
});

describe("appending", () => {
  test("a slice again takes the place of its files, and of no others", async () => {
    const first = await claim("slices", { append_key: "monday" });
    await world.succeed(first);
    const other = await claim("slices", { append_key: "tuesday" });
    await world.succeed(other);
    const again = await claim("slices", { append_key: "monday" });
    expect(await world.succeed(again)).toMatchObject({
      commits: [{ dataset: "ds_slices", commit: 3, outcome: "committed" }],
    });
    expect(await seen("ds_slices")).toEqual([String(other.lease_no), String(again.lease_no)].sort());
    expect(await world.count("append_keys")).toBe(2);
  });

  test("without a key, each task is a slice of its own", async () => {
    const first = await claim("slices");
    await world.succeed(first);
    await world.succeed(await claim("slices"));
    expect(await seen("ds_slices")).toHaveLength(2);
  });

  test("the same content is not appended twice, whatever its key", async () => {
    const first = await claim("slices", { append_key: "monday" });
    const mark = (manifest: object) => ({ ...manifest, fingerprint });
    await world.complete(first, { kind: "success", outputs: [world.stage(first, first.staging[0], mark)] });
    const again = await claim("slices", { append_key: "tuesday" });
    const answer = await world.complete(again, {
      kind: "success",
      outputs: [world.stage(again, again.staging[0], mark)],
    });
    expect(answer).toMatchObject({
      accepted: true,
      task_state: "completed",
      commits: [{ commit: 1, outcome: "unchanged" }],
    });
    expect(await head("ds_slices")).toBe(1);
  });

  test("the news of an input are read once: a range stays its task's through every try", async () => {
    await world.succeed(await claim("ingest"));
    const first = await taskOf("log");
    expect(first.inputs).toMatchObject([{ dataset: "ds_in", commit: 1, from: 0 }]);
    await world.succeed(await claim("ingest"));
    await world.fail(first);
    await world.makeDue();
    const again = await taskOf("log");
    expect(again.inputs).toMatchObject([{ commit: 1, from: 0 }]);
    await world.succeed(again);
    const next = await taskOf("log");
    expect(next.inputs).toMatchObject([{ commit: 2, from: 1 }]);
    await world.succeed(next);
    expect((await world.db.raw("select append_key from append_keys order by 1")).map((row) => row.append_key)).toEqual([
      "ds_in.1:0-1",
      "ds_in.1:1-2",
    ]);
    expect(await seen("ds_log")).toHaveLength(2);
    expect(await world.db.raw("select position from cursors")).toEqual([{ position: "2" }]);
  });

  test("a key asked for by hand beside a range names that range alone: another range is another slice", async () => {
    await world.succeed(await claim("ingest"));
    await world.fail(await taskOf("log"), "TR-5200"); // Dead: its range is not read.
    await world.succeed(await claim("log", { append_key: "k" }));
    await world.succeed(await claim("ingest"));
    await world.fail(await taskOf("log"), "TR-5200");
    await world.succeed(await claim("log", { append_key: "k" }));
    expect(await seen("ds_log")).toHaveLength(2);
    expect((await world.db.raw("select append_key from append_keys order by 1")).map((row) => row.append_key)).toEqual([
      "k ds_in.1:0-1",
      "k ds_in.1:1-2",
    ]);
  });

  test("a key that is too long to keep is told from others that begin alike", async () => {
    const long = "x".repeat(2_000);
    await world.succeed(await claim("slices", { append_key: `${long}a` }));
    await world.succeed(await claim("slices", { append_key: `${long}b` }));
    await world.succeed(await claim("slices", { append_key: `${long}a` }));
    expect(await seen("ds_slices")).toHaveLength(2);
  });

  test("news that another task has read meanwhile are not published again: the late task is superseded and over", async () => {
    await world.succeed(await claim("ingest"));
    const dead = await taskOf("log");
    await world.fail(dead, "TR-5200");
    await world.succeed(await claim("ingest"));
    await world.succeed(await taskOf("log"));
    await world.actions.replay({ orgId: world.orgId, name: "tests" }, [dead.task_id]);
    const again = await take(dead.task_id);
    expect(again.inputs).toMatchObject([{ from: 0, commit: 1 }]);
    expect(await world.succeed(again)).toMatchObject({
      accepted: true,
      task_state: "completed",
      commits: [{ outcome: "superseded" }],
    });
    expect(await head("ds_log")).toBe(1);
  });

  test("a cursor that another moved refuses the commit, and the lease is kept", async () => {
    await world.succeed(await claim("ingest"));
    await world.succeed(await claim("ingest"));
    const task = await taskOf("log");
    await world.db.raw(
      "insert into cursors (job_id, output_partition, name, position) select job_id, '', format('input:%s>%s', (select generation_id from task_ranges), (select min(generation_id) from job_outputs jo where jo.job_id = jobs.job_id)), '1' from jobs where name = 'log'",
    );
    expect(await world.succeed(task)).toMatchObject({ accepted: false, error: { code: "TR-4025" } });
    expect(await head("ds_log")).toBe(0);
    expect(await world.count("leases")).toBe(1);
  });

  test("a cursor of one's own moves with the commit, from where it stood", async () => {
    const move = (from: string | null, to: string) => [{ name: "feed", from, to }];
    const first = await claim("slices");
    await world.complete(first, { kind: "success", outputs: [world.stage(first)], cursors: move(null, "a") });
    const second = await claim("slices");
    const stale = await world.complete(second, {
      kind: "success",
      outputs: [world.stage(second)],
      cursors: move(null, "z"),
    });
    expect(stale).toMatchObject({ accepted: false, error: { code: "TR-4025" } });
    const right = await world.complete(second, {
      kind: "success",
      outputs: [world.stage(second)],
      cursors: move("a", "b"),
    });
    expect(right).toMatchObject({ accepted: true });
    expect(await world.db.raw("select name, position from cursors")).toEqual([{ name: "feed", position: "b" }]);
  });
});

describe("a cursor of a job that publishes nothing", () => {
  test("moves with the end of its attempt, and only from where it stood", async () => {
    const move = (from: string | null, to: string) => ({
      kind: "success" as const,
      outputs: [],
      cursors: [{ name: "feed", from, to }],
    });
    const first = await claim("watch");
    expect(await world.complete(first, move(null, "a"))).toMatchObject({ accepted: true, task_state: "completed" });
    const second = await claim("watch");
    expect(await world.complete(second, move(null, "b"))).toMatchObject({
      accepted: false,
      error: { code: "TR-4025" },
    });
    expect(await world.complete(second, move("a", "b"))).toMatchObject({ accepted: true });
    expect(await world.complete(second, move("a", "b"))).toMatchObject({ accepted: true });
    expect(await world.db.raw("select position from cursors")).toEqual([{ position: "b" }]);
  });
});

describe("many partitions in one commit", () => {
  const parts =
    (...keys: string[]) =>
    (manifest: { files: object[] }) => ({
      ...manifest,
      rows: keys.length,
      bytes: keys.length * (manifest.files[0] as { bytes: number }).bytes,
      files: keys.map((partition) => ({
        ...manifest.files[0],
        key: `${(manifest.files[0] as { key: string }).key}-${keys.indexOf(partition)}`,
        partition,
      })),
    });

  async function write(...keys: string[]) {
    const task = await claim("months");
    const place = task.staging[0];
    const staged = world.stage(task, place, parts(...keys));
    for (const index of keys.keys()) {
      world.store.put(place?.bucket ?? "", `${place?.prefix}data/0.parquet-${index}`, `rows of lease ${task.lease_no}`);
    }
    return { task, answer: await world.complete(task, { kind: "success", outputs: [staged] }) };
  }

  test("change together under one number, and those that are no longer written are empty", async () => {
    const first = await write("2001-01", "2001-02", "2001-03");
    expect(first.answer).toMatchObject({ commits: [{ commit: 1, outcome: "committed" }] });
    const second = await write("2001-02", "2001-04");
    expect(second.answer).toMatchObject({ commits: [{ commit: 2 }] });
    expect(await seen("ds_parts")).toEqual([`2001-02 ${second.task.lease_no}`, `2001-04 ${second.task.lease_no}`]);
    const touched = await world.db.raw(
      "select commit_no, array_agg(partition_key order by partition_key) as keys from commit_partitions group by 1 order by 1",
    );
    expect(touched.map((row) => row.keys)).toEqual([
      ["2001-01", "2001-02", "2001-03"],
      ["2001-01", "2001-02", "2001-03", "2001-04"],
    ]);
    const partitions = await world.db.raw("select partition_key, head_commit from partitions order by 1");
    expect(partitions.map((row) => row.partition_key)).toEqual(["2001-02", "2001-04"]);
  });

  test("each file must say whose it is, and where there are none no file may", async () => {
    const task = await claim("months");
    const answer = await world.complete(task, { kind: "success", outputs: [world.stage(task)] });
    expect(answer).toMatchObject({ accepted: false, error: { code: "TR-4001" } });
    const other = await claim("ingest");
    const named = world.stage(other, other.staging[0], (manifest) => ({
      ...manifest,
      files: manifest.files.map((file) => ({ ...file, partition: "x" })),
    }));
    expect(await world.complete(other, { kind: "success", outputs: [named] })).toMatchObject({
      error: { code: "TR-4001" },
    });
    const whole = world.stage(other, other.staging[0], (manifest) => ({ ...manifest, partition: "x" }));
    expect(await world.complete(other, { kind: "success", outputs: [whole] })).toMatchObject({
      error: { code: "TR-4001" },
    });
  });
});

describe("schemas", () => {
  const columns =
    (...schema: { name: string; type: string; field_id?: number }[]) =>
    (manifest: object) => ({ ...manifest, schema });

  async function write(...schema: { name: string; type: string; field_id?: number }[]) {
    const task = await claim("ingest");
    const answer = await world.complete(task, {
      kind: "success",
      outputs: [world.stage(task, task.staging[0], columns(...schema))],
    });
    return { task, answer };
  }

  test("grow by columns and wider types, and the next attempt is told their ids", async () => {
    await write({ name: "x", type: "INTEGER" });
    await write({ name: "x", type: "BIGINT" }, { name: "y", type: "VARCHAR" });
    const { task, answer } = await write(
      { name: "y", type: "VARCHAR", field_id: 2 },
      { name: "x", type: "INTEGER", field_id: 1 },
    );
    expect(answer).toMatchObject({ accepted: true, commits: [{ commit: 3 }] });
    expect(task.staging[0]).toMatchObject({
      schema: [
        { name: "x", type: "BIGINT", field_id: 1 },
        { name: "y", type: "VARCHAR", field_id: 2 },
      ],
      next_field_id: 3,
    });
  });

  test("bind nobody until there was a row: an empty source says nothing of those to come", async () => {
    const empty = (manifest: { files: object[] }) => ({
      ...manifest,
      rows: 0,
      schema: [{ name: "column0", type: "VARCHAR" }],
      files: manifest.files.map((file) => ({ ...file, rows: 0 })),
    });
    const first = await claim("ingest");
    await world.complete(first, { kind: "success", outputs: [world.stage(first, first.staging[0], empty)] });
    const { task, answer } = await write({ name: "x", type: "INTEGER", field_id: 2 });
    expect(task.staging[0]).toMatchObject({ schema: [], next_field_id: 2 });
    expect(answer).toMatchObject({ accepted: true, commits: [{ commit: 2, outcome: "committed" }] });
    const other = await write({ name: "y", type: "INTEGER" });
    expect(other.answer).toMatchObject({ accepted: false, error: { code: "TR-4014" } });
  });

  test("do not lose a column by themselves: nothing is published, and the task is dead", async () => {
    await write({ name: "x", type: "INTEGER" }, { name: "y", type: "VARCHAR" });
    const { answer } = await write({ name: "x", type: "INTEGER" });
    expect(answer).toMatchObject({
      accepted: false,
      error: { code: "TR-4014", fix: expect.stringContaining("version") },
    });
    expect(await head("ds_in")).toBe(1);
  });

  test("refuse files whose ids the dataset has given to other columns", async () => {
    await write({ name: "x", type: "INTEGER" });
    const late = await claim("slices"); // Of another dataset: it does not matter here.
    expect(late.staging).toHaveLength(1);
    const { answer } = await write({ name: "x", type: "INTEGER", field_id: 9 });
    expect(answer).toMatchObject({ accepted: false, error: { code: "TR-4015" } });
  });
});

describe("an unchanged source", () => {
  test("ends the attempt without a commit, as long as the dataset holds that content", async () => {
    const first = await claim("ingest");
    const mark = (manifest: object) => ({ ...manifest, fingerprint, source: { kind: "url", etag: '"1"' } });
    await world.complete(first, { kind: "success", outputs: [world.stage(first, first.staging[0], mark)] });
    const second = await claim("ingest");
    expect(second.staging[0]?.previous).toEqual({ fingerprint, source: { kind: "url", etag: '"1"' } });
    const unchanged = [{ dataset: "ds_in", unchanged: true as const, fingerprint }];
    expect(await world.complete(second, { kind: "success", outputs: unchanged })).toMatchObject({
      accepted: true,
      task_state: "completed",
      commits: [{ dataset: "ds_in", commit: 1, outcome: "unchanged" }],
    });
    expect(await head("ds_in")).toBe(1);
    expect(await world.count("ready")).toBe(1); // The reader of the first commit, and none for the second.
    await world.succeed(await claim("ingest"));
    const late = await claim("ingest");
    expect(await world.complete(late, { kind: "success", outputs: unchanged })).toMatchObject({
      accepted: false,
      error: { code: "TR-4017" },
    });
  });
});

describe("several datasets of one attempt", () => {
  test("share one time, later than each had, and change together or not at all", async () => {
    await world.succeed(await claim("slices"));
    const task = await taskOf("pair");
    await world.db.raw(
      "update generations g set head_committed_at = clock_timestamp() + interval '1 hour' from datasets d where d.dataset_id = g.dataset_id and d.name = 'ds_one'",
    );
    const [one, two] = task.staging;
    const lie = world.stage(task, two, (manifest) => ({ ...manifest, rows: 7 }));
    const refused = await world.complete(task, { kind: "success", outputs: [world.stage(task, one), lie] });
    expect(refused).toMatchObject({ accepted: false, error: { code: "TR-4001" } });
    expect([await head("ds_one"), await head("ds_two")]).toEqual([0, 0]);
    await world.complete(task, { kind: "success", outputs: [world.stage(task, one), world.stage(task, two)] });
    const times = await world.db.raw<{ at: string; later: boolean }>(
      "select committed_at::text as at, committed_at > clock_timestamp() + interval '30 minutes' as later from commits c join generations g using (generation_id) join datasets d using (dataset_id) where d.name in ('ds_one', 'ds_two')",
    );
    expect(new Set(times.map((row) => row.at)).size).toBe(1);
    expect(times.map((row) => row.later)).toEqual([true, true]);
  });
});
