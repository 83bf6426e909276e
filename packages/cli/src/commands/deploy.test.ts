import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type JobDefinition, parseDag, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness } from "../testing/harness.ts";
import { changeLines } from "./deploy.ts";

const good = `dag: quakes
jobs:
  ingest_quakes:
    operator: ingest
    source:
      file: quakes.json
    outputs: [quakes]
  by_region:
    operator: sql
    inputs: [quakes]
    sql: SELECT region, count(*) AS quakes FROM quakes GROUP BY ALL
    outputs: [quakes_by_region]
`;
const bad = good.replace("operator: sql", "operator: sqll").replace("dag: quakes", "dag: Quakes!");

const stack = new FakeStack();
const harness = (columns?: number) => new Harness({ cwd: stack.cwd, ...(columns === undefined ? {} : { columns }) });
const sent: { file_name: string; source: string }[] = [];
const version = "cd".repeat(32);

function jobsOf(source: string): JobDefinition[] {
  const parsed = parseDag(source, "x.yaml");
  if (!parsed.ok) throw new Error(parsed.diagnostics.map((one) => one.message).join("; "));
  return parsed.dag.jobs;
}

beforeAll(async () => {
  await stack.start();
  writeFileSync(join(stack.cwd, "quakes.yaml"), good);
  writeFileSync(join(stack.cwd, "bad.yaml"), bad);
  stack.answers.listDags = async () => ({ dags: [] });
  stack.answers.deploy = async ({ body }) => {
    sent.push(body);
    const jobs = ["ingest_quakes", "by_region"];
    return {
      dag: "quakes",
      version,
      number: sent.length,
      changed: sent.length === 1,
      jobs,
      datasets: ["quakes", "quakes_by_region"],
    };
  };
});
afterAll(() => stack.stop());

test("a file with errors shows all of them with frames, sends nothing and ends with 1", async () => {
  const before = sent.length;
  const { code, stdout, stderr } = await harness().run("deploy", "bad.yaml");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("bad.yaml:1:6");
  expect(stderr).toContain("bad.yaml:9:15");
  expect(stderr).toMatch(/9 \| {5}operator: sqll\n {2}\| +\^{4}/);
  expect(stderr).toContain("error TR-7008: bad.yaml has 2 errors; nothing was deployed");
  expect(sent).toHaveLength(before);
});

test("the same errors as JSON are one line on standard error", async () => {
  const { code, stdout, stderr } = await harness().run("deploy", "bad.yaml", "--check", "--json");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  const { error } = JSON.parse(stderr) as { error: { code: string; diagnostics: { line: number; code: string }[] } };
  expect(error.code).toBe("TR-7008");
  expect(error.diagnostics.map((one) => one.line)).toEqual([1, 9]);
});

test("--check needs no stack", async () => {
  const { code, stdout } = await new Harness({ cwd: "/" }).run("deploy", join(stack.cwd, "quakes.yaml"), "--check");
  expect(code).toBe(0);
  expect(stdout).toContain("DAG quakes, 2 jobs, 2 datasets");
  const asJson = await harness().run("deploy", "quakes.yaml", "--check", "--json");
  expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: true, dag: "quakes", jobs: ["ingest_quakes", "by_region"] });
  expect(asJson.stderr).toBe("");
});

test("a deploy sends the file as it is and prints what is new; again, that nothing changed", async () => {
  const first = await harness().run("deploy", "quakes.yaml");
  expect(first.code).toBe(0);
  expect(sent.at(-1)).toEqual({ file_name: "quakes.yaml", source: good });
  expect(first.stdout.split("\n")).toEqual([
    "deployed DAG quakes as version 1 (cdcdcdcdcdcd): 2 jobs, 2 datasets",
    "  + ingest_quakes  ingest to quakes",
    "  + by_region  sql from quakes to quakes_by_region",
    "",
  ]);
  expect(first.stderr).toContain("trace run quakes");
  const second = await harness().run("deploy", "quakes.yaml");
  expect(second.stdout).toBe("unchanged DAG quakes: version 2 (cdcdcdcdcdcd) is current already\n");
  const third = await harness().run("deploy", "quakes.yaml", "--json");
  expect(JSON.parse(third.stdout)).toMatchObject({ dag: "quakes", changed: false, warnings: [] });
});

test("a deploy tells which datasets are built anew", async () => {
  const before = stack.answers.deploy;
  stack.answers.deploy = async () => ({
    dag: "quakes",
    version,
    number: 3,
    changed: true,
    jobs: ["by_region"],
    datasets: ["quakes_by_region"],
    generations: [{ dataset: "quakes_by_region", generation: 2 }],
  });
  const { stdout } = await harness().run("deploy", "quakes.yaml");
  expect(stdout).toContain("  quakes_by_region begins generation 2; readers elsewhere see the one before until");
  Object.assign(stack.answers, { deploy: before });
});

test("a change names the jobs that came, went and changed, and what of them", () => {
  const changed = good.replace("count(*)", "max(magnitude)").replace("  ingest_quakes:", "  ingest_all:");
  expect(changeLines(jobsOf(good), jobsOf(changed))).toEqual([
    "+ ingest_all  ingest to quakes",
    "~ by_region  config changed",
    "- ingest_quakes  ingest to quakes",
  ]);
  expect(changeLines(jobsOf(good), jobsOf(good))).toEqual([]);
});

test("a file in Latin-1 is refused where its first foreign byte stands, and nothing of it is sent", async () => {
  const before = sent.length;
  writeFileSync(join(stack.cwd, "latin1.yaml"), Buffer.from(good.replace("count(*)", "'caf\u00e9'"), "latin1"));
  const { code, stdout, stderr } = await harness().run("deploy", "latin1.yaml");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain("error[TR-2026]");
  expect(stderr).toContain("latin1.yaml:11:29");
  expect(stderr).toContain("more:  trace explain TR-2026");
  expect(sent).toHaveLength(before);
});

test("a byte order mark is no trouble", async () => {
  writeFileSync(join(stack.cwd, "bom.yaml"), `\ufeff${good}`);
  expect((await harness().run("deploy", "bom.yaml", "--check")).code).toBe(0);
});

test("one error of several is not said twice", async () => {
  const was = stack.answers.deploy;
  const two = ["dataset quakes has another producer", "dataset x has another producer"].map(
    (detail) => new TraceError("TR-4010", { detail }),
  );
  for (const errors of [two, two.slice(0, 1)]) {
    stack.answers.deploy = () =>
      Promise.reject(Object.assign(new TraceError("TR-4010", { detail: two[0]?.message ?? "" }), { errors }));
    const { stderr } = await harness().run("deploy", "quakes.yaml");
    expect(stderr.match(/dataset quakes has/g)).toHaveLength(1);
    expect(stderr.includes("also:  TR-4010 dataset x has another producer")).toBe(errors.length === 2);
  }
  if (was !== undefined) stack.answers.deploy = was;
});

test("a file that is not there is told apart from one that is wrong", async () => {
  const { code, stderr } = await harness().run("deploy", "nothing.yaml");
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-7004: the DAG file cannot be read");
  expect(stderr).toContain("there is no such file");
});
