/**
 * Every route of the dispatcher, by listener. The three listeners are separate servers: a token of one opens nothing on
 * another, and what faces users never shares a port with what faces workers.
 */
import { z } from "zod";
import { commitSchema, datasetSchema, partitionKeySchema, resolvedDatasetSchema } from "./dataset.ts";
import { datasetRoutes } from "./dataset-routes.ts";
import { dagErrors } from "./errors/dag.ts";
import { errorRecordSchema } from "./errors/index.ts";
import { batchItemsMax, dagSourceBytesMax, failedOutboxMax, pageRowsDefault, pageRowsMax } from "./limits.ts";
import { leaseNoSchema, leaseTokenSchema, nameSchema, timeSchema, uuidSchema } from "./names.ts";
import { failedOutboxAnswerSchema, outboxIdsSchema, requeueOutboxAnswerSchema } from "./outbox.ts";
import { dagPlanSchema } from "./plan.ts";
import { defineRoutes } from "./route.ts";
import { dagSchema, deployAnswerSchema, runSchema } from "./run.ts";
import {
  attemptSchema,
  claimAnswerSchema,
  claimedTaskSchema,
  claimSchema,
  completionAnswerSchema,
  completionSchema,
  createTaskAnswerSchema,
  createTaskSchema,
  heartbeatAnswerSchema,
  heartbeatSchema,
  openSessionSchema,
  progressSchema,
  sessionSchema,
  startSchema,
  taskActionAnswerSchema,
  taskIdsSchema,
  taskSchema,
  taskStateSchema,
} from "./task.ts";

/** Anything that can be wrong with a DAG file. */
const dagCodes = Object.keys(dagErrors) as (keyof typeof dagErrors)[];

function items<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item).min(1).max(batchItemsMax) });
}

const nothing = z.object({});

export const stagingKeysSchema = z
  .object({
    /** Of the attempt's staging prefixes, those that these keys open. */
    prefixes: z.array(z.string()).min(1),
    access_key_id: z.string(),
    /** A secret, as is the token: never logged. */
    secret_access_key: z.string(),
    session_token: z.string(),
    expires_at: timeSchema,
  })
  .meta({ id: "StagingKeys" });
export type StagingKeys = z.infer<typeof stagingKeysSchema>;

/** Each of the attempt's staging prefixes is opened by one of these. */
export const stagingCredentialsSchema = z
  .object({ keys: z.array(stagingKeysSchema).min(1) })
  .meta({ id: "StagingCredentials" });
export type StagingCredentials = z.infer<typeof stagingCredentialsSchema>;

const pageQuery = {
  limit: z.coerce.number().int().min(1).max(pageRowsMax).default(pageRowsDefault),
  /** `next` of the page before. */
  cursor: z.string().max(200).optional(),
};

export const queueStatusSchema = z
  .object({
    queue: nameSchema,
    ready: z.int(),
    leased: z.int(),
    oldest_ready_ms: z.number().nullable(),
  })
  .meta({ id: "QueueStatus" });

