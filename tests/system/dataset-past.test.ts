/** A dataset's past by the command line, over a whole stack: compared, read as it was, gone back to, pinned and given up. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { TraceProcess } from "./harness/up.ts";

let stack: RunningStack;
let folder: string;

const dag = `dag: shop
jobs:
  ingest_orders:
    operator: ingest
    source:
      file: orders.csv
      format: csv
    outputs: [raw_orders]
  orders:
    operator: sql
    inputs: [raw_orders]
    sql: SELECT *, strftime(placed, '%Y-%m') AS month FROM raw_orders
    outputs:
      - dataset: orders
        partition_by: month
`;

interface Order {
  readonly id: number;
  readonly amount: number;
  readonly placed: string;
}

const first: readonly Order[] = [
  { id: 1001, amount: 12.5, placed: "2026-09-28" },
  { id: 1002, amount: 99, placed: "2026-10-02" },
  { id: 1003, amount: 42, placed: "2026-10-30" },
];
const second: readonly Order[] = [
  { id: 1002, amount: 99, placed: "2026-10-02" },
  { id: 1003, amount: 24, placed: "2026-10-30" },
  { id: 1004, amount: 5.4, placed: "2026-12-01" },
];

function writeOrders(orders: readonly Order[]): void {
  const lines = orders.map(({ id, amount, placed }) => `${id},${amount},${placed}`);
  writeFileSync(join(folder, "orders.csv"), `id,amount,placed\n${lines.join("\n")}\n`);
}

interface Told {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function cli(...args: string[]): Promise<Told> {
  const ran = new TraceProcess(["--state", stack.folder.dir, ...args]);
  const { code } = await ran.ended;
  return { code, stdout: ran.stdout, stderr: ran.stderr };
}

async function told<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await cli(...args, "--json");
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" });
  return JSON.parse(stdout) as T;
}

async function refused(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...args, "--json");
  expect([args, code === 0, stdout]).toEqual([args, false, ""]);
  return (JSON.parse(stderr) as { error: { code: string } }).error.code;
}

/** Ids and amounts of a version, as a query reads them. */
async function orders(from: string, ...options: string[]): Promise<unknown> {
  const sql = `SELECT id::INT AS id, amount FROM ${from} ORDER BY id`;
  return (await told<{ rows: unknown[] }>("query", sql, ...options)).rows;
}

const amounts = (all: readonly Order[]) => all.map(({ id, amount }) => ({ id, amount }));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-past-"));
  writeOrders(first);
  stack = await startStack({ roots: [folder] });
  const file = join(folder, "shop.yaml");
  writeFileSync(file, dag);
  await told("deploy", file);
  await told("run", "shop");
  writeOrders(second);
  await told("run", "shop");
});

afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

afterEach((context) => tellIfFailed(context, stack?.folder));

test("a diff tells columns, partitions and rows that differ, counted over the files themselves", async () => {
  const diff = await told<Record<string, unknown>>("dataset", "diff", "orders", "--key", "id");
  expect(diff).toMatchObject({
    from: { commit: 1, rows: 3 },
    to: { commit: 2, rows: 3 },
    column_changes: [],
    partitions_changed: 3,
    rows: {
      compared: true,
      added: 1,
      removed: 1,
      changed: 1,
      sample: [
        { change: "removed", row: { amount: 12.5, month: "2026-09" } },
        { change: "added", row: { amount: 5.4, month: "2026-12" } },
        { change: "changed", before: { amount: 42 }, after: { amount: 24 } },
      ],
    },
  });
  expect(await told("dataset", "diff", "orders", "0", "1", "--key", "id")).toMatchObject({
    rows: { added: 3, removed: 0 },
  });
});

test("a version is read by its number, by its time, and beside another one; what is none is refused", async () => {
  const { commits } = await told<{ commits: { commit: number; committed_at: string }[] }>(
    "dataset",
    "history",
    "orders",
  );
  expect(commits.map((commit) => commit.commit)).toEqual([2, 1]);
  const moment = commits[1]?.committed_at ?? "";
  expect(await orders("orders AT (VERSION => 1)")).toEqual(amounts(first));
  expect(await orders("orders", "--as-of", "1")).toEqual(amounts(first));
  expect(await orders("orders", "--as-of", new Date(Date.parse(moment) + 1).toISOString())).toEqual(amounts(first));
  expect(await orders("orders")).toEqual(amounts(second));
  expect(await orders("(FROM orders AT (VERSION => 1) EXCEPT FROM orders AT (VERSION => 2))")).toEqual(
    amounts(first.filter(({ id }) => id !== 1002)),
  );
  expect(await refused("query", "FROM orders AT (VERSION => 99)")).toBe("TR-4020");
  expect(await refused("query", "FROM orders", "--as-of", "2000-01-01")).toBe("TR-4020");
  expect(await refused("query", "FROM orders", "--as-of", "2100-01-01")).toBe("TR-4022");
  expect(await refused("query", "WITH o AS (SELECT 1) FROM o AT (VERSION => 1)")).toBe("TR-5202");
});

test("a revert brings back what was, and says who it was; a purge spares what is pinned and ends the rest", async () => {
  expect(await refused("dataset", "revert", "orders", "--to", "1", "--expected-head", "1", "--yes")).toBe("TR-4023");
  expect(await told("dataset", "revert", "orders", "--to", "1", "--yes", "--reason", "wrong file")).toMatchObject({
    commit: 3,
    kind: "revert",
    reverted_to: 1,
    reason: "wrong file",
  });
  expect(await orders("orders")).toEqual(amounts(first));
  expect(await told("dataset", "lineage", "orders")).toMatchObject({
    root: { commit: 3 },
    nodes: [{ kind: "revert", task: null }, {}, {}],
  });

  await told("dataset", "pin", "orders", "--commit", "1", "--for", "a report");
  const purge = ["dataset", "purge", "orders", "--before", "3"];
  expect(await told(...purge, "--dry-run")).toMatchObject({ commits: 1, kept: 1, dry_run: true });
  expect(await refused(...purge)).toBe("TR-7001");
  expect(await told(...purge, "--confirm", "orders")).toMatchObject({ commits: 1, kept: 1, dry_run: false });
  expect(await orders("orders AT (VERSION => 1)")).toEqual(amounts(first));
  expect(await refused("query", "FROM orders AT (VERSION => 2)")).toBe("TR-4021");
  expect(await refused("dataset", "diff", "orders", "2", "3")).toBe("TR-4021");
});

test("the doctor finds nothing wrong, and leaves nothing of what it tried", async () => {
  const { checks } = await told<{ checks: { name: string; status: string }[] }>("doctor");
  const status = Object.fromEntries(checks.map((check) => [check.name, check.status]));
  for (const name of [
    "s3 overwrite",
    "s3 put",
    "s3 delete",
    "s3 collect",
    "state settings",
    "data settings",
    "clock of s3",
  ]) {
    expect([name, status[name]]).toEqual([name, "ok"]);
  }
});
