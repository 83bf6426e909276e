/** The way of somebody with a file: a DAG file is written for it, planned, deployed and run, and planned again when it changes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { DagPlan } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { TraceProcess } from "./harness/up.ts";
import { rowCounts } from "./refusals-traces.ts";

let stack: RunningStack;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trace-first-file-"));
  stack = await startStack({ roots: [folder] });
});

afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

afterEach((context) => tellIfFailed(context, stack?.folder));

async function cli(...args: string[]): Promise<string> {
  const ran = new TraceProcess(["--state", stack.folder.dir, ...args]);
  const { code } = await ran.ended;
  expect([args, code, ran.stderr]).toEqual([args, 0, expect.any(String)]);
  return ran.stdout;
}

const planOf = async (file: string) => JSON.parse(await cli("deploy", file, "--plan", "--json")) as DagPlan;

test("a packed file of semicolons becomes a dataset, and a new version of it is told before it is made", async () => {
  const rows = Array.from({ length: 5_000 }, (_, n) => `${n};2001-0${1 + (n % 3)}-01;${n / 4};"a; ""quoted"" note"`);
  writeFileSync(join(folder, "My orders.csv.gz"), gzipSync(`id;placed;total;note\n${rows.join("\n")}\n`));
  const written = JSON.parse(await cli("init", folder, "--from", join(folder, "My orders.csv.gz"), "--json")) as {
    file: string;
    missing_root: string | null;
  };
  expect(written).toMatchObject({ file: join(folder, "my_orders.yaml"), columns: { length: 4 } });

  const before = await rowCounts(stack.access);
  const first = await planOf(written.file);
  expect(first).toMatchObject({
    current: null,
    jobs: [{ job: "ingest_my_orders", change: "added" }],
    datasets: [{ dataset: "my_orders", created: true }],
    starts: [],
  });
  expect(await rowCounts(stack.access)).toEqual(before);

  await cli("deploy", written.file);
  await cli("run", "my_orders", "--json");
  const sql =
    "SELECT count(*)::INT AS n, sum(total)::INT AS total, min(placed)::VARCHAR AS placed, any_value(note) AS note FROM my_orders";
  expect(JSON.parse(await cli("query", sql, "--json"))).toMatchObject({
    rows: [{ n: 5_000, total: 3_124_375, placed: "2001-01-01", note: 'a; "quoted" note' }],
  });
  expect(await planOf(written.file)).toMatchObject({ changed: false, datasets: [], starts: [] });

  const summary = (version: number) => `
  summarize_my_orders:
    operator: sql
    inputs: [my_orders]
    sql: SELECT count(*) AS orders FROM my_orders
    outputs: [{ dataset: my_orders_summary, version: ${version} }]
`;
  const text = readFileSync(written.file, "utf8");
  writeFileSync(written.file, text + summary(1));
  await cli("deploy", written.file);
  await cli("run", "my_orders", "--job", "summarize_my_orders", "--json");
  writeFileSync(written.file, text + summary(2));
  const next = await planOf(written.file);
  expect(next).toMatchObject({
    changed: true,
    jobs: [
      { job: "ingest_my_orders", change: "unchanged" },
      { job: "summarize_my_orders", change: "changed", changes: [{ before: 1, after: 2 }] },
    ],
    datasets: [{ dataset: "my_orders_summary", generation: { before: 1, after: 2, made: true, switched: false } }],
    starts: [{ job: "summarize_my_orders", tasks: 1 }],
  });
  const deployed = JSON.parse(await cli("deploy", written.file, "--json")) as { version: string };
  expect(deployed).toMatchObject({
    version: next.version,
    generations: [{ dataset: "my_orders_summary", generation: 2 }],
  });
});