export const logLineSchema = z.object({
  time: timeSchema,
  level: z.enum(["debug", "info", "warn", "error"]),
  message: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

export const taskDetailSchema = taskSchema.extend({ attempts: z.array(attemptSchema) }).meta({ id: "TaskDetail" });
export type TaskDetail = z.infer<typeof taskDetailSchema>;

/** Lines of one attempt's log that were not there before. */
export const logEventSchema = z
  .object({
    attempt: z.int(),
    lease_no: leaseNoSchema,
    /** Lines before these that are lost: the log grew past its bound. */
    dropped: z.int(),
    lines: z.array(logLineSchema),
  })
  .meta({ id: "LogEvent" });
export type LogEvent = z.infer<typeof logEventSchema>;

/** The task as the stream leaves it; still queued or running where one attempt alone was watched. */
export const watchEndSchema = z.object({ state: taskStateSchema });

const attemptQuery = z.object({ attempt: z.coerce.number().int().min(1).optional() });

export const userRoutes = defineRoutes({
  deploy: {
    method: "POST",
    path: "/v1/dags",
    auth: "user",
    summary: "Deploy a DAG file",
    description: "Checks the file, stores it as a version named by the hash of its content, and makes it current.",
    body: z.object({ file_name: z.string().max(255), source: z.string().max(dagSourceBytesMax) }),
    answer: deployAnswerSchema,
    errors: [...dagCodes, "TR-4010", "TR-4011", "TR-4030", "TR-4032"],
  },
  listDags: {
    method: "GET",
    path: "/v1/dags",
    auth: "user",
    summary: "List DAGs at their current version",
    answer: z.object({ dags: z.array(dagSchema) }),
    errors: [],
  },
  planDag: {
    method: "POST",
    path: "/v1/dags/plan",
    auth: "user",
    summary: "Tell what deploying a DAG file would do",
    description:
      "Does all of a deploy in a transaction and takes it back: jobs and datasets that change, generations that would be made, and the tasks that would start. Nothing is written. A file that a deploy would refuse is refused with the same errors.",
    body: z.object({ file_name: z.string().max(255), source: z.string().max(dagSourceBytesMax) }),
    answer: dagPlanSchema,
    errors: [...dagCodes, "TR-4010", "TR-4011", "TR-4030", "TR-4032"],
  },
  run: {
    method: "POST",
    path: "/v1/dags/:dag/runs",
    auth: "user",
    summary: "Run a DAG now",
    description:
      "Creates a task for each job that reads nothing another job of the DAG writes, or one for each of its partitions. The others start as what they read is committed.",
    params: z.object({ dag: nameSchema }),
    body: z.object({
      jobs: z.array(nameSchema).max(1_000).optional(),
      /** Only these partitions of the jobs, which must all have them. */
      partitions: z.array(partitionKeySchema).min(1).max(batchItemsMax).optional(),
    }),
    answer: runSchema,
    errors: ["TR-1006", "TR-3010", "TR-3011", "TR-3017", "TR-3018"],
  },
  getRun: {
    method: "GET",
    path: "/v1/runs/:run_id",
    auth: "user",
    summary: "Show a run with its tasks and commits",
    params: z.object({ run_id: uuidSchema }),
    answer: runSchema,
    errors: ["TR-1006"],
  },
  createTasks: {
    method: "POST",
    path: "/v1/tasks",
    auth: "user",
    summary: "Create tasks",
    description: "Each item has its own answer; a bad item does not stop the good ones.",
    body: items(createTaskSchema),
    answer: items(createTaskAnswerSchema),
    errors: ["TR-3010", "TR-1015"],
  },
  listTasks: {
    method: "GET",
    path: "/v1/tasks",
    auth: "user",
    summary: "List tasks, newest first",
    query: z.object({
      state: taskStateSchema.optional(),
      dag: nameSchema.optional(),
      job: nameSchema.optional(),
      ...pageQuery,
    }),
    answer: z.object({ tasks: z.array(taskSchema), next: z.string().nullable() }),
    errors: [],
  },
  cancelTasks: {
    method: "POST",
    path: "/v1/tasks/cancel",
    auth: "user",
    summary: "Cancel tasks that are queued or running",
    description:
      "A running attempt loses its lease at once: nothing it does counts any more, and its worker aborts it with the next heartbeat.",
    body: taskIdsSchema,
    answer: items(taskActionAnswerSchema),
    errors: [],
  },
  retryTasks: {
    method: "POST",
    path: "/v1/tasks/retry",
    auth: "user",
    summary: "Run queued tasks now instead of when they are due",
    body: taskIdsSchema,
    answer: items(taskActionAnswerSchema),
    errors: [],
  },
  replayTasks: {
    method: "POST",
    path: "/v1/tasks/replay",
    auth: "user",
    summary: "Run tasks again that are dead or canceled",
    description:
      "The task itself is queued again, with its counts of failures and lost leases at zero. Its attempts and their errors stay; attempt numbers go on.",
    body: taskIdsSchema,
    answer: items(taskActionAnswerSchema),
    errors: [],
  },
  getTask: {
    method: "GET",
    path: "/v1/tasks/:task_id",
    auth: "user",
    summary: "Show a task with every attempt",
    params: z.object({ task_id: uuidSchema }),
    answer: taskDetailSchema,
    errors: ["TR-1006"],
  },
  watchTask: {
    method: "GET",
    path: "/v1/tasks/:task_id/events",
    auth: "user",
    summary: "Watch a task to its end: state, progress and log as they change",
    description:
      "Begins with the task as it is and with the log of its newest attempt from its first line; later attempts follow. With `attempt`, the log of that attempt alone, up to its end. Each line comes once, also when the stream is taken up again with Last-Event-ID.",
    params: z.object({ task_id: uuidSchema }),
    query: attemptQuery,
    events: { task: taskDetailSchema, log: logEventSchema, end: watchEndSchema },
    errors: ["TR-1006", "TR-4006"],
  },
  getTaskLogs: {
    method: "GET",
    path: "/v1/tasks/:task_id/logs",
    auth: "user",
    summary: "Show the log of one attempt",
    params: z.object({ task_id: uuidSchema }),
    query: attemptQuery,
    answer: z.object({
      attempt: z.int().nullable(),
      state: z.string().nullable(),
      lines: z.array(logLineSchema),
      /** Lines dropped from the front, because the log grew past its bound. */
      dropped: z.int(),
    }),
    errors: ["TR-1006", "TR-4006"],
  },
  listDatasets: {
    method: "GET",
    path: "/v1/datasets",
    auth: "user",
    summary: "List datasets at their head",
    answer: z.object({ datasets: z.array(datasetSchema) }),
    errors: [],
  },
  getDataset: {
    method: "GET",
    path: "/v1/datasets/:name",
    auth: "user",
    summary: "Show a dataset with its newest commits",
    params: z.object({ name: nameSchema }),
    answer: datasetSchema.extend({ commits: z.array(commitSchema) }),
    errors: ["TR-1006"],
  },
  ...datasetRoutes,
  listFailedOutbox: {
    method: "GET",
    path: "/v1/outbox/failed",
    auth: "user",
    summary: "List outbox messages that were given up, newest first",
    description: "Wake-ups and events that their destination refused too often. They are kept for 30 days.",
    query: z.object({ limit: z.coerce.number().int().min(1).max(failedOutboxMax).default(pageRowsDefault) }),
    answer: failedOutboxAnswerSchema,
    errors: [],
  },
  requeueOutbox: {
    method: "POST",
    path: "/v1/outbox/requeue",
    auth: "user",
    summary: "Send outbox messages again that were given up",
    description: "Each goes back to its lane under a new id, with all tries before it, and is sent at once.",
    body: outboxIdsSchema,
    answer: items(requeueOutboxAnswerSchema),
    errors: [],
  },
  getSystem: {
    method: "GET",
    path: "/v1/system",
    auth: "user",
    summary: "Show versions, queues, workers and the outbox",
    answer: z.object({
      version: z.string(),
      schema_version: z.int(),
      installation: z.string(),
      queues: z.array(queueStatusSchema),
      workers: z.array(z.object({ worker: z.string(), host: z.string(), leases: z.int(), started_at: timeSchema })),
      outbox: z.object({ pending: z.int(), oldest_ms: z.number().nullable(), failed: z.int() }),
    }),
    errors: [],
  },
});

export const workerRoutes = defineRoutes({
  openSession: {
    method: "POST",
    path: "/v1/sessions",
    auth: "worker",
    summary: "Open a worker session",
    body: openSessionSchema,
    answer: sessionSchema,
    errors: [],
  },
  heartbeat: {
    method: "POST",
    path: "/v1/sessions/:session_id/heartbeat",
    auth: "worker",
    summary: "Keep a session and its leases alive",
    params: z.object({ session_id: uuidSchema }),
    body: heartbeatSchema,
    answer: heartbeatAnswerSchema,
    errors: ["TR-3002"],
  },
  closeSession: {
    method: "DELETE",
    path: "/v1/sessions/:session_id",
    auth: "worker",
    summary: "Close a session; leases it still holds are requeued at once",
    params: z.object({ session_id: uuidSchema }),
    answer: nothing,
    errors: [],
  },
  claim: {
    method: "POST",
    path: "/v1/claims",
    auth: "worker",
    summary: "Claim tasks: those named first, then the next ones of the queue",
    body: claimSchema,
    answer: claimAnswerSchema,
    errors: ["TR-1006", "TR-3002"],
  },
  release: {
    method: "POST",
    path: "/v1/releases",
    auth: "worker",
    summary: "Hand back tasks that were claimed and not started",
    body: items(z.object({ lease_token: leaseTokenSchema })),
    answer: items(z.object({ accepted: z.boolean(), error: errorRecordSchema.optional() })),
    errors: [],
  },
  start: {
    method: "POST",
    path: "/v1/starts",
    auth: "worker",
    summary: "Bind claimed attempts to the invocation that runs them",
    description:
      "For attempts that are handed on to be run elsewhere, where a message may arrive twice. The first nonce wins; the same nonce again is accepted again; another one is refused with TR-3013. The time limit of the attempt begins anew.",
    body: items(startSchema),
    answer: items(z.object({ accepted: z.boolean(), error: errorRecordSchema.optional() })),
    errors: [],
  },
  complete: {
    method: "POST",
    path: "/v1/completions",
    auth: "worker",
    summary: "End attempts: success with staged outputs, failure, or snooze",
    description:
      "Fenced by the lease token. The same token with the same body answers the same again; with another body it answers TR-3003; a token that is not the last one answers TR-3001 and changes nothing.",
    body: items(completionSchema),
    answer: items(completionAnswerSchema),
    errors: [],
  },
});

export const taskRoutes = defineRoutes({
  describe: {
    method: "GET",
    path: "/v1/task",
    auth: "task",
    summary: "Describe the attempt that the lease token belongs to",
    answer: claimedTaskSchema.omit({ lease_token: true }),
    errors: ["TR-3001"],
  },
  resolveInputs: {
    method: "GET",
    path: "/v1/task/inputs",
    auth: "task",
    summary: "Name the files of the attempt's pinned inputs",
    answer: z.object({ datasets: z.array(resolvedDatasetSchema) }),
    errors: ["TR-3001", "TR-4026", "TR-4031"],
  },
  createCredentials: {
    method: "POST",
    path: "/v1/task/credentials",
    auth: "task",
    summary: "Give the attempt keys of its own to the object store",
    description:
      "They open the attempt's staging prefixes for writing and nothing else, and end 15 minutes after the attempt's deadline at the latest. An attempt with many outputs gets several sets of keys, each for some of its prefixes: one policy names about twenty. Asked again, the same are given as long as they are good for a while. Where no token service is configured the call is refused with TR-4029, and the attempt uses its worker's key.",
    body: nothing,
    answer: stagingCredentialsSchema,
    errors: ["TR-3001", "TR-4006", "TR-4008", "TR-4029"],
  },
  reportProgress: {
    method: "POST",
    path: "/v1/task/progress",
    auth: "task",
    summary: "Say how far the attempt is",
    body: progressSchema,
    answer: nothing,
    errors: ["TR-3001"],
  },
});

export const dispatcherRoutes = { user: userRoutes, worker: workerRoutes, task: taskRoutes } as const;
