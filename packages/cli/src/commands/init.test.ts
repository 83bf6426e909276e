import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { namePattern, parseDag } from "@trace/contracts";
import type { DuckResult, DuckRun } from "@trace/duck";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { QueryEngine } from "../query/engine.ts";
import { Harness } from "../testing/harness.ts";

let cwd: string;

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "trace-init-"));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

/** Finds what it is told to find. */
class FakeEngine implements QueryEngine {
  readonly ran: DuckRun[] = [];
  stopped = 0;
  readonly #find: (run: DuckRun) => Partial<DuckResult>;

  constructor(find: (run: DuckRun) => Partial<DuckResult>) {
    this.#find = find;
  }

  tables(): Promise<never> {
    return Promise.reject(new Error("nothing asks for tables"));
  }

  async run(run: DuckRun): Promise<DuckResult> {
    this.ran.push(run);
    return { columns: [], rowCount: 0, elapsedMs: 1, peakRssBytes: 1, ...this.#find(run) };
  }

  async stop(): Promise<void> {
    this.stopped += 1;
  }
}

function harness(engine?: FakeEngine): Harness {
  return new Harness({ cwd, ...(engine === undefined ? {} : { parts: { engine: async () => engine } }) });
}

interface Answer {
  file: string;
  dag: string;
  jobs: string[];
  datasets: string[];
  format?: string;
  template?: string;
  columns?: { name: string; type: string; declared: boolean }[];
  data: string[];
  root: string;
  missing_root: string | null;
}

function dagIn(file: string) {
  const result = parseDag(readFileSync(file, "utf8"), file);
  if (!result.ok) throw new Error(result.diagnostics.map((one) => one.message).join("\n"));
  return result.dag;
}

function sourceIn(file: string) {
  const [job] = dagIn(file).jobs;
  return job?.operator === "ingest" ? job.config.source : undefined;
}

test("a CSV file becomes a DAG file with its columns, their types and its dialect, and what to do next is told", async () => {
  writeFileSync(join(cwd, "My orders.csv"), "id;placed;total\n1;2001-01-01;1.5\n2;2001-01-02;2.5\n");
  const { code, stdout, stderr } = await harness().run("init", "--from", "My orders.csv");
  expect(code).toBe(0);
  expect(stdout.split("\n")).toEqual([
    "wrote my_orders.yaml: DAG my_orders, 3 columns of csv",
    "  id      BIGINT",
    "  placed  DATE",
    "  total   DOUBLE",
    "",
  ]);
  expect(stderr).toContain(`trace up --root ${cwd}`);
  expect(stderr).toContain("trace deploy my_orders.yaml");
  expect(stderr).toContain("trace run my_orders");
  expect(sourceIn(join(cwd, "my_orders.yaml"))).toMatchObject({
    path: "My orders.csv",
    format: "csv",
    csv: { delimiter: ";", header: true },
    columns: { id: "BIGINT", placed: "DATE", total: "DOUBLE" },
  });
  // What was written can be checked as it stands.
  expect((await harness().run("deploy", "my_orders.yaml", "--check")).code).toBe(0);
});

test("with --json the answer is one document, for a packed file into another folder", async () => {
  mkdirSync(join(cwd, "data"));
  writeFileSync(join(cwd, "data", "visits.csv.gz"), gzipSync("a,b\n1,x\n2,y\n"));
  const { code, stdout, stderr } = await harness().run("init", "pipelines", "--from", "data/visits.csv.gz", "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const answer = JSON.parse(stdout) as Answer;
  expect(answer).toEqual({
    file: join(cwd, "pipelines", "visits.yaml"),
    dag: "visits",
    jobs: ["ingest_visits"],
    datasets: ["visits"],
    format: "csv",
    columns: [
      { name: "a", type: "BIGINT", declared: true },
      { name: "b", type: "VARCHAR", declared: true },
    ],
    data: [],
    root: join(cwd, "data"),
    missing_root: join(cwd, "data"),
  });
  expect(sourceIn(answer.file)).toMatchObject({ path: join(cwd, "data", "visits.csv.gz") });
});

test("a file that is there is never replaced, but with --force", async () => {
  writeFileSync(join(cwd, "a.csv"), "x\n1\n");
  writeFileSync(join(cwd, "a.yaml"), "mine\n");
  const engine = new FakeEngine(() => ({ columns: [{ name: "x", type: "BIGINT" }] }));
  const refused = await harness(engine).run("init", "--from", "a.csv");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("error TR-7005: the DAG file exists already");
  expect(readFileSync(join(cwd, "a.yaml"), "utf8")).toBe("mine\n");
  // A large file is not looked at in vain.
  expect(engine.ran).toEqual([]);
  expect((await harness(engine).run("init", "--from", "a.csv", "--force")).code).toBe(0);
  expect(dagIn(join(cwd, "a.yaml")).dag).toBe("a");
  expect(engine.stopped).toBe(1);
});

test("what a file is, is told by its name and its first bytes", async () => {
  const engine = new FakeEngine(() => ({ columns: [{ name: "x", type: "BIGINT" }] }));
  const json = '[{"x": 1}]';
  const geojson = '\n{ "type" : "FeatureCollection", "features": [] }';
  const long =
    geojson + Buffer.from(Array.from({ length: 60_000 }, (_, at) => (at * at * 7919) % 251)).toString("base64");
  const files: [string, string | Buffer, string][] = [
    ["a.csv", "x\n1\n", "csv"],
    ["b.json", json, "json"],
    ["c.json", geojson, "geojson"],
    ["d.json.gz", gzipSync(geojson), "geojson"],
    ["e.jsonl.zst", zstdCompressSync('{"x":1}\n{"x":2}\n'), "json"],
    ["f.txt", "x\ty\n1\t2\n", "csv"],
    ["g.txt", json, "json"],
    ["h.dat", "PAR1 and more", "parquet"],
    ["i", gzipSync(json), "json"],
    ["j.csv", json, "csv"],
    // Cut off: what came before is enough.
    ["k.json.gz", gzipSync(long).subarray(0, 40_000), "geojson"],
    ["l.json.zst", zstdCompressSync(long).subarray(0, 40_000), "geojson"],
  ];
  for (const [name, content, format] of files) {
    writeFileSync(join(cwd, name), content);
    const { stdout } = await harness(engine).run("init", "out", "--from", name, "--json");
    const answer = JSON.parse(stdout) as Answer;
    expect([name, answer.format]).toEqual([name, format]);
    expect(sourceIn(answer.file)).toMatchObject({ format });
  }
});

test("types that a second look does not find again are left to be found, and told", async () => {
  writeFileSync(join(cwd, "a.json"), '{"x": 1}');
  const engine = new FakeEngine((run) => {
    if (Object.keys(run.inputs[0]?.columns ?? {}).length > 0) throw new Error("cannot be read beside declared columns");
    return { columns: [{ name: "x", type: "BIGINT" }] };
  });
  const { stdout } = await harness(engine).run("init", "--from", "a.json", "--json");
  expect((JSON.parse(stdout) as Answer).columns).toEqual([{ name: "x", type: "BIGINT", declared: false }]);
  expect(readFileSync(join(cwd, "a.yaml"), "utf8")).toContain("        # x: BIGINT\n");
  expect(sourceIn(join(cwd, "a.yaml"))).not.toHaveProperty("columns");
});

test("hostile names of files and columns give names that are valid, and lines that stay lines", async () => {
  const columns = ["a: b", "x\n  evil: 1", "\u001b[31mred", "<<", "__proto__", "null", "\u202e"].map((name) => ({
    name,
    type: "BIGINT",
  }));
  const engine = new FakeEngine(() => ({ columns }));
  for (const name of [
    "$(touch pwned).csv",
    "-rf.csv",
    "a\nb.csv",
    "é'\"#{}.csv",
    "\u001b[31m.csv",
    "..csv",
    "dag: x.csv",
  ]) {
    writeFileSync(join(cwd, name), "x\n1\n");
    const asked = await harness(engine).run("init", "out", "--force", "--json", `--from=${name}`);
    expect([name, asked.stderr]).toEqual([name, ""]);
    const answer = JSON.parse(asked.stdout) as Answer;
    expect(answer.dag).toMatch(namePattern);
    expect(sourceIn(answer.file)).toMatchObject({ path: join(cwd, name) });
    const shown = await harness(engine).run("init", "out", "--force", `--from=${name}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(shown.stdout + shown.stderr + readFileSync(answer.file, "utf8")).not.toMatch(/[\u001b\u202e]/);
  }
  expect(existsSync(join(cwd, "pwned"))).toBe(false);
});

test("what cannot be read is told apart, and nothing is written", async () => {
  writeFileSync(join(cwd, "empty.csv"), "");
  execFileSync("mkfifo", [join(cwd, "pipe.csv")]);
  mkdirSync(join(cwd, "folder.csv"));
  symlinkSync("nowhere", join(cwd, "link.csv"));
  const cases: [string, string][] = [
    ["empty.csv", "it is empty"],
    ["pipe.csv", "it is no plain file"],
    ["folder.csv", "it is a folder"],
    ["link.csv", "there is no such file"],
    ["nothing.csv", "there is no such file"],
  ];
  for (const [name, why] of cases) {
    const { code, stdout, stderr } = await harness().run("init", "--from", name, "--json");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "TR-7014", why } });
  }
  writeFileSync(join(cwd, "latin1.csv"), Buffer.from("caf\u00e9\n1\n", "latin1"));
  const refused = await harness().run("init", "--from", "latin1.csv");
  expect(refused.stderr).toMatch(/^error TR-52\d\d: /);
  expect(existsSync(join(cwd, "latin1.yaml"))).toBe(false);
});

test("a folder that cannot be made is told", async () => {
  writeFileSync(join(cwd, "a.csv"), "x\n1\n");
  writeFileSync(join(cwd, "file"), "");
  const engine = new FakeEngine(() => ({ columns: [{ name: "x", type: "BIGINT" }] }));
  const { code, stderr } = await harness(engine).run("init", "file/below", "--from", "a.csv", "--json");
  expect(code).toBe(1);
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "TR-7005", why: "a part of its path is no folder" } });
});

test("an example is written with its data, and a second time is refused", async () => {
  const { code, stdout } = await harness().run("init", "demo", "--template", "quakes", "--json");
  expect(code).toBe(0);
  const answer = JSON.parse(stdout) as Answer;
  expect(answer).toMatchObject({
    file: join(cwd, "demo", "quakes.yaml"),
    dag: "quakes",
    jobs: ["ingest_quakes", "summarize_quakes"],
    template: "quakes",
    data: [join(cwd, "demo", "earthquakes.json")],
    root: join(cwd, "demo"),
    missing_root: join(cwd, "demo"),
  });
  expect(dagIn(answer.file).jobs).toHaveLength(2);
  expect(readFileSync(answer.file, "utf8").split("\n")[0]).toMatch(
    /^# yaml-language-server: \$schema=\/.*\/docs\/dag\.schema\.json$/,
  );
  expect(JSON.parse(readFileSync(join(cwd, "demo", "earthquakes.json"), "utf8"))).toMatchObject({
    type: "FeatureCollection",
  });
  const again = await harness().run("init", "demo", "--template", "quakes");
  expect(again.stderr).toContain("error TR-7005: the DAG file exists already");
  // Data that somebody may have changed stays as it is, --force or not.
  writeFileSync(join(cwd, "demo", "earthquakes.json"), "mine");
  const forced = await harness().run("init", "demo", "--force", "--json");
  expect((JSON.parse(forced.stdout) as Answer).data).toEqual([]);
  expect(readFileSync(join(cwd, "demo", "earthquakes.json"), "utf8")).toBe("mine");
});

test("a stack that may read the folder already needs no other start, and what it may read is kept", async () => {
  writeFileSync(join(cwd, "a.csv"), "x\n1\n");
  const engine = () => new FakeEngine(() => ({ columns: [{ name: "x", type: "BIGINT" }] }));
  const state = join(cwd, ".trace");
  mkdirSync(state);
  writeFileSync(join(state, "settings.json"), JSON.stringify({ roots: ["/data"], allow: [] }));
  const first = await harness(engine()).run("--state", state, "init", "--from", "a.csv");
  expect(first.stderr).toContain(`trace up --root /data --root ${cwd}`);
  writeFileSync(join(state, "settings.json"), JSON.stringify({ roots: [cwd], allow: [] }));
  const second = await harness(engine()).run("--state", state, "init", "--from", "a.csv", "--force");
  expect(second.stderr).not.toContain("trace up");
  const asJson = await harness(engine()).run("--state", state, "init", "--from", "a.csv", "--force", "--json");
  expect((JSON.parse(asJson.stdout) as Answer).missing_root).toBeNull();
});

test("an unknown example and two wishes at once are wrong use", async () => {
  const unknown = await harness().run("init", "--template", "quaks");
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("quakes");
  const both = await harness().run("init", "--template", "quakes", "--from", "a.csv");
  expect(both.code).toBe(2);
  expect(both.stderr).toContain("--from and --template exclude each other");
});
