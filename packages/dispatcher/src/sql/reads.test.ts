/**
 * What hot statements read when their plans were made while the tables were empty, as they are when all is well, and kept:
 * as much as is asked for, however many rows there are by then.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noopDag, World } from "../testing/world.ts";
import {
  addCompletedEvents,
  cancelQueued,
  claimTasks,
  completePlain,
  createPlainTasks,
  describeLeases,
  describeStaging,
  endAttempts,
  findAttempts,
  firstReady,
  holdInputs,
  liveLeases,
  lockExpiredLeases,
  lockLeases,
  lockLeasesOfTasks,
  pinInputs,
  queueStatus,
  readWakeups,
  saveProgress,
  startAttempts,
  wakeForgotten,
} from "./statements.gen.ts";

let world: World;

const tasks = 100_000;
/** Rows that each statement asks for, or may find. */
const asked = 50;
/** Pages touched for one of them at most: a few probes of three or four pages, and writes to several indexes. */
const states = [
  { when: "never analyzed", vacuumed: false, pagesPerRow: 30 },
  // All is well: the queue is empty, and vacuumed so.
  { when: "vacuumed while empty", vacuumed: true, pagesPerRow: 40 },
];

const uuid = "0198c7a2-0000-7000-8000-000000000000";
const from = (what: string, table: string) =>
  `array(select ${what} from ${table} order by task_id desc limit ${asked})`;
const tokens = from("token", "leases");
const leaseNos = from("lease_no", "leases");
const over = from("task_id", "outcomes");
const nowhere = ["'{}'", "'{}'", "'{}'"];
const secrets = `decode(repeat('00', ${16 * asked}), 'hex')`;
const queued = `array(select public_id from tasks join ready using (task_id) order by task_id desc limit ${asked})`;

type Look = readonly [what: string, statement: { readonly text: string }, args: readonly string[]];

/** Arguments as SQL, in the order of the statement. */
const hot: readonly Look[] = [
  ["claimTasks, by name", claimTasks, [`'${uuid}'`, "1", queued, ...nowhere, `${asked}`, secrets]],
  [
    "claimTasks, by more names than it may take",
    claimTasks,
    [`'${uuid}'`, "1", queued, ...nowhere, `${asked - 1}`, secrets],
  ],
  [
    "claimTasks, in order",
    claimTasks,
    [`'${uuid}'`, "1", "'{}'", "'{0}'", "'{-infinity}'", "'{0}'", `${asked}`, secrets],
  ],
  ["completePlain", completePlain, [`(select string_agg(t, ''::bytea) from unnest(${tokens}) t)`, "false"]],
  ["lockLeases", lockLeases, [tokens]],
  ["lockLeasesOfTasks", lockLeasesOfTasks, [from("task_id", "leases")]],
  ["describeLeases", describeLeases, [tokens]],
  ["startAttempts", startAttempts, [tokens, `array_fill('${uuid}'::uuid, array[${asked}])`]],
  ["liveLeases", liveLeases, ["1", leaseNos]],
  [
    "saveProgress",
    saveProgress,
    ["1", `(select json_agg(json_build_object('lease_no', n, 'progress', 1)) from unnest(${leaseNos}) n)`],
  ],
  ["endAttempts", endAttempts, [tokens, "'[]'", "'[]'", "'[]'", "'{}'", "'{}'", "'[]'"]],
  ["findAttempts, held by their outcomes", findAttempts, [from("lease_no", "outcomes"), over]],
  ["findAttempts, with rows of their own", findAttempts, [from("lease_no", "attempts"), from("task_id", "attempts")]],
  ["addCompletedEvents", addCompletedEvents, [over]],
  ["holdInputs", holdInputs, [from("task_id", "leases")]],
  [
    "pinInputs",
    pinInputs,
    [leaseNos, from("task_id", "leases"), `array_fill('${"0".repeat(27)}'::text, array[${asked}])`],
  ],
  ["describeStaging", describeStaging, [leaseNos, from("task_id", "leases")]],
  ["cancelQueued", cancelQueued, [from("task_id", "ready"), "'{}'"]],
  [
    "createPlainTasks",
    createPlainTasks,
    [
      ...["1", "'{plain}'", "'{noop}'", "10", `array(select gen_random_uuid() from generate_series(1, ${asked}))`],
      ...["1", "0", "''::text"].map((value) => `array_fill(${value}, array[${asked}])`),
      `(select json_agg(json_build_object('n', n)) from generate_series(1, ${asked}) n)`,
    ],
  ],
  ["firstReady", firstReady, ["1", "100"]],
  ["lockExpiredLeases, of sessions", lockExpiredLeases, [`${asked}`, "false"]],
  ["wakeForgotten", wakeForgotten, ["1", "0", "true", "2000", "60000", `${asked}`]],
];

/** Those that mean to look through what is live; what is over they pass by as well. */
const looksThrough: readonly Look[] = [
  ["lockExpiredLeases, past their deadline", lockExpiredLeases, [`${asked}`, "true"]],
  ["queueStatus", queueStatus, ["1"]],
];

const wakeups: Look = ["readWakeups", readWakeups, ["null", "0", "1000000000", "0", `${asked}`]];

interface Node {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly Node[];
}

