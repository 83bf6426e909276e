import { expect, test } from "vitest";
import { firstToStart, type StartableJob } from "./starting.ts";

const job = (job_id: number, tasks: StartableJob["tasks"], parts: Partial<StartableJob> = {}): StartableJob => ({
  job_id,
  org_id: 1,
  dag_version_id: 1,
  queue_id: 1,
  failures_max: 1,
  timeout_ms: 1,
  limited: false,
  ancestors: [],
  key_ancestors: [],
  tasks,
  ...parts,
});
const started = (jobs: readonly StartableJob[]) =>
  firstToStart(jobs).flatMap((one) => one.tasks.map(([partition]) => `${one.job_id}${partition}`));

test("what is downstream, in the same run, of something that starts as well waits for it", () => {
  expect(started([job(1, [["", 7]]), job(2, [["", 7]], { ancestors: [1] })])).toEqual(["1"]);
});

test("what is of another run, or of none, does not wait", () => {
  expect(started([job(1, [["", 7]]), job(2, [["", 8]], { ancestors: [1] })])).toEqual(["1", "2"]);
  expect(started([job(1, [["", null]]), job(2, [["", null]], { ancestors: [1] })])).toEqual(["1", "2"]);
});

test("what is downstream of nothing that starts does not wait", () => {
  expect(started([job(1, [["", 7]]), job(2, [["", 7]], { ancestors: [3] })])).toEqual(["1", "2"]);
});

test("of an ancestor by key, a partition waits for the same one alone; of another ancestor for all", () => {
  const parts: StartableJob["tasks"] = [
    ["a", 7],
    ["b", 7],
  ];
  const above = job(1, [["a", 7]]);
  expect(started([above, job(2, parts, { ancestors: [1], key_ancestors: [1] })])).toEqual(["1a", "2b"]);
  expect(started([above, job(2, parts, { ancestors: [1] })])).toEqual(["1a"]);
});
