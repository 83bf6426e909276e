/** An answer of the fake stack for every route that a command calls. */
import type { Task } from "@trace/contracts";
import type { FakeStack } from "./fake-stack.ts";
import {
  completedRun,
  completedTask,
  historyCommit,
  sampleCommit,
  sampleDag,
  sampleDataset,
  sampleDiff,
  sampleLineage,
  samplePin,
  sampleSystem,
} from "./samples.ts";

function answerTasks({ answers }: FakeStack): void {
  const task: Task = completedTask();
  const acted = { items: [{ task_id: task.task_id, accepted: true, state: "queued" as const }] };
  const line = { time: "2026-11-23T08:00:01.250Z", level: "info" as const, message: "reading" };
  answers.listTasks = async () => ({ tasks: [task], next: null });
  answers.getTask = async () => ({ ...task, attempts: [] });
  answers.getTaskLogs = async () => ({ attempt: 1, state: "succeeded", lines: [line], dropped: 0 });
  answers.watchTask = async function* () {
    yield { event: "task" as const, data: { ...task, attempts: [] } };
    yield { event: "log" as const, data: { attempt: 1, lease_no: 7, dropped: 0, lines: [line] } };
    yield { event: "end" as const, data: { state: "completed" as const } };
  };
  answers.createTasks = async () => ({ items: [{ task_id: task.task_id, created: true }] });
  answers.cancelTasks = async () => acted;
  answers.retryTasks = async () => acted;
  answers.replayTasks = async () => acted;
}

function answerDatasets(stack: FakeStack): void {
  const { answers } = stack;
  const ref = { dataset: "quakes", generation: 1, commit: 3 };
  answers.listDatasets = async () => ({ datasets: [sampleDataset()] });
  answers.getDataset = async () => ({ ...sampleDataset(), commits: [sampleCommit()] });
  answers.listCommits = async () => ({ commits: [historyCommit()], next: null });
  answers.diffDataset = async () => sampleDiff();
  answers.getLineage = async () => sampleLineage();
  answers.listPartitions = async () => ({
    ...ref,
    partitions: [],
    partitions_total: 0,
    missing: ["2001-03"],
    next: null,
  });
  answers.repairPartitions = async ({ body }) => {
    const partition = "2001-03";
    const tasks = body.dry_run ? [] : [{ partition, task_id: completedTask().task_id }];
    return { dataset: "quakes", missing: [partition], tasks, dry_run: body.dry_run };
  };
  answers.revertDataset = async () => sampleCommit({ kind: "revert", reverted_to: 2, task_id: null });
  answers.purgeDataset = async ({ body }) => ({
    dataset: "quakes",
    generation: 1,
    before: body.before,
    commits: 1,
    kept: 0,
    files: 1,
    bytes: 84_211,
    dry_run: body.dry_run,
  });
  answers.createPin = async () => samplePin();
  answers.listPins = async () => ({ pins: [samplePin()] });
  answers.deletePin = async () => ({});
  answers.resolveDatasets = async ({ body }) => {
    const { schema } = sampleDataset();
    const asked = body.datasets ?? (body.names ?? []).map((dataset) => ({ dataset, version: 3 }));
    return {
      datasets: asked.map(({ dataset, version = 3 }) => {
        const files = [stack.addObject(`${dataset}/${version}.parquet`, Buffer.from(`commit ${version}`))];
        return { dataset, generation: 1, commit: version, committed_at: null, schema, files };
      }),
    };
  };
}

export function answerEverything(stack: FakeStack): void {
  const { answers } = stack;
  const dag = sampleDag();
  answerTasks(stack);
  answerDatasets(stack);
  answers.deploy = async () => {
    const { version, number } = dag;
    return { dag: "quakes", version, number, changed: true, jobs: ["ingest_quakes"], datasets: ["quakes"] };
  };
  answers.listDags = async () => ({ dags: [dag] });
  answers.run = async () => completedRun();
  answers.getRun = async () => completedRun();
  answers.getSystem = async () => sampleSystem();
  answers.listFailedOutbox = async () => ({
    messages: [
      {
        outbox_id: 7,
        lane: "sqs",
        queue: "default",
        entries: 1,
        event_types: [],
        tries: 20,
        last_error: "InvalidMessageContents: no",
        last_tried_at: "2026-11-23T08:00:00.000Z",
      },
    ],
    more: false,
  });
  answers.requeueOutbox = async () => ({ items: [{ outbox_id: 7, accepted: true }] });
}
