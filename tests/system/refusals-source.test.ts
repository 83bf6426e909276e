/** Sources that an `ingest` must not or cannot read: files out of reach or not what they say, and every address that is not public. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Task } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { TraceProcess } from "./harness/up.ts";
import { deploy, untilRunEnds } from "./harness/work.ts";
import {
  expectNoNewFiles,
  expectNothingLive,
  expectTold,
  objectFiles,
  refusalOf,
  rowCounts,
} from "./refusals-traces.ts";

const isRoot = process.getuid?.() === 0;
/** One byte more than an ingest reads (5 GiB). The file is sparse: it takes no room. */
const tooManyBytes = 5 * 1024 ** 3 + 1;
const runMsMax = 120_000;

let base: string;
let root: string;
let stack: RunningStack;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), "trace-refusals-"));
  root = join(base, "root");
  mkdirSync(join(root, "folder"), { recursive: true });
  stack = await startStack({ roots: [root] });
});

afterAll(async () => {
  await stack?.stop();
  rmSync(base, { recursive: true, force: true });
});

afterEach((context) => tellIfFailed(context, stack?.folder));

interface SourceJob {
  readonly name: string;
  /** Lines of YAML below `source`. */
  readonly source: string;
}

function ingestDag(dag: string, jobs: readonly SourceJob[]): string {
  const lines = jobs.map(
    ({ name, source }) =>
      `  ${name}:\n    operator: ingest\n    source: ${source}\n    outputs: [${dag}_${name}]\n    retries: 0\n    timeout: 1m\n`,
  );
  return `dag: ${dag}\njobs:\n${lines.join("")}`;
}

/** Runs a DAG of which every job must fail; answers with its tasks by job, after checking that nothing is left of them. */
async function runRefused(dag: string): Promise<Map<string, Task>> {
  const before = { rows: await rowCounts(stack.access), files: objectFiles(stack.folder.dir) };
  const { run_id } = await stack.access.user.run({ params: { dag }, body: {} });
  const run = await untilRunEnds(stack.access, run_id, runMsMax);
  expect(run).toMatchObject({ state: "failed", commits: [], waiting: [] });
  for (const task of run.tasks)
    expect(task, task.job).toMatchObject({ state: "dead", attempt: 1, failures: 1, commits: [] });
  await expectNothingLive(stack.access);
  await expectNoNewFiles(stack.folder.dir, before.files);
  const after = await rowCounts(stack.access);
  expect(after).toEqual({ ...before.rows, runs: before.rows.runs + 1, tasks: before.rows.tasks + run.tasks.length });
  return new Map(run.tasks.map((task) => [task.job, task]));
}

async function cli(...args: string[]) {
  const ran = new TraceProcess(["--state", stack.folder.dir, ...args]);
  const { code } = await ran.ended;
  return { code, stdout: ran.stdout, stderr: ran.stderr };
}