/** The most rows that one node read of a table. */
function rowsRead(node: Node): number {
  const each =
    (node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
  const own = / Scan$/.test(node["Node Type"]) && node["Relation Name"] !== undefined ? each : 0;
  return Math.max(own * (node["Actual Loops"] ?? 1), ...(node.Plans ?? []).map(rowsRead));
}

/** Pages of our tables and their indexes that this transaction has touched, and maybe some before it. */
async function pagesTouched(): Promise<number> {
  const [row] = await world.db.raw<{ pages: number }>(
    "select sum(pg_stat_get_xact_blocks_fetched(oid))::int as pages from pg_class where relnamespace = 'public'::regnamespace",
  );
  return row?.pages ?? Number.NaN;
}

async function look(index: number, args: readonly string[]): Promise<{ pages: number; rows: number; text: string }> {
  const columns = args.map((arg, at) => `quote_nullable((${arg})::text) as "${at}"`);
  const [values = {}] = await world.db.raw<Record<string, string>>(`select ${columns.join(", ")}`);
  await world.db.raw("begin");
  try {
    const before = await pagesTouched();
    const [row] = await world.db.raw<{ "QUERY PLAN": readonly [{ Plan: Node }] }>(
      `explain (analyze, timing off, format json) execute looked_at_${index} (${Object.values(values).join(", ")})`,
    );
    const plan = row?.["QUERY PLAN"][0].Plan;
    if (plan === undefined) throw new Error("no plan");
    return { pages: (await pagesTouched()) - before, rows: rowsRead(plan), text: JSON.stringify(plan, null, 1) };
  } finally {
    await world.db.raw("rollback");
  }
}

const all = [...hot, ...looksThrough, wakeups];

function parametersOf(text: string): number {
  return Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number)));
}

describe.each(states)(`with a plan made on empty tables, $when, among ${tasks} tasks`, (state) => {
  beforeAll(async () => {
    world = await World.open({ connectionsMax: 1 });
    await world.deploy(noopDag);
    for (const table of ["tasks", "ready", "leases", "outbox", "attempts_000000", "outcomes_000000"]) {
      await world.db.raw(`alter table ${table} set (autovacuum_enabled = off)`);
    }
    if (state.vacuumed) await world.db.raw("vacuum analyze");
    for (const [index, [, statement]] of all.entries()) {
      await world.db.raw(`prepare looked_at_${index} as ${statement.text}`);
      // Planned now, and for good: nothing tells Postgres of what comes.
      const nulls = Array.from({ length: parametersOf(statement.text) }, () => "null").join(", ");
      await world.db.raw(`explain execute looked_at_${index} ${nulls && `(${nulls})`}`);
    }
    await world.db.raw(`
    insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, payload)
    select gen_random_uuid(), 1, j.job_id, jv.dag_version_id, 1, 0, 3, 10, 60000, now(), json_build_object('text', repeat('x', 200))
      from generate_series(1, ${tasks}), jobs j join job_versions jv using (job_id) where j.name = 'noop'`);
    await world.db.raw(
      `insert into sessions (public_id, worker, host, pid, slots, expires_at) values ('${uuid}', 'w', 'h', 1, ${asked}, now() + interval '1 hour'), (gen_random_uuid(), 'w', 'h', 2, 1, now()), (gen_random_uuid(), 'w', 'h', 3, ${asked}, now() + interval '1 hour')`,
    );
    await world.db.raw("update sessions set closed_at = now() where pid = 2");
    await world.db.raw(
      "insert into ready (task_id, queue_id, priority, run_at) select task_id, 1, 0, now() from tasks where task_id % 4 = 0",
    );
    await world.db.raw(`
    insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, plain, deadline)
    select int8send(s) || int8send(task_id) || int8send(task_id) || uuid_send(gen_random_uuid()), task_id, task_id, s, 1, 0, 1, 0, 0, true, now() + interval '1 hour'
      from (select task_id, case when task_id < 1000 then 2 else 1 end as s from tasks where task_id % 4 = 1) t`);
    await world.db.raw(`
    insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, worker, token, started_at)
    select task_id, 'completed', 1, 0, 0, task_id, 'w', int8send(1) || int8send(task_id) || int8send(task_id) || uuid_send(gen_random_uuid()), now()
      from tasks where task_id % 4 = 2`);
    await world.db.raw(`
    insert into attempts (lease_no, task_id, attempt, state, worker, token, started_at)
    select task_id, task_id, 1, 'failed', 'w', int8send(1) || int8send(task_id) || int8send(task_id) || uuid_send(gen_random_uuid()), now()
      from tasks where task_id % 4 = 3`);
  }, 120_000);
  afterAll(() => world.close());

  test.each(hot.map(([what, , args], index) => [what, index, args] as const))(
    `%s for ${asked} rows reads about as many`,
    async (_, index, args) => {
      const { pages, rows, text } = await look(index, args);
      expect(rows, text).toBeLessThanOrEqual(2 * asked);
      expect(pages, text).toBeLessThanOrEqual(state.pagesPerRow * asked);
    },
  );

  test.each(looksThrough.map(([what, , args], index) => [what, hot.length + index, args] as const))(
    "%s looks through what is live, which these bounds would tell",
    async (_, index, args) => {
      const { pages, rows } = await look(index, args);
      expect(rows).toBeGreaterThan(2 * asked);
      expect(pages).toBeLessThan(tasks);
    },
  );

  test("readWakeups reads its rows and the tasks they name, and not the lane", async () => {
    await world.db.raw(`
      insert into outbox (lane, due_at, queue_id, task_ids)
      select 'sqs', now() - task_id * interval '1 ms', 1, array[public_id] from tasks where task_id % 4 = 0`);
    const { pages, rows, text } = await look(all.length - 1, wakeups[2]);
    expect(rows, text).toBe(asked);
    expect(pages, text).toBeLessThanOrEqual(state.pagesPerRow * asked);
  });

  test("nothing was analyzed meanwhile", async () => {
    const rows = await world.db.raw(
      `select relname from pg_class where relname in ('tasks', 'ready', 'leases', 'outcomes_000000') and reltuples <> ${state.vacuumed ? 0 : -1}`,
    );
    expect(rows).toEqual([]);
  });
});
