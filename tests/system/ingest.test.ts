/** Ingest through the whole stack: a download that breaks, several outputs, partitions, bad rows, and nothing made twice. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readFiles, resolve } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { deploy, runToEnd } from "./harness/work.ts";

const runMsMax = 60_000;
const months = ["2001-01", "2001-02", "2001-03"];
const good = Array.from({ length: 30_000 }, (_, n) => `${n},${months[n % 3]}`);
const rows = [...good.slice(0, 20_000), "none,2001-01", ...good.slice(20_000)];

/** Sends what it is given, and the first time only half of it. */
class Source {
  readonly asked: IncomingHttpHeaders[] = [];
  version = 1;
  text = `n,month\n${rows.join("\n")}\n`;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.asked.push(request.headers);
      const etag = `"v${this.version}"`;
      if (request.headers["if-none-match"] === etag) return void response.writeHead(304, { etag }).end();
      const body = Buffer.from(this.text);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      if (from > 0) {
        const range = `bytes ${from}-${body.length - 1}/${body.length}`;
        response.writeHead(206, { etag, "content-range": range, "content-length": body.length - from });
        return void response.end(body.subarray(from));
      }
      response.writeHead(200, { etag, "content-length": body.length });
      if (this.asked.length > 1) return void response.end(body);
      response.write(body.subarray(0, body.length / 2), () => response.socket?.end());
    });
  }

  start(): Promise<void> {
    return new Promise((resolve) => void this.#server.listen(0, "127.0.0.1", resolve));
  }

  get authority(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): Promise<unknown> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }
}

const source = new Source();
let running: RunningStack;
let folder: string;

beforeAll(async () => {
  await source.start();
  folder = await mkdtemp(join(tmpdir(), "trace-ingest-"));
  running = await startStack({ guardAllow: [source.authority], roots: [folder] });
  await deploy(
    running.access,
    `dag: intake
jobs:
  load:
    operator: ingest
    source: { url: "http://${source.authority}/rows.csv", format: csv, columns: { n: INTEGER } }
    on_bad_row: set_aside
    outputs:
      - { dataset: intake }
      - { dataset: intake_by_month, partition_by: month, sql: "SELECT month, n FROM source" }
      - { dataset: intake_bad, bad_rows: true }
    retries: 0
`,
  );
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  await source.stop();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function heads(): Promise<number[]> {
  const names = ["intake", "intake_by_month", "intake_bad"];
  return Promise.all(names.map(async (name) => (await resolve(running.access, name)).commit));
}

test("a download that breaks off is taken up in the same attempt, and all outputs are committed together", async () => {
  const run = await runToEnd(running.access, "intake", runMsMax);
  expect(run.tasks).toMatchObject([{ state: "completed", attempt: 1, failures: 0 }]);
  expect(source.asked.map(({ range }) => range?.replace(/\d+/, "N"))).toEqual([undefined, "bytes=N-"]);
  expect(await heads()).toEqual([1, 1, 1]);
  const whole = await resolve(running.access, "intake");
  expect(await readFiles(whole.files, "select count(*)::int as rows, count(distinct n)::int as ns from data")).toEqual([
    { rows: 30_000, ns: 30_000 },
  ]);
  expect(whole.schema).toMatchObject([
    { name: "n", type: "INTEGER", field_id: 1 },
    { name: "month", field_id: 2 },
  ]);
  const times = await running.access.sql<{ at: number }>("select count(distinct committed_at)::int as at from commits");
  expect(times).toEqual([{ at: 1 }]);
});

test("each month is a partition with its own file", async () => {
  const { files } = await resolve(running.access, "intake_by_month");
  expect(files.map(({ partition }) => partition).sort()).toEqual(months);
  for (const file of files) {
    const [row] = await readFiles(
      [file],
      "select count(*)::int as rows, min(month) as first, max(month) as last from data",
    );
    expect(row).toEqual({ rows: 10_000, first: file.partition, last: file.partition });
  }
});

test("the row that is no number is set aside with its line", async () => {
  const { files } = await resolve(running.access, "intake_bad");
  const aside = await readFiles(files, 'select line::int as line, "row" from data');
  expect(aside).toEqual([{ line: 20_002, row: expect.stringContaining("none,2001-01") }]);
});

test("a source that says it is unchanged is not downloaded again and commits nothing", async () => {
  const before = source.asked.length;
  const run = await runToEnd(running.access, "intake", runMsMax);
  expect([run.state, run.commits]).toEqual(["completed", []]);
  expect(source.asked.slice(before)).toMatchObject([{ "if-none-match": '"v1"' }]);
  expect(await heads()).toEqual([1, 1, 1]);
});

test("a new version with the same content commits nothing, and one with another content does", async () => {
  source.version = 2;
  expect((await runToEnd(running.access, "intake", runMsMax)).commits).toEqual([]);
  source.version = 3;
  source.text = "n,month\n1,2001-03\n";
  await runToEnd(running.access, "intake", runMsMax);
  expect(await heads()).toEqual([2, 2, 2]);
  const { files } = await resolve(running.access, "intake_by_month");
  expect(files.map(({ partition }) => partition)).toEqual(["2001-03"]);
  const bad = await resolve(running.access, "intake_bad");
  expect(await readFiles(bad.files, "select count(*)::int as rows from data")).toEqual([{ rows: 0 }]);
});

test("rows of JSON Lines are set aside where columns have the names of words of SQL, and a quoted line end is counted", async () => {
  const file = join(folder, "at.jsonl");
  await writeFile(file, '{"at":"2024-01-01T00:00:00Z","order":1}\n{"at":"no time","order":2}\n{"at":null,"order":3}\n');
  const csv = join(folder, "at.csv");
  await writeFile(csv, 'at,order\n2024-01-01T00:00:00Z,"a\nb"\nno time,c\n');
  const source = (path: string, format: string) =>
    `source: { file: ${JSON.stringify(path)}, format: ${format}, columns: { at: TIMESTAMPTZ } }`;
  await deploy(
    running.access,
    `dag: words
jobs:
  lines:
    operator: ingest
    ${source(file, "json")}
    on_bad_row: set_aside
    outputs: [{ dataset: words }, { dataset: words_bad, bad_rows: true }]
    retries: 0
  fields:
    operator: ingest
    ${source(csv, "csv")}
    on_bad_row: set_aside
    sql: SELECT "at", "order" FROM source
    outputs: [{ dataset: words_csv }, { dataset: words_csv_bad, bad_rows: true }]
    retries: 0
`,
  );
  const run = await runToEnd(running.access, "words", runMsMax);
  expect(run.tasks.map(({ state }) => state)).toEqual(["completed", "completed"]);
  const lineOf = async (name: string) =>
    readFiles((await resolve(running.access, name)).files, "select line::int as line from data");
  expect([await lineOf("words_bad"), await lineOf("words_csv_bad")]).toEqual([[{ line: 2 }], [{ line: 4 }]]);
});
