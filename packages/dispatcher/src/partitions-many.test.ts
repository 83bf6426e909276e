/** Jobs with thousands of partitions, and jobs whose partitions change by a deploy. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { refusalOf, stepsOf } from "./testing/steps.ts";
import { World } from "./testing/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());
beforeEach(() => world.clear());

const { labels, take, finish, drain } = stepsOf(() => world);

describe("a job with more partitions than are started at once", () => {
  const hours = 2_400;
  const wideDag = `dag: wide
jobs:
  rates: { operator: ingest, outputs: [wide_rates], source: { file: a.csv } }
  hours:
    operator: sql
    partitions: { range: { from: 2001-01-01, to: 2001-04-11, every: hour } }
    inputs: [wide_rates]
    outputs: [wide_hours]
    sql: select $partition
`;
  beforeAll(() => world.deploy(wideDag));

  const commitRates = async () => {
    await world.create("wide", "rates");
    await finish("rates -");
  };
  const live = () => world.count("live_outputs");
  const finishOne = async () => {
    const [task] = await world.claim(await world.session(), 1);
    if (task === undefined) throw new Error("nothing is ready");
    await world.succeed(task);
    return task.partition;
  };

  test("is started bit by bit, each partition once", async () => {
    await commitRates();
    expect(await live()).toBe(1_000);
    const done = [await finishOne()];
    expect(await live()).toBe(1_999);
    done.push(await finishOne());
    expect(await live()).toBe(hours - 2);
    expect(await world.count("invalidation_sweeps")).toBe(0);
    done.push(await finishOne());
    expect(new Set(done).size).toBe(3);
    expect(await world.count("tasks", "output_partition <> ''")).toBe(hours);
    expect(await world.count("(select distinct output_partition from tasks where output_partition <> '') x")).toBe(
      hours,
    );
  });

  test("is told of commits that come meanwhile by one row, and of a partition no more often than it was started", async () => {
    await commitRates();
    for (let more = 0; more < 4; more += 1) await commitRates();
    expect(await live()).toBe(hours);
    // All are live: the second round told each once, and the third waits for what the second told.
    expect(await world.count("invalidations")).toBeLessThanOrEqual(hours);
    expect(await world.count("invalidation_sweeps")).toBe(1);
    const before = await world.count("invalidations");
    await commitRates();
    expect(await world.count("invalidations")).toBe(before);
  });

  test("that has read the commit before one that comes while the others are told reads that one too", async () => {
    await commitRates();
    const [early] = await world.claim(await world.session(), 1);
    if (early === undefined) throw new Error("nothing is ready");
    await commitRates();
    for (let more = 0; more < 3; more += 1) await finishOne();
    expect(await world.count("tasks", `output_partition = '${early.partition}'`)).toBe(1);
    await world.succeed(early);
    expect(await world.count("tasks", `output_partition = '${early.partition}'`)).toBe(2);
  });

  test("and a run of all of them begins with all, in one transaction", async () => {
    const started = await world.runs.start(world.orgId, "wide", ["hours"]);
    expect(started.tasks).toHaveLength(hours);
    expect(await live()).toBe(hours);
  });
});

test("a run that would begin with more tasks than one transaction creates is refused, and creates none", async () => {
  const job = (name: string) =>
    `  ${name}: { operator: ingest, partitions: { range: { from: 2001-01-01, to: 2002-02-21T16, every: hour } }, outputs: [many_${name}], source: { file: a.csv }, sql: select $partition }\n`;
  await world.deploy(`dag: many\njobs:\n${["one", "two", "three"].map(job).join("")}`);
  expect(await refusalOf(world.runs.start(world.orgId, "many", undefined))).toMatchObject({ code: "TR-3018" });
  expect(await world.count("tasks")).toBe(0);
  const some = await world.runs.start(world.orgId, "many", undefined, ["2001-01-01T00", "2002-02-21T15"]);
  expect(some.tasks).toHaveLength(6);
});

describe("a deploy that changes how a job runs", () => {
  const feed =
    "  feed: { operator: ingest, partitions: { keys: [a, b, c] }, outputs: [fed], source: { file: a.csv }, sql: select $partition }\n";
  const reading = (parts: string) =>
    `dag: turned\njobs:\n${feed}  read: { operator: sql, ${parts}inputs: [fed], outputs: [turned], sql: select 1 }\n`;
  const whole = reading("");
  const each = reading("execution: per_partition, ");
  const start = (job: string, keys?: string[]) => world.runs.start(world.orgId, "turned", [job], keys);

  /** Both versions have been current and have commits, so that no deploy builds anything anew. */
  beforeEach(async () => {
    for (const source of [whole, each]) {
      await world.deploy(source);
      await start("feed");
      await drain();
    }
  });

  test("tells a job that runs as a whole what its partitions had yet to read", async () => {
    await start("read", ["a"]);
    const live = await take("read a");
    await start("feed", ["a"]);
    await finish("feed a");
    expect(await world.count("invalidations", "parked")).toBe(1);
    await world.deploy(whole);
    expect(await labels()).toEqual(["read -"]);
    await world.succeed(live);
    expect((await take("read -")).inputs[0]?.commit).toBeGreaterThan(live.inputs[0]?.commit ?? 0);
    expect(await world.count("invalidations")).toBe(0);
  });

  test("tells every partition what the job had yet to read as a whole", async () => {
    await world.deploy(whole);
    await drain();
    await start("read");
    const live = await take("read -");
    await start("feed", ["a"]);
    await finish("feed a");
    await world.deploy(each);
    expect(await labels()).toEqual(["read a", "read b", "read c"]);
    await world.succeed(live);
    expect(await drain()).toEqual(["read a", "read b", "read c"]);
    expect(await world.count("invalidations")).toBe(0);
    expect(await world.count("invalidation_sweeps")).toBe(0);
  });

  test("tells nothing to partitions that the job does not have any more", async () => {
    const own = (keys: string) =>
      `dag: own\njobs:\n  rates: { operator: ingest, outputs: [own_rates], source: { file: a.csv } }\n  own: { operator: sql, partitions: { keys: [${keys}] }, inputs: [own_rates], outputs: [owned], sql: select $partition }\n`;
    await world.deploy(own("a, b"));
    const commit = async () => {
      await world.create("own", "rates");
      await finish("rates -");
    };
    await commit();
    const [a, b] = [await take("own a"), await take("own b")];
    await commit();
    expect(await world.count("invalidations", "parked")).toBe(2);
    await world.deploy(own("a"));
    await world.succeed(a);
    await world.succeed(b);
    expect(await labels()).toEqual(["own a"]);
  });
});
