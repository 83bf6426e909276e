import { type Run, TraceError } from "@trace/contracts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runSilenceMsMax } from "../limits.ts";
import { FakeStack } from "../testing/fake-stack.ts";
import { Harness, type HarnessOptions } from "../testing/harness.ts";
import {
  completedRun,
  failedRun,
  sampleDag,
  sampleDataset,
  sampleNowMs,
  sampleRun,
  sampleRunId,
} from "../testing/samples.ts";

const stack = new FakeStack();
const harness = (options: Partial<HarnessOptions> = {}) =>
  new Harness({ cwd: stack.cwd, nowMs: sampleNowMs, ...options });

/** The states that polls see, the last one for ever. */
function states(...runs: readonly (Run | TraceError)[]): void {
  let polls = 0;
  stack.answers.getRun = async () => {
    const now = runs[Math.min(polls++, runs.length - 1)];
    if (now === undefined || now instanceof TraceError) throw now;
    return now;
  };
}

beforeAll(async () => {
  await stack.start();
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
});
beforeEach(() => {
  stack.answers.run = async () => sampleRun();
});
afterAll(() => stack.stop());

test("a run that completes shows its changes, its commits and what to try, exit code 0", async () => {
  states(sampleRun(), completedRun());
  const { code, stdout, stderr } = await harness().run("run", "quakes");
  expect(code).toBe(0);
  expect(stderr).toContain("ingest_quakes running");
  expect(stderr).toContain("ingest_quakes completed, 2.0 s, quakes commit 3");
  expect(stderr).toContain("trace query 'SELECT * FROM quakes LIMIT 10'");
  expect(stdout.split("\n")).toEqual([
    "completed run of quakes in 10.0 s, 1 task, 1 commit",
    "  dataset  commit   rows   size",
    "  quakes        3  1,707  84 kB",
    "",
  ]);
});

test("hints are typed as this user types: through npm", async () => {
  states(completedRun());
  const { stderr } = await harness({ env: { npm_lifecycle_event: "trace" } }).run("run", "quakes");
  expect(stderr).toContain("npm run trace -- query 'SELECT * FROM quakes LIMIT 10'");
});

test("a run that fails shows the error with its fix, exit code 3", async () => {
  states(failedRun());
  const { code, stdout, stderr } = await harness().run("run", "quakes");
  expect(code).toBe(3);
  expect(stdout).toMatch(/^failed run of quakes/);
  expect(stderr).toContain("error TR-5001: the file /data/quakes.json cannot be read");
  expect(stderr).toContain("fix:   check the path in the DAG file");
});

test("--json gives the ended run and nothing else, good or bad", async () => {
  states(sampleRun(), failedRun());
  const { code, stdout, stderr } = await harness().run("run", "quakes", "--json");
  expect({ code, stderr }).toEqual({ code: 3, stderr: "" });
  expect(JSON.parse(stdout)).toEqual(failedRun());
});

test("--no-wait prints the run and does not ask for it again", async () => {
  states(new TraceError("TR-1000", { detail: "nobody should ask" }));
  const plain = await harness().run("run", "quakes", "--no-wait");
  expect(plain).toMatchObject({ code: 0, stdout: `run ${sampleRunId} of quakes started: 1 task\n` });
  const asJson = await harness().run("run", "quakes", "--no-wait", "--json");
  expect(JSON.parse(asJson.stdout)).toEqual(sampleRun());
});

test("--job sends the jobs", async () => {
  let jobs: readonly string[] | undefined;
  stack.answers.run = async ({ body }) => {
    jobs = body.jobs;
    return completedRun();
  };
  await harness().run("run", "quakes", "--job", "a", "--job", "b");
  expect(jobs).toEqual(["a", "b"]);
});

test("--partition sends the partitions, and one that is none is refused with the one that was meant", async () => {
  let body: unknown;
  stack.answers.run = async (call) => {
    body = call.body;
    return completedRun();
  };
  await harness().run("run", "quakes", "--job", "split", "--partition", "2001-01", "2001-02");
  expect(body).toEqual({ jobs: ["split"], partitions: ["2001-01", "2001-02"] });
  stack.answers.run = async () => {
    throw new TraceError("TR-3017", { detail: "there is no partition '2001-1'", fix: "did you mean '2001-01'?" });
  };
  const refused = await harness().run("run", "quakes", "--partition", "2001-1");
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain("did you mean '2001-01'?");
  const empty = await harness().run("run", "quakes", "--partition", "");
  expect(empty).toMatchObject({ code: 2, stdout: "" });
});

test("on a terminal the block is redrawn in place and the cursor comes back", async () => {
  states(sampleRun(), sampleRun(), completedRun());
  const { stderr } = await harness({ columns: 80, rows: 24, env: { TERM: "xterm" } }).run("run", "quakes");
  expect(stderr).toContain("\u001b[?25l");
  expect(stderr).toContain("\u001b[2A\r\u001b[0J");
  expect(stderr.lastIndexOf("\u001b[?25h")).toBeGreaterThan(stderr.lastIndexOf("\u001b[?25l"));
});

