/** SQL that users bring: hostile, endless and greedy. It ends in a catalogued error, reads nothing it was not given, and leaves nothing. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Task } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { until } from "./harness/until.ts";
import { deploy, runToEnd, untilRunEnds } from "./harness/work.ts";
import { expectNoNewFiles, expectNothingLive, expectTold, objectFiles, rowCounts } from "./refusals-traces.ts";

const runMsMax = 150_000;

/**
 * A sample of the hostile statements that the query gate is tested with, in its words: `orders(id, k, s)` is an input;
 * `orders_raw` and `hot` exist and are not.
 */
const hostile: readonly string[] = [
  "SELECT * FROM read_text('/etc/passwd')",
  "SELECT * FROM READ_BLOB('/proc/self/environ')",
  'SELECT * FROM "/etc/passwd"',
  "SELECT * FROM read_csv('/etc/passwd')",
  "SELECT * FROM read_parquet('s3://other-org/x.parquet')",
  "SELECT * FROM glob('/etc/*')",
  "SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))",
  "SELECT * FROM orders LIMIT (SELECT count(*) FROM read_text('/etc/passwd'))",
  "WITH x AS (FROM read_text('/etc/passwd')) SELECT 1",
  "PIVOT (FROM read_text('/etc/passwd')) ON filename IN ('a') USING count(*)",
  "SUMMARIZE SELECT * FROM read_csv('/etc/passwd')",
  "WITH read_text AS (SELECT 1) SELECT * FROM read_text('/etc/passwd')",
  "COPY (SELECT 1) TO 'EVIL.parquet' (FORMAT parquet)",
  "EXPORT DATABASE 'EVIL'",
  "ATTACH 'EVIL.db'",
  "LOAD httpfs",
  "CREATE TABLE x AS SELECT 1",
  "SET memory_limit='1TB'",
  "SET lock_configuration=false",
  "PRAGMA enable_profiling",
  "SELECT * FROM duckdb_secrets()",
  "SELECT current_setting('temp_directory')",
  "SHOW TABLES",
  "WITH a AS (SELECT * FROM orders_raw), orders_raw AS (SELECT 1) SELECT * FROM a",
  "SELECT * FROM hot",
  "SELECT * FROM orders; DROP VIEW orders",
  "SELECT pg_catalog.pg_sleep(600)",
  "SELECT getenv('PATH')",
];

let base: string;
let stack: RunningStack;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), "trace-refusals-"));
  writeFileSync(join(base, "orders.csv"), "id,k,s\n1,a,secret-of-orders\n2,b,two\n");
  stack = await startStack({ roots: [base] });
  const source = (name: string) =>
    `  ${name}:\n    operator: ingest\n    source: {file: orders.csv}\n    outputs: [${name}]\n`;
  await deploy(stack.access, `dag: given\njobs:\n${["orders", "orders_raw", "hot"].map(source).join("")}`);
  expect(await runToEnd(stack.access, "given", runMsMax)).toMatchObject({ state: "completed" });
});

afterAll(async () => {
  await stack?.stop();
  rmSync(base, { recursive: true, force: true });
});

afterEach((context) => tellIfFailed(context, stack?.folder));

function sqlDag(dag: string, statements: readonly string[], limits = "retries: 0\n    timeout: 2m"): string {
  const jobs = statements.map(
    (sql, index) =>
      `  s${index}:\n    operator: sql\n    inputs: [orders]\n    sql: ${JSON.stringify(sql)}\n    outputs: [${dag}_${index}]\n    ${limits}\n`,
  );
  return `dag: ${dag}\njobs:\n${jobs.join("")}`;
}

