/** Objects of the API with believable values, for tests. */
import type {
  Commit,
  Dataset,
  DatasetDiff,
  HistoryCommit,
  Lineage,
  Pin,
  RouteAnswer,
  Run,
  Task,
  userRoutes,
} from "@trace/contracts";

type Dag = RouteAnswer<(typeof userRoutes)["listDags"]>["dags"][number];

export const sampleNowMs = Date.parse("2026-11-23T08:00:10.000Z");
export const sampleRunId = "0198c0de-0000-7000-8000-0000000000aa";
const version = "ab".repeat(32);

export function sampleTask(changes: Partial<Task> = {}): Task {
  return {
    task_id: "0198c0de-0000-7000-8000-3f9ac01b22d4",
    dag: "quakes",
    job: "ingest_quakes",
    operator: "ingest",
    queue: "default",
    state: "running",
    attempt: 1,
    failures: 0,
    failures_max: 3,
    lease_losses: 0,
    priority: 0,
    run_at: null,
    waiting_for: null,
    created_at: "2026-11-23T08:00:00.000Z",
    started_at: "2026-11-23T08:00:08.000Z",
    ended_at: null,
    worker: "worker-1",
    progress: { message: "reading", done: 1200, total: 1707, unit: "rows" },
    error: null,
    commits: [],
    ...changes,
  };
}

export function queuedTask(changes: Partial<Task> = {}): Task {
  return sampleTask({
    state: "queued",
    attempt: 0,
    started_at: null,
    worker: null,
    progress: null,
    waiting_for: "worker",
    ...changes,
  });
}

export function completedTask(changes: Partial<Task> = {}): Task {
  return sampleTask({
    state: "completed",
    ended_at: "2026-11-23T08:00:10.000Z",
    progress: null,
    commits: [{ dataset: "quakes", generation: 1, commit: 3 }],
    ...changes,
  });
}

export function deadTask(changes: Partial<Task> = {}): Task {
  return sampleTask({
    state: "dead",
    attempt: 3,
    failures: 3,
    ended_at: "2026-11-23T08:00:10.000Z",
    progress: null,
    error: {
      code: "TR-5001",
      detail: "the file /data/quakes.json cannot be read",
      where: "job ingest_quakes",
      why: "there is no such file",
      fix: "check the path in the DAG file",
    },
    ...changes,
  });
}

export function sampleRun(changes: Partial<Run> = {}): Run {
  return {
    run_id: sampleRunId,
    dag: "quakes",
    version,
    state: "running",
    created_at: "2026-11-23T08:00:00.000Z",
    ended_at: null,
    tasks: [sampleTask()],
    waiting: ["by_region"],
    commits: [],
    ...changes,
  };
}

export function completedRun(): Run {
  return sampleRun({
    state: "completed",
    ended_at: "2026-11-23T08:00:10.000Z",
    tasks: [completedTask()],
    waiting: [],
    commits: [{ dataset: "quakes", generation: 1, commit: 3 }],
  });
}

export function failedRun(): Run {
  return sampleRun({
    state: "failed",
    ended_at: "2026-11-23T08:00:10.000Z",
    tasks: [deadTask()],
    waiting: ["by_region"],
  });
}

export function sampleDag(): Dag {
  return {
    dag: "quakes",
    description: null,
    version,
    number: 1,
    deployed_at: "2026-11-23T07:00:00.000Z",
    jobs: [
      {
        name: "ingest_quakes",
        operator: "noop",
        config: { duration_ms: 10 },
        inputs: [],
        outputs: [],
        execution: "whole",
        retries: 2,
        timeout_ms: 60_000,
        max_concurrency: 2,
      },
    ],
  };
}

export function sampleDataset(changes: Partial<Dataset> = {}): Dataset {
  return {
    dataset_id: "0198c0de-0000-7000-8000-0000000000dd",
    name: "quakes",
    generation: 1,
    head: 3,
    committed_at: "2026-11-23T08:00:10.000Z",
    rows: 1707,
    bytes: 84_211,
    files: 1,
    schema: [
      { name: "time", type: "TIMESTAMP WITH TIME ZONE" },
      { name: "magnitude", type: "DOUBLE" },
      { name: "place", type: "VARCHAR" },
    ],
    producer: { dag: "quakes", job: "ingest_quakes" },
    ...changes,
  };
}