test("Ctrl-C ends the watching only, says that the run goes on, exit code 130", async () => {
  states(sampleRun());
  const watching = harness({
    onPause: (pauses) => {
      if (pauses === 2) expect(watching.interrupt()).toBe(true);
    },
  });
  const { code, stdout, stderr } = await watching.run("run", "quakes");
  expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  expect(stderr).toContain(`The run goes on without you: ${sampleRunId}`);
  expect(stderr).toContain("trace task list --dag quakes");
  expect(watching.interrupt()).toBe(false);
});

test("--timeout ends the watching with a retryable error, exit code 4", async () => {
  states(sampleRun());
  const { code, stderr } = await harness().run("run", "quakes", "--timeout", "3s");
  expect(code).toBe(4);
  expect(stderr).toContain(`error TR-7009: run ${sampleRunId} did not end within 3.0 s`);
});

test("a dispatcher that is away for a moment is waited for", async () => {
  const away = new TraceError("TR-1009", { detail: "Postgres is away" });
  states(sampleRun(), away, away, completedRun());
  const { code, stderr } = await harness().run("run", "quakes");
  expect(code).toBe(0);
  expect(stderr).toContain("(TR-1009); the run goes on, trying again");
});

test("a wait of no time is not told in milliseconds", async () => {
  states(sampleRun(), new TraceError("TR-1009", { detail: "Postgres is away" }), completedRun());
  const { stderr } = await harness().run("run", "quakes");
  expect(stderr).toContain("! no answer (TR-1009); the run goes on, trying again");
});

test("on a terminal the block itself says that a call is waited for", async () => {
  states(sampleRun(), completedRun());
  const { stderr } = await harness({ columns: 80, rows: 24, env: { TERM: "xterm" }, passMs: 2_000 }).run(
    "run",
    "quakes",
  );
  expect(stderr).toContain(`! waiting for ${stack.url} ...`);
});

test("a dispatcher that is too busy to take the run is asked again when it says", async () => {
  let asked = 0;
  states(completedRun());
  stack.answers.run = async () => {
    asked += 1;
    if (asked < 3) throw new TraceError("TR-1015", { detail: "as many calls as it takes are waiting" });
    return completedRun();
  };
  let pauses = 0;
  const onPause = (number: number) => {
    pauses = number;
  };
  const { code } = await harness({ onPause }).run("run", "quakes");
  expect({ code, asked, pauses }).toEqual({ code: 0, asked: 3, pauses: 2 });
});

test("a dispatcher that stays away ends the watching, exit code 4", async () => {
  states(new TraceError("TR-1009", { detail: "Postgres is away" }));
  let pausedMs = 0;
  const count = () => {
    pausedMs += 500;
  };
  const { code } = await harness({ onPause: count }).run("run", "quakes");
  expect(code).toBe(4);
  expect(pausedMs).toBeGreaterThanOrEqual(runSilenceMsMax);
});

test("a refusal is not waited for", async () => {
  states(new TraceError("TR-1006", { detail: "there is no such run" }));
  expect((await harness().run("run", "quakes")).code).toBe(1);
});

test.each([
  [["quaks"], "TR-1006: there is no DAG 'quaks'", "did you mean 'quakes'? deployed: quakes"],
  [
    ["quakes", "--job", "ingest_quaks"],
    "TR-3010: there is no job 'ingest_quaks' in DAG 'quakes'",
    "did you mean 'ingest_quakes'?",
  ],
])("a run of %j gets the name that was meant", async (argv, what, fix) => {
  const code = argv.length === 1 ? "TR-1006" : "TR-3010";
  stack.answers.run = async () => {
    throw new TraceError(code, { detail: "not there" });
  };
  stack.answers.listDags = async () => ({ dags: [sampleDag()] });
  const outcome = await harness().run("run", ...argv);
  expect({ code: outcome.code, stdout: outcome.stdout }).toEqual({ code: 1, stdout: "" });
  expect(outcome.stderr).toContain(`error ${what}`);
  expect(outcome.stderr).toContain(`fix:   ${fix}`);
});

test("a refusal of a run that is about no name stays as it is", async () => {
  stack.answers.run = async () => {
    throw new TraceError("TR-3011", { detail: "one is live" });
  };
  expect((await harness().run("run", "quakes")).stderr).toContain("error TR-3011: one is live");
});

test("a dataset that many tasks committed to is told once, and what the newest commit changed is next", async () => {
  const commits = [4, 6, 5].map((commit) => ({ dataset: "quakes", generation: 1, commit }));
  stack.answers.run = async () => ({ ...completedRun(), commits });
  stack.answers.listDatasets = async () => ({ datasets: [sampleDataset({ head: 6 })] });
  const { code, stdout, stderr } = await harness().run("run", "quakes");
  expect(code).toBe(0);
  expect(stdout).toContain("  quakes   4 to 6  1,707  84 kB\n");
  expect(stdout.match(/quakes {2,}/g)).toHaveLength(1);
  expect(stderr).toContain("trace dataset diff quakes");
});
