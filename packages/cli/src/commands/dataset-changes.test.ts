/** What changes a dataset or keeps it: revert, repair, purge, pins. */
import { TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import {
  partitionedDiff,
  sampleCommit,
  sampleDataset,
  sampleDiff,
  sampleNowMs,
  samplePin,
} from "../testing/samples.ts";

const stack = new FakeStack();
const calls: unknown[] = [];
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });
const person = (...typed: string[]) => harness({ columns: 100, env: { NO_COLOR: "1" }, typed });

beforeAll(() => stack.start());
beforeEach(() => {
  calls.length = 0;
  const { answers } = stack;
  answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  answers.getDataset = async ({ params }) => {
    if (params.name !== "quakes") throw new TraceError("TR-1006", { detail: "no such dataset" });
    return { ...sampleDataset({ head: 15 }), commits: [] };
  };
  answers.diffDataset = async () => sampleDiff();
  answers.revertDataset = async ({ body }) => {
    calls.push(body);
    return sampleCommit({ commit: 16, kind: "revert", reverted_to: body.to, task_id: null });
  };
  answers.purgeDataset = async ({ body }) => {
    calls.push(body);
    const { before, dry_run } = body;
    return {
      dataset: "quakes",
      generation: 1,
      before,
      commits: before - 1,
      kept: 1,
      files: 42,
      bytes: 8_421_100,
      dry_run,
    };
  };
  answers.repairPartitions = async ({ body }) => {
    calls.push(body);
    const missing = ["2001-03", "2001-04"];
    const tasks = missing.map((partition, index) => ({
      partition,
      task_id: `0198c0de-0000-7000-8000-00000000000${index}`,
    }));
    return { dataset: "quakes", missing, tasks: body.dry_run ? [] : tasks, dry_run: body.dry_run };
  };
  answers.createPin = async ({ body }) => {
    calls.push(body);
    return samplePin({ commit: body.commit ?? 15, expires_at: body.expires_at ?? null });
  };
  answers.listPins = async () => ({
    pins: [samplePin(), samplePin({ pin_id: "0198c0de-0000-7000-8000-0000000000f2" })],
  });
  answers.deletePin = async ({ params }) => {
    calls.push(params);
    return {};
  };
});
afterAll(() => stack.stop());

/** The head has these partitions beside those that differ. */
function headHas(...keys: string[]): void {
  const { schema } = sampleDataset();
  stack.answers.resolveDatasets = async ({ body }) => {
    const [asked] = body.datasets ?? [];
    const files = keys
      .filter((key) => asked?.partitions?.includes(key))
      .map((partition) => ({ bucket: "b", key: partition, bytes: 1, rows: 1, sha256: "0".repeat(64), partition }));
    return { datasets: [{ dataset: "quakes", generation: 1, commit: 15, committed_at: null, schema, files }] };
  };
  stack.answers.listPartitions = async () => ({
    dataset: "quakes",
    generation: 1,
    commit: 15,
    partitions: keys.map((partition) => ({
      partition,
      commit: 15,
      committed_at: "2026-11-23T08:00:10.000Z",
      rows: 1,
      bytes: 1,
      files: 1,
    })),
    partitions_total: keys.length,
    missing: ["2001-06"],
    next: null,
  });
}

test("a revert shows what it does, asks, and is refused when the dataset has moved on since", async () => {
  const { code, stdout, stderr } = await person("y").run(
    "dataset",
    "revert",
    "quakes",
    "--to",
    "12",
    "--reason",
    "bad file",
  );
  expect(code).toBe(0);
  expect(stderr).toContain("sum   +96 rows");
  expect(stderr).toContain("Revert quakes from commit 15 to commit 12? [y/N]");
  expect(stdout).toBe("reverted quakes to commit 12, as commit 16\n");
  expect(calls).toEqual([{ to: 12, expected_head: 15, reason: "bad file" }]);
});