export function sampleCommit(changes: Partial<Commit> = {}): Commit {
  return {
    commit: 3,
    generation: 1,
    kind: "replace",
    committed_at: "2026-11-23T08:00:10.000Z",
    partitions: 0,
    append_key: null,
    reverted_to: null,
    actor: null,
    reason: null,
    purged_at: null,
    rows: 1707,
    bytes: 84_211,
    files: 1,
    task_id: "0198c0de-0000-7000-8000-3f9ac01b22d4",
    lease_no: 7,
    dag_version: version,
    inputs: [],
    ...changes,
  };
}

export function historyCommit(changes: Partial<HistoryCommit> = {}): HistoryCommit {
  return {
    ...sampleCommit(),
    rows_delta: 96,
    bytes_delta: 4_211,
    producer: { dag: "quakes", job: "ingest_quakes" },
    ...changes,
  };
}

export function sampleDiff(changes: Partial<DatasetDiff> = {}): DatasetDiff {
  const { schema } = sampleDataset();
  const side = { dataset: "quakes", generation: 1, schema };
  return {
    dataset: "quakes",
    from: { ...side, commit: 2, committed_at: "2026-11-23T06:00:10.000Z", rows: 1_611, bytes: 80_000, files: 1 },
    to: { ...side, commit: 3, committed_at: "2026-11-23T08:00:10.000Z", rows: 1_707, bytes: 84_211, files: 1 },
    partitions: [
      {
        partition: "",
        before: { rows: 1_611, bytes: 80_000, files: 1 },
        after: { rows: 1_707, bytes: 84_211, files: 1 },
      },
    ],
    partitions_changed: 1,
    partitions_unchanged: 0,
    ...changes,
  };
}

export function partitionedDiff(): DatasetDiff {
  const extent = (rows: number) => ({ rows, bytes: rows * 4, files: 1 });
  return sampleDiff({
    dataset: "flights",
    partitions: [
      { partition: "2000-12", before: extent(400_000), after: null },
      { partition: "2001-03", before: extent(500_000), after: extent(500_120) },
      { partition: "2001-07", before: null, after: extent(600_000) },
    ],
    partitions_changed: 3,
    partitions_unchanged: 5,
  });
}

export function sampleLineage(): Lineage {
  const task = {
    task_id: "0198c0de-0000-7000-8000-3f9ac01b22d4",
    attempt: 1,
    dag: "quakes",
    dag_version: version,
    dag_number: 3,
  };
  const quakes = { dataset: "quakes", generation: 1, commit: 12 };
  const root = { dataset: "by_region", generation: 1, commit: 9 };
  const committed_at = "2026-11-23T08:00:10.000Z";
  return {
    root,
    nodes: [
      {
        ...root,
        kind: "replace",
        committed_at,
        rows: 12,
        actor: null,
        task: { ...task, job: "by_region" },
        inputs: [quakes, { dataset: "regions", generation: 1, commit: 1 }],
      },
      { ...quakes, kind: "revert", committed_at, rows: 1_707, actor: "owner", task: null, inputs: [] },
    ],
    readers: [
      {
        dataset: "daily",
        generation: 1,
        commit: 4,
        kind: "append",
        committed_at,
        rows: 1,
        actor: null,
        task: { ...task, attempt: 2, job: "daily" },
        inputs: [root],
      },
    ],
    more: false,
  };
}

export function samplePin(changes: Partial<Pin> = {}): Pin {
  return {
    pin_id: "0198c0de-0000-7000-8000-0000000000f1",
    dataset: "quakes",
    generation: 1,
    commit: 3,
    holder: "report of May",
    created_at: "2026-11-23T07:00:10.000Z",
    expires_at: null,
    ...changes,
  };
}

export function sampleSystem(): RouteAnswer<(typeof userRoutes)["getSystem"]> {
  return {
    version: "0.1.0",
    schema_version: 5,
    installation: "abc",
    queues: [{ queue: "default", ready: 2, leased: 1, oldest_ready_ms: 10 }],
    workers: [{ worker: "worker-1", host: "here", leases: 0, started_at: "2026-11-23T08:00:00.000Z" }],
    outbox: { pending: 0, oldest_ms: null, failed: 0 },
  };
}