/** Makes the files and says, by job, what reads them and with which code it fails. */
function badFiles(): Readonly<Record<string, readonly [source: string, code: string]>> {
  const at = (name: string) => join(root, name);
  writeFileSync(join(base, "secret.csv"), "id\n1\n");
  symlinkSync(join(base, "secret.csv"), at("escape.csv"));
  symlinkSync(base, at("way_out"));
  symlinkSync(at("loop.csv"), at("loop.csv"));
  execFileSync("mkfifo", [at("pipe.csv")]);
  writeFileSync(at("large.csv"), "id\n");
  truncateSync(at("large.csv"), tooManyBytes);
  writeFileSync(at("text.parquet"), "id,name\n1,one\n");
  writeFileSync(at("cut.json"), '[{"id": 1}, {"id": ');
  writeFileSync(at("list.geojson"), "[1, 2, 3]");
  writeFileSync(at("bytes.json"), Buffer.from([0, 255, 254, 0, 1, 2, 3, 128]));
  writeFileSync(at("empty.parquet"), "");
  writeFileSync(at("typed.csv"), "id\none\n");
  writeFileSync(at("secret_mode.csv"), "id\n1\n");
  chmodSync(at("secret_mode.csv"), 0);
  return {
    missing: ["{file: no_such.csv}", "TR-5002"],
    missing_folder: ["{file: no/such.csv}", "TR-5002"],
    folder: ["{file: folder, format: csv}", "TR-5004"],
    pipe: ["{file: pipe.csv}", "TR-5004"],
    device: ["{file: /dev/zero, format: csv}", "TR-5006"],
    outside: ["{file: /etc/passwd, format: csv}", "TR-5006"],
    beside: [`{file: "${join(base, "secret.csv")}"}`, "TR-5006"],
    near: [`{file: "${root}x/secret.csv"}`, "TR-5006"],
    escape: ["{file: escape.csv}", "TR-5003"],
    escape_folder: ["{file: way_out/secret.csv}", "TR-5003"],
    loop: ["{file: loop.csv}", "TR-5001"],
    large: ["{file: large.csv}", "TR-5005"],
    not_parquet: ["{file: text.parquet}", "TR-5206"],
    empty: ["{file: empty.parquet}", "TR-5206"],
    cut: ["{file: cut.json}", "TR-5206"],
    not_geojson: ["{file: list.geojson}", "TR-5206"],
    not_json: ["{file: bytes.json}", "TR-5206"],
    not_typed: ["{file: typed.csv, columns: {id: BIGINT}}", "TR-5206"],
    // Root reads every file, so that for root there is none without permission.
    ...(isRoot ? {} : { no_permission: ["{file: secret_mode.csv}", "TR-5001"] as const }),
  };
}

test("an ingest of a file that cannot or must not be read is dead with the code that says so, and commits nothing", async () => {
  const cases = badFiles();
  const jobs = Object.entries(cases).map(([name, [source]]) => ({ name, source }));
  await deploy(stack.access, ingestDag("files", jobs));
  const tasks = await runRefused("files");
  const found = Object.fromEntries([...tasks].map(([name, { error }]) => [name, error?.code]));
  expect(found).toEqual(Object.fromEntries(Object.entries(cases).map(([name, [, code]]) => [name, code])));
  for (const [name, { error }] of tasks) {
    expectTold(error, cases[name]?.[1] ?? "");
    // Nothing that lies outside the roots is told, not even that it is there.
    expect(JSON.stringify(error)).not.toMatch(/root:x:|secret\.csv' exists/);
  }
});

test("the command line tells a failed run by exit code 3, and 'task show' has what, where and what fixes it", async () => {
  const ran = await cli("run", "files", "--job", "missing", "pipe", "--json");
  expect(ran.code).toBe(3);
  const run = JSON.parse(ran.stdout) as { state: string; tasks: Task[] };
  expect(run.state).toBe("failed");
  const id = run.tasks.find(({ job }) => job === "missing")?.task_id ?? "";
  const shown = await cli("task", "show", id, "--json");
  expect(shown.code).toBe(0);
  const { attempts, error } = JSON.parse(shown.stdout) as Task & { attempts: { error: Task["error"] }[] };
  expectTold(error, "TR-5002");
  expect(attempts.map((attempt) => attempt.error)).toEqual([error]);
  const people = await cli("task", "show", id);
  expect(people.stdout).toContain("error TR-5002: ");
  expect(people.stdout).toMatch(/where: no_such\.csv[\s\S]*fix: /);
});

test.each([
  ["climbs out of its root", "../secret.csv"],
  ["climbs out of its root in the middle", "folder/../../secret.csv"],
  ["is a URL", "file:///etc/passwd"],
])("a file source that %s is refused when it is deployed", async (_, path) => {
  const before = await rowCounts(stack.access);
  const call = deploy(stack.access, ingestDag("climber", [{ name: "one", source: `{file: "${path}", format: csv}` }]));
  expectTold(await refusalOf(call), "TR-2007");
  expect(await rowCounts(stack.access)).toEqual(before);
});

/** Counts who connects to this machine on a port, on both of its own addresses. */
class Canary {
  connections = 0;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** Listens where it can; answers with the addresses that were to be had. */
  async listen(port: number): Promise<string[]> {
    const heard: string[] = [];
    for (const host of ["127.0.0.1", "::1"]) {
      const server = createServer((socket) => {
        this.connections += 1;
        this.#sockets.add(socket);
        socket.on("error", () => undefined); // whoever came may go as it likes
      });
      const listening = await new Promise<boolean>((done) => {
        server.once("error", () => done(false)); // taken, not allowed, or no IPv6 here
        server.listen(port, host, () => done(true));
      });
      if (!listening) continue;
      this.#servers.push(server);
      heard.push(`${host}:${port}`);
    }
    return heard;
  }

  /** Connects to an address that `listen` answered with; resolves when the connection has been heard. */
  async provoke(place: string): Promise<void> {
    const at = place.lastIndexOf(":");
    const server = this.#servers.find((one) => {
      const address = one.address();
      return typeof address === "object" && `${address?.address}:${address?.port}` === place;
    });
    if (server === undefined) throw new Error(`nothing listens at ${place}`);
    const heard = once(server, "connection");
    const socket = connect({ host: place.slice(0, at), port: Number(place.slice(at + 1)) });
    this.#sockets.add(socket);
    await Promise.all([once(socket, "connect"), heard]);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((done) => server.close(done))));
  }
}

