/** The second example, as a newcomer runs it: three million flights by month, checked against the raw files by SQL of this test's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ResolvedDataset, Run } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readFiles, resolve } from "./harness/reader.ts";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { deploy, exampleData, runToEnd } from "./harness/work.ts";

const runMsMax = 180_000;
const example = readFileSync(join(import.meta.dirname, "..", "..", "examples", "flights", "flights.yaml"), "utf8");
const months = ["2001-01", "2001-02", "2001-03", "2001-04", "2001-05", "2001-06", "2001-07"];
const rawFlights = `read_parquet('${join(exampleData, "flights-3m.parquet")}')`;
const rawAirports = `read_csv('${join(exampleData, "airports.csv")}')`;

let running: RunningStack;
let first: Run;
let flights: ResolvedDataset;

beforeAll(async () => {
  running = await startStack({ roots: [exampleData] });
  await deploy(running.access, example, "flights.yaml");
  first = await runToEnd(running.access, "flights", runMsMax);
  flights = await resolve(running.access, "flights");
}, runMsMax + 60_000);
afterEach((context) => tellIfFailed(context, running?.folder));
afterAll(() => running?.stop());

test("a run is one task for each month, one for the airports, and one that waits for all of them", () => {
  expect(first.state).toBe("completed");
  const tasks = first.tasks.map(({ job, partition, state, attempt }) => [job, partition ?? null, state, attempt]);
  expect(tasks).toHaveLength(months.length + 2);
  expect(tasks).toEqual(
    expect.arrayContaining([
      ...months.map((month) => ["split_flights", month, "completed", 1]),
      ["ingest_airports", null, "completed", 1],
      ["delays_by_airport", null, "completed", 1],
    ]),
  );
  const ended = (job: string) => first.tasks.filter((task) => task.job === job).map((task) => task.ended_at ?? "");
  const started = first.tasks.find(({ job }) => job === "delays_by_airport")?.started_at ?? "";
  for (const time of [...ended("split_flights"), ...ended("ingest_airports")]) expect(time <= started).toBe(true);
});

test("every flight of the file is there once, with its types, each in the partition of its month", async () => {
  expect(flights.schema.map(({ name, type }) => [name, type])).toEqual([
    ["departed_at", "TIMESTAMP"],
    ["delay_minutes", "INTEGER"],
    ["distance_miles", "INTEGER"],
    ["origin", "VARCHAR"],
    ["destination", "VARCHAR"],
  ]);
  // Sums over every column tell a row that is missing, doubled or changed without sorting three millions of them.
  const sums = (date: string, delay: string, distance: string, source: string) =>
    `select count(*)::int as rows, count(distinct ${date})::int as times, sum(hash(${date}, ${delay}::bigint, ${distance}::bigint, origin, destination)::hugeint)::varchar as sum from ${source}`;
  const [ours] = await readFiles(flights.files, sums("departed_at", "delay_minutes", "distance_miles", "data"));
  const [raw] = await readFiles(flights.files, sums('"date"', "delay", "distance", rawFlights));
  expect(ours?.rows).toBe(3_000_000);
  expect(ours).toEqual(raw);
});

test("a reader who asks for one month gets that month's files alone", async () => {
  for (const month of ["2001-02", "2001-07"]) {
    const { datasets } = await running.access.user.resolveDatasets({
      body: { datasets: [{ dataset: "flights", partitions: [month] }], presign: true },
    });
    const files = datasets[0]?.files ?? [];
    const found = await readFiles(
      files,
      "select strftime(departed_at, '%Y-%m') as month, count(*)::int as rows from data group by 1",
    );
    const raw = `select strftime("date", '%Y-%m') as month, count(*)::int as rows from ${rawFlights} where strftime("date", '%Y-%m') = '${month}' group by 1`;
    expect(found).toEqual(await readFiles(files, raw));
  }
});

test("delays are those of the raw files, joined to the airports' names", async () => {
  const delays = await resolve(running.access, "airport_delays");
  const columns = "airport, name, flights::int as flights, mean_delay_minutes as mean, late_percent as late";
  const ours = await readFiles(delays.files, `select ${columns} from data order by airport`);
  const raw = await readFiles(
    delays.files,
    `with counted as (
       select origin, count(*) as flights, sum(delay) as minutes, count(case when delay > 15 then 1 end) as late from ${rawFlights} group by origin
     )
     select c.origin as airport, a.name, c.flights::int as flights, round(c.minutes / c.flights, 1) as mean, round(c.late * 100.0 / c.flights, 1) as late
       from counted c left join ${rawAirports} a on a.iata = c.origin order by 1`,
  );
  expect(ours).toHaveLength(229);
  expect(ours).toEqual(raw);
});

test("the delays' commit names the commits that it was made from: the last of the months and the airports", async () => {
  const { commits } = await running.access.user.getDataset({ params: { name: "airport_delays" } });
  expect(commits).toHaveLength(1);
  expect(commits[0]?.inputs).toEqual(
    expect.arrayContaining([
      { dataset: "flights", generation: 1, commit: months.length },
      { dataset: "airports", generation: 1, commit: 1 },
    ]),
  );
});
