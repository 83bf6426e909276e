/** The example, as a newcomer runs it, checked against what this test makes of the raw file by itself. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Run } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ExampleCopy } from "./harness/example-copy.ts";
import { fetchFile, readFiles, resolve } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { TraceProcess } from "./harness/up.ts";
import { deployExample, exampleData, runToEnd } from "./harness/work.ts";

interface Feature {
  readonly id: string;
  readonly properties: { readonly mag: number | null; readonly place: string | null; readonly time: number };
  readonly geometry: { readonly coordinates: readonly [number, number, number] };
}

const runMsMax = 60_000;
const raw = JSON.parse(readFileSync(join(exampleData, "earthquakes.json"), "utf8")) as { features: Feature[] };

/** The rule of the issue in this test's own words: the text after the last comma, or `unknown`. */
function regionOf(place: string | null): string {
  const at = place?.lastIndexOf(",") ?? -1;
  const text = at < 0 ? "" : (place?.slice(at + 1).trim() ?? "");
  return text === "" ? "unknown" : text;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

let running: RunningStack;
let first: Run;
const copy = new ExampleCopy();

beforeAll(async () => {
  running = await startStack({ roots: [copy.folder] });
  await deployExample(running.access);
  first = await runToEnd(running.access, "quakes", runMsMax);
});
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(async () => {
  await running?.stop();
  copy.remove();
});

test("a run of the example commits both datasets, each by one task at its first attempt", () => {
  expect(first.state).toBe("completed");
  expect(first.tasks.map(({ job, state, attempt, failures }) => ({ job, state, attempt, failures }))).toEqual([
    { job: "ingest_quakes", state: "completed", attempt: 1, failures: 0 },
    { job: "summarize_quakes", state: "completed", attempt: 1, failures: 0 },
  ]);
  expect(first.commits).toEqual(
    expect.arrayContaining([
      { dataset: "quakes", generation: 1, commit: 1 },
      { dataset: "quakes_by_region_day", generation: 1, commit: 1 },
    ]),
  );
  expect(first.commits).toHaveLength(2);
});

test("quakes has every feature of the file once, typed, with the region that its place says", async () => {
  const quakes = await resolve(running.access, "quakes");
  expect(quakes.schema).toEqual([
    { name: "id", type: "VARCHAR", field_id: 1 },
    { name: "time", type: "TIMESTAMP", field_id: 2 },
    { name: "magnitude", type: "DOUBLE", field_id: 3 },
    { name: "place", type: "VARCHAR", field_id: 4 },
    { name: "region", type: "VARCHAR", field_id: 5 },
    { name: "depth", type: "DOUBLE", field_id: 6 },
    { name: "longitude", type: "DOUBLE", field_id: 7 },
    { name: "latitude", type: "DOUBLE", field_id: 8 },
    { name: "updated", type: "TIMESTAMP", field_id: 9 },
  ]);
  const rows = await readFiles(
    quakes.files,
    "select id, epoch_ms(time)::double as time, magnitude, place, region, depth, longitude, latitude from data order by id",
  );
  const expected = raw.features
    .map(({ id, properties: { mag, place, time }, geometry: { coordinates } }) => {
      const [longitude, latitude, depth] = coordinates;
      return { id, time, magnitude: mag, place, region: regionOf(place), depth, longitude, latitude };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(rows).toHaveLength(1_707);
  expect(rows).toEqual(expected);
  expect(rows.filter(({ region }) => region === "unknown").length).toBeGreaterThan(0);
});

test("the summary is what counting the raw file gives, per region and day", async () => {
  const summary = await resolve(running.access, "quakes_by_region_day");
  const rows = await readFiles(
    summary.files,
    "select region, day::varchar as day, quakes::int as quakes, strongest from data order by region, day",
  );
  const groups = new Map<string, { region: string; day: string; quakes: number; strongest: number }>();
  for (const { properties } of raw.features) {
    const region = regionOf(properties.place);
    const day = dayOf(properties.time);
    const group = groups.get(`${region}\n${day}`) ?? { region, day, quakes: 0, strongest: Number.NEGATIVE_INFINITY };
    group.quakes += 1;
    group.strongest = Math.max(group.strongest, properties.mag ?? Number.NEGATIVE_INFINITY);
    groups.set(`${region}\n${day}`, group);
  }
  const key = ({ region, day }: { region: string; day: string }) => `${region}\n${day}`;
  const sorted = (list: { region: string; day: string }[]) => list.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  expect(sorted(rows as { region: string; day: string }[])).toEqual(sorted([...groups.values()]));
  expect(rows.reduce((sum, { quakes }) => sum + Number(quakes), 0)).toBe(1_707);
});

test("the summary's commit names the commit of quakes that it was made from", async () => {
  const { commits } = await running.access.user.getDataset({ params: { name: "quakes_by_region_day" } });
  expect(commits[0]?.inputs).toEqual([{ dataset: "quakes", generation: 1, commit: 1 }]);
});

test("'trace query' prints the dataset, as a process of its own", async () => {
  const sql = "SELECT count(*) AS quakes, count(DISTINCT region) AS regions FROM quakes";
  const query = new TraceProcess(["query", sql, "--state", running.folder.dir, "--format", "csv"]);
  const { code } = await query.ended;
  expect({ code, stderr: code === 0 ? "" : query.stderr }).toEqual({ code: 0, stderr: "" });
  const regions = new Set(raw.features.map(({ properties }) => regionOf(properties.place)));
  expect(query.stdout.trim().split(/\r?\n/)).toEqual(["quakes,regions", `1707,${regions.size}`]);
});

test("a run of a file that did not change commits nothing: readers have what they had", async () => {
  const before = await resolve(running.access, "quakes");
  const again = await runToEnd(running.access, "quakes", runMsMax);
  expect([again.state, again.commits]).toEqual(["completed", []]);
  expect(again.tasks.map(({ job, state }) => [job, state])).toEqual([["ingest_quakes", "completed"]]);
  const after = await resolve(running.access, "quakes");
  expect(after.commit).toBe(before.commit);
  expect(after.files.map(({ key }) => key)).toEqual(before.files.map(({ key }) => key));
});

test("a run of a file that was written anew is version 2: new readers see its files alone, readers of version 1 still have theirs", async () => {
  const before = await resolve(running.access, "quakes");
  copy.change();
  const second = await runToEnd(running.access, "quakes", runMsMax);
  expect(second.commits).toEqual(
    expect.arrayContaining([
      { dataset: "quakes", generation: 1, commit: 2 },
      { dataset: "quakes_by_region_day", generation: 1, commit: 2 },
    ]),
  );
  const after = await resolve(running.access, "quakes");
  expect([before.commit, after.commit]).toEqual([1, 2]);
  const replaced = before.files.map(({ key }) => key);
  expect(replaced.length).toBeGreaterThan(0);
  expect(after.files.filter(({ key }) => replaced.includes(key))).toEqual([]);
  for (const file of before.files) await fetchFile(file);
  const [row] = await readFiles(after.files, "select count(*)::int as rows from data");
  expect(row).toEqual({ rows: 1_707 });
});