test("a revert that is not wanted, or only looked at, changes nothing", async () => {
  expect((await person("n").run("dataset", "revert", "quakes", "--to", "12")).code).toBe(1);
  expect((await harness().run("dataset", "revert", "quakes", "--to", "12")).code).toBe(2);
  const dry = await harness().run("dataset", "revert", "quakes", "--to", "12", "--dry-run");
  expect([dry.code, dry.stdout.split("\n")[0]]).toEqual([0, "quakes, commit 2 to 3"]);
  const json = await harness().run("dataset", "revert", "quakes", "--to", "12", "--dry-run", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ dry_run: true, to: 12, expected_head: 15 });
  expect(calls).toEqual([]);
});

test("a revert of partitions shows and changes those alone", async () => {
  stack.answers.diffDataset = async () => partitionedDiff();
  headHas("2001-05");
  const argv = ["dataset", "revert", "quakes", "--to", "12", "--partition", "2001-03", "2001-05", "--yes"];
  const dry = await harness().run(...argv, "--dry-run");
  expect(dry.stdout).toContain("Partitions  1 changed, 1 unchanged");
  expect(dry.stdout).not.toContain("2001-07");
  expect((await harness().run(...argv)).code).toBe(0);
  expect(calls).toEqual([{ to: 12, expected_head: 15, partitions: ["2001-03", "2001-05"] }]);
});

test("a partition that is mistyped is told before anything is shown or asked, with the one that was meant", async () => {
  stack.answers.diffDataset = async () => ({ ...partitionedDiff(), dataset: "quakes" });
  headHas("2001-05");
  for (const [typed, meant] of [
    ["2001-3", "did you mean '2001-03'? "],
    ["2001-5", "did you mean '2001-05'? "],
    ["elsewhere", ""],
  ]) {
    const argv = ["dataset", "revert", "quakes", "--to", "12", "--partition", "2001-03", typed ?? ""];
    for (const run of [harness().run(...argv, "--dry-run"), person("y").run(...argv)]) {
      const { code, stdout, stderr } = await run;
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toContain(`error TR-4033: dataset 'quakes' has no partition '${typed}'`);
      expect(stderr).toContain(`fix:   ${meant}'trace dataset partitions quakes' lists those there are`);
    }
  }
  expect(calls).toEqual([]);
  const missing = await harness().run(
    "dataset",
    "revert",
    "quakes",
    "--to",
    "12",
    "--partition",
    "2001-06",
    "--dry-run",
  );
  expect(missing.code).toBe(0);
});

test("a head that is not the expected one is refused before anything is shown or called", async () => {
  const { code, stderr } = await harness().run(
    "dataset",
    "revert",
    "quakes",
    "--to",
    "12",
    "--expected-head",
    "14",
    "--yes",
  );
  expect(code).toBe(1);
  expect(stderr).toContain("error TR-4023: 'quakes' is at commit 15, not at 14; nothing was changed");
  expect(stderr).toContain("trace dataset diff quakes 14 15");
  expect(calls).toEqual([]);
});

test("a purge counts first and wants the dataset's name", async () => {
  const { code, stdout, stderr } = await person("quakes").run("dataset", "purge", "quakes", "--before", "12");
  expect(code).toBe(0);
  expect(stderr).toContain(
    "This gives up 11 commits and 42 files, 8.4 MB, before commit 12 of quakes. It cannot be undone.",
  );
  expect(stderr).toContain("1 commit before that stays: pinned, or being read.");
  expect(stdout).toBe("gave up 11 commits and 42 files, 8.4 MB, before commit 12 of quakes\n");
  expect(calls).toEqual([
    { before: 12, dry_run: true },
    { before: 12, dry_run: false },
  ]);
});

test("another name, a yes, nobody to ask, or a dry run purge nothing", async () => {
  expect((await person("quaks").run("dataset", "purge", "quakes", "--before", "12")).code).toBe(1);
  expect((await person("y").run("dataset", "purge", "quakes", "--before", "12")).code).toBe(1);
  expect((await harness().run("dataset", "purge", "quakes", "--before", "12")).code).toBe(2);
  expect((await harness().run("dataset", "purge", "quakes", "--before", "12", "--confirm", "other")).code).toBe(1);
  expect((await harness().run("dataset", "purge", "quakes", "--before", "12", "--dry-run")).code).toBe(0);
  expect(calls.every((call) => (call as { dry_run: boolean }).dry_run)).toBe(true);
  expect((await harness().run("dataset", "purge", "quakes", "--before", "12", "--confirm", "quakes")).code).toBe(0);
  expect(calls.at(-1)).toEqual({ before: 12, dry_run: false });
});