/** Deploys and runs statements that must all fail; answers with their tasks in order. */
async function runRefused(dag: string, statements: readonly string[]): Promise<Task[]> {
  await deploy(stack.access, sqlDag(dag, statements));
  const before = { rows: await rowCounts(stack.access), files: objectFiles(stack.folder.dir) };
  const { run_id } = await stack.access.user.run({ params: { dag }, body: {} });
  const run = await untilRunEnds(stack.access, run_id, runMsMax);
  expect(run).toMatchObject({ state: "failed", commits: [], waiting: [] });
  await expectNothingLive(stack.access);
  await expectNoNewFiles(stack.folder.dir, before.files);
  const after = await rowCounts(stack.access);
  expect(after).toEqual({ ...before.rows, runs: before.rows.runs + 1, tasks: before.rows.tasks + statements.length });
  const byJob = new Map(run.tasks.map((task) => [task.job, task]));
  return statements.map((sql, index) => {
    const task = byJob.get(`s${index}`);
    if (task === undefined) throw new Error(`no task for ${sql}`);
    expect(task, sql).toMatchObject({ state: "dead", commits: [] });
    return task;
  });
}

test("hostile SQL ends its task with a code of the query gate, reads nothing and writes nothing", async () => {
  const evil = join(base, "evil");
  const tasks = await runRefused(
    "hostile",
    hostile.map((sql) => sql.replace("EVIL", evil)),
  );
  for (const [index, { error, attempt }] of tasks.entries()) {
    expect(error?.code, hostile[index]).toMatch(/^TR-520[0-4]$/);
    expectTold(error, /^TR-52\d\d$/);
    expect(attempt).toBe(1);
    // Neither a file's content, nor the settings of the process, nor a row of an input.
    expect(JSON.stringify(error)).not.toMatch(/root:x:|secret-of-orders|duck-\d+/);
  }
  for (const made of [evil, `${evil}.db`, `${evil}.parquet`]) expect(existsSync(made)).toBe(false);
  const { datasets } = await stack.access.user.listDatasets({});
  expect(datasets.filter(({ name }) => name.startsWith("hostile_")).map(({ head }) => head)).toEqual(
    hostile.map(() => 0),
  );
});

test("SQL that wants more memory than its process may have is refused, and the worker lives on", async () => {
  const pid = stack.pidOf("worker");
  const tasks = await runRefused("greedy", [
    "SELECT repeat('x', 3000000000) AS x",
    "SELECT max(length(repeat('x' || a.range::varchar, 100000000))) AS x FROM range(64) a",
    "SELECT list(a.range) AS x FROM range(100000) a, range(10000) b",
  ]);
  for (const { error } of tasks) expectTold(error, /^TR-52(05|07|08|09|10)$/);
  expect(stack.pidOf("worker")).toBe(pid);
  await deploy(stack.access, sqlDag("modest", ["SELECT count(*) AS n FROM orders"]));
  expect(await runToEnd(stack.access, "modest", runMsMax)).toMatchObject({ state: "completed" });
});

test("a query that never ends is killed at its job's timeout, each of its attempts counts, and no process of it stays", async () => {
  const endless =
    "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT count(*) AS n FROM r WHERE a < 0";
  await deploy(stack.access, sqlDag("endless", [endless], "retries: 1\n    timeout: 3s"));
  const before = objectFiles(stack.folder.dir);
  const { tasks } = await stack.access.user.run({ params: { dag: "endless" }, body: {} });
  const task_id = tasks[0]?.task_id ?? "";
  const task = () => stack.access.user.getTask({ params: { task_id } });
  const after = (failures: number) =>
    until(
      `${failures} attempts have failed`,
      async () => {
        const now = await task();
        return now.failures === failures && now;
      },
      60_000,
    );
  expect(await after(1)).toMatchObject({ state: "queued", attempt: 1 });
  await stack.access.sql(
    "update ready set run_at = clock_timestamp() where task_id = (select task_id from tasks where public_id = $1)",
    [task_id],
  );
  const ended = await after(2);
  expect(ended).toMatchObject({
    state: "dead",
    attempt: 2,
    failures: 2,
    failures_max: 2,
    lease_losses: 0,
    commits: [],
  });
  expect(ended.attempts).toHaveLength(2);
  for (const { error } of ended.attempts) expectTold(error, /^TR-(3005|5207|5208)$/);
  await expectNothingLive(stack.access);
  await expectNoNewFiles(stack.folder.dir, before);
  // The worker keeps one ready, begun when the query was: one that stayed would be the second.
  await until("no process of a query is left but the one that waits", () => queryProcesses().length === 1, 15_000);
});

function queryProcesses() {
  return stack.folder.processes().filter(({ command }) => command.includes("/duck/"));
}