/** The one URL of the list that means a public address. */
const publicUrls = new Set(["http://example.com/"]);

function hostileUrls(): string[] {
  const fixture = join(
    import.meta.dirname,
    "..",
    "..",
    "packages",
    "kit",
    "src",
    "http",
    "fixtures",
    "hostile-urls.json",
  );
  return (JSON.parse(readFileSync(fixture, "utf8")) as string[])
    .filter((url) => !publicUrls.has(url))
    .map((url) => url.replace("<TAB>", "\t").replace("<3000 a's>", "a".repeat(3_000)));
}

test("an ingest from an address that is not public is refused when deployed or dead when run, and nothing is dialled", async () => {
  const canary = new Canary();
  try {
    // 80 and 443 are what those URLs mean; any service of the stack itself would be as good a prey.
    const heard = [...(await canary.listen(80)), ...(await canary.listen(443))];
    const userPort = new URL(stack.access.endpoints.user_api).port;
    const more = ["http", "https"].flatMap((scheme) => [
      ...["127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"].map((host) => `${scheme}://${host}/`),
      `${scheme}://127.0.0.1:${userPort}/v1/tasks`,
      `${scheme}://10.0.0.1/`,
      `${scheme}://100.64.0.1/`,
      `${scheme}://169.254.169.254/latest/meta-data/`,
    ]);
    const jobs: SourceJob[] = [];
    const refused = new Map<string, string>();
    const urls = [...hostileUrls(), ...more];
    const before = await rowCounts(stack.access);
    for (const [index, url] of urls.entries()) {
      const job = { name: `u${index}`, source: `{url: ${JSON.stringify(url)}, format: csv}` };
      const alone = ingestDag(`url${index}`, [job]);
      const check = await cliFreeCheck(alone);
      if (check === undefined) jobs.push(job);
      else {
        expectTold(await refusalOf(deploy(stack.access, alone)), /^TR-20\d\d$/);
        refused.set(url, check);
      }
    }
    expect(await rowCounts(stack.access)).toEqual(before);
    expect(jobs.length + refused.size).toBe(urls.length);
    expect(jobs.length).toBeGreaterThan(30);
    await deploy(stack.access, ingestDag("urls", jobs));
    const tasks = await runRefused("urls");
    expect(tasks.size).toBe(jobs.length);
    for (const { name, source } of jobs) {
      const error = tasks.get(name)?.error;
      expect(error?.code, source).toMatch(/^TR-53\d\d$/);
      expectTold(error, /^TR-53\d\d$/);
      // A user name or password of a URL is in no error.
      expect(JSON.stringify(error)).not.toContain("pass@");
    }
    expect(canary.connections, `at ${heard.join(", ")}`).toBe(0);
    // The canary itself: were it deaf, hearing nothing would mean nothing. Root has these ports unless others took them.
    for (const place of heard) await canary.provoke(place);
    expect(canary.connections).toBe(heard.length);
  } finally {
    await canary.stop();
  }
});

/** The code with which the file is refused, or nothing. */
async function cliFreeCheck(source: string): Promise<string | undefined> {
  const { parseDag } = await import("@trace/contracts");
  const parsed = parseDag(source, "url.yaml");
  return parsed.ok ? undefined : parsed.diagnostics[0]?.code;
}