test("a purge of what is still needed is told as the dispatcher tells it", async () => {
  stack.answers.purgeDataset = async () => {
    throw new TraceError("TR-4024", { detail: "commit 12 is above the head" });
  };
  expect((await harness().run("dataset", "purge", "quakes", "--before", "99", "--dry-run")).stderr).toContain(
    "TR-4024",
  );
});

test("a repair names what is missing, asks, and prints the tasks", async () => {
  const { code, stdout, stderr } = await person("yes").run("dataset", "repair", "quakes");
  expect(code).toBe(0);
  expect(stderr).toContain("missing: 2001-03, 2001-04\nCreate 2 tasks? [y/N]");
  expect(stdout.split("\n")[0]).toBe("0198c0de-0000-7000-8000-000000000000  2001-03");
  expect(calls).toEqual([{ dry_run: true }, { dry_run: false }]);
});

test("a repair that is not wanted or only looked at creates nothing, and --yes asks nothing", async () => {
  expect((await person("").run("dataset", "repair", "quakes")).code).toBe(1);
  const dry = await harness().run("dataset", "repair", "quakes", "--dry-run");
  expect(dry).toMatchObject({ code: 0, stdout: "2001-03\n2001-04\n" });
  expect(calls).toEqual([{ dry_run: true }, { dry_run: true }]);
  calls.length = 0;
  const some = await harness().run("dataset", "repair", "quakes", "--yes", "--partition", "2001-03", "--json");
  expect(JSON.parse(some.stdout)).toMatchObject({ dry_run: false });
  expect(calls).toEqual([{ dry_run: false, partitions: ["2001-03"] }]);
});

test("nothing missing is said, and nobody is asked", async () => {
  stack.answers.repairPartitions = async () => ({ dataset: "quakes", missing: [], tasks: [], dry_run: true });
  const { code, stdout, stderr } = await harness().run("dataset", "repair", "quakes");
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toContain("No partition of 'quakes' is missing.");
});

test("a pin has a commit, a holder and an end; its id is the answer", async () => {
  const argv = ["dataset", "pin", "quakes", "--commit", "12", "--for", "report of May", "--until", "1d"];
  const { code, stdout, stderr } = await harness().run(...argv);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "0198c0de-0000-7000-8000-0000000000f1\n" });
  expect(stderr).toContain("Pinned commit 12 of quakes, until 2026-11-24 08:00:10 UTC.");
  expect(calls).toEqual([
    { dataset: "quakes", commit: 12, holder: "report of May", expires_at: "2026-11-24T08:00:10.000Z" },
  ]);
  expect((await harness().run("dataset", "pin", "quakes", "--until", "tomorrow")).code).toBe(2);
  expect((await harness().run("dataset", "pin", "quakes", "--for", "")).code).toBe(2);
});

test("pins are listed, and taken away by the end of their id", async () => {
  const { stdout } = await harness().run("dataset", "pins", "quakes");
  expect(stdout.split("\n")[1]).toMatch(/^0198c0de-\S+f1 {2}quakes +3 {2}1 h ago {2}unpinned {2}report of May$/);
  expect((await harness().run("dataset", "unpin", "0000000000f2")).stdout).toBe("unpinned commit 3 of quakes\n");
  expect(calls).toEqual([{ pin_id: "0198c0de-0000-7000-8000-0000000000f2" }]);
});

test.each([
  ["f1", "names no single pin"],
  ["8000-0000000000ff", "no pin has that id"],
  ["0000000000f3", "did you mean 0000000000f1?"],
])("%s takes no pin away", async (id, text) => {
  const { code, stderr } = await harness().run("dataset", "unpin", id);
  expect(code).toBe(2);
  expect(stderr.replaceAll(/\s+/g, " ")).toContain(text);
  expect(calls).toEqual([]);
});
