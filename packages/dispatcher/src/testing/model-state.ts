/** All of Postgres beside all of the model: each task in exactly one place, with the model's counts, slots, history and wake-ups. */
import assert from "node:assert/strict";
import type { Database } from "@trace/kit";
import { type JobName, jobRules, type Model, type ModelTask, type Past } from "./model.ts";

interface TaskRow {
  readonly id: string;
  readonly job: JobName;
  readonly priority: number;
  /** Each place its row is in; more than one, or none, is a defect. */
  readonly places: string[];
  readonly attempt: number;
  readonly failures: number;
  readonly losses: number;
  readonly code: string | null;
  /** Until its time; null unless queued. */
  readonly wait_ms: number | null;
  readonly slot: boolean;
  readonly output: boolean;
  readonly token: string | null;
  readonly history: Past[];
}

interface State {
  readonly tasks: TaskRow[];
  /** Rows of each table, tasks that the first list does not know among them. */
  readonly rows: Record<string, number>;
  readonly heads: Record<string, number>;
  readonly unread: [job: string, commit: number][];
  readonly audit: [action: string, ids: string[]][];
  readonly wakeups: { ids: string[]; wait_ms: number }[];
  readonly outbox: number;
}

const question = `
select json_build_object(
  'tasks', (select coalesce(json_agg(json_build_object(
      'id', t.public_id, 'job', j.name, 'priority', t.priority,
      'places', array_remove(array[case when r.task_id is not null then 'ready' end, case when w.task_id is not null then 'waiting' end,
                                   case when l.task_id is not null then 'leased' end, o.state], null),
      'attempt', coalesce(r.attempt, w.attempt, l.attempt, o.attempt), 'failures', coalesce(r.failures, w.failures, l.failures, o.failures),
      'losses', coalesce(r.lease_losses, w.lease_losses, l.lease_losses, o.lease_losses), 'code', o.error ->> 'code',
      'wait_ms', extract(epoch from coalesce(r.run_at, w.run_at) - clock_timestamp()) * 1000,
      'slot', s.task_id is not null, 'output', lo.task_id is not null,
      'token', translate(encode(l.token, 'base64'), '+/=', '-_'),
      'history', (select coalesce(json_agg(json_build_array(a.attempt, a.state, a.error ->> 'code') order by a.lease_no), '[]'::json)
                    from (select lease_no, attempt, state, error from attempts where task_id = t.task_id
                          union all select lease_no, attempt, 'succeeded', null from outcomes where task_id = t.task_id and token is not null) a))), '[]'::json)
     from tasks t join jobs j on j.job_id = t.job_id
     left join ready r on r.task_id = t.task_id left join waiting w on w.task_id = t.task_id left join leases l on l.task_id = t.task_id
     left join outcomes o on o.task_id = t.task_id left join job_slots s on s.task_id = t.task_id left join live_outputs lo on lo.task_id = t.task_id),
  'rows', json_build_object('ready', (select count(*) from ready), 'waiting', (select count(*) from waiting), 'leases', (select count(*) from leases),
     'outcomes', (select count(*) from outcomes), 'job_slots', (select count(*) from job_slots), 'live_outputs', (select count(*) from live_outputs),
     'attempts', (select count(*) from attempts) + (select count(*) from outcomes where token is not null), 'task_keys', (select count(*) from task_keys), 'commits', (select count(*) from commits)),
  'heads', (select json_object_agg(d.name, g.head_commit) from datasets d join generations g on g.generation_id = d.current_generation_id),
  'unread', (select coalesce(json_agg(json_build_array(j.name, i.commit_no)), '[]'::json) from invalidations i join jobs j on j.job_id = i.job_id),
  'audit', (select coalesce(json_agg(json_build_array(action, (select array_agg(id order by id) from unnest(task_ids) as id)) order by audit_id), '[]'::json) from audit_log),
  'wakeups', (select coalesce(json_agg(json_build_object('ids', task_ids, 'wait_ms', extract(epoch from due_at - clock_timestamp()) * 1000)), '[]'::json)
                from outbox where outbox_id > $1),
  'outbox', (select coalesce(max(outbox_id), 0) from outbox)
) as state`;

/** A wake-up that is sent at once is due within this; a later one is due when its task is. */
const soonMs = 1_000;
/** Between the call and this question. A backoff is 30 s at least, so that nothing is mistaken for anything else. */
const slackMs = 15_000;

/** Answers with where the outbox ends now, to tell the next call's wake-ups from these. */
export async function agree(db: Database, model: Model, outboxBefore: number): Promise<number> {
  const [row] = await db.raw<{ state: State }>(question, [outboxBefore]);
  assert.ok(row);
  const { state } = row;
  adopt(model, state);
  for (const task of state.tasks) compareTask(model, task);
  const held = (...places: ModelTask["place"][]) => model.all(...places).length;
  assert.equal(state.tasks.length, model.tasks.size, "tasks");
  assert.deepEqual(state.rows, {
    ready: held("ready"),
    waiting: held("waiting"),
    leases: model.leases.length,
    outcomes: held("completed", "canceled", "dead"),
    job_slots: model.all("ready", "leased").filter((task) => jobRules[task.job].limited).length,
    live_outputs: model.all("ready", "waiting", "leased").filter((task) => jobRules[task.job].writes).length,
    attempts: [...model.tasks.values()].reduce((sum, task) => sum + task.history.length, 0),
    task_keys: model.keys.size,
    commits: model.heads.ds_x + model.heads.ds_y,
  });
  assert.deepEqual(state.heads, model.heads);
  assert.deepEqual(state.unread, model.unread === undefined ? [] : [["derive", model.unread]]);
  assert.deepEqual(state.audit, model.audit);
  compareWakeups(model, state);
  if (model.delayed.size > 0) await freeze(db);
  return state.outbox;
}

/** What is put off comes due when a test says so, however long the test takes. */
async function freeze(db: Database): Promise<void> {
  for (const table of ["ready", "waiting"]) {
    await db.raw(`update ${table} set run_at = '2999-01-01' where run_at > clock_timestamp()`);
  }
}

/** All that was put off comes due at one moment. */
export async function makeAllDue(db: Database): Promise<void> {
  for (const table of ["ready", "waiting"]) await db.raw(`update ${table} set run_at = now() where run_at > now()`);
}

/** What only Postgres knows: the id of a task that a commit started, and which of equals got a slot. */
function adopt(model: Model, { tasks }: State): void {
  const unknown = tasks.filter((task) => !model.tasks.has(task.id));
  assert.deepEqual(
    unknown.map((task) => task.job),
    model.started ? ["derive"] : [],
    "tasks that a commit started",
  );
  for (const { id, job } of unknown) model.queue(model.addTask(id, job, 0, undefined), model.now);
  const places = new Map(tasks.map((task) => [task.id, task.places]));
  for (const job of model.admitting) {
    const waiting = model.all("waiting").filter((task) => task.job === job);
    model.admit(
      job,
      waiting.filter((task) => places.get(task.id)?.includes("ready")),
    );
  }
}

function compareTask(model: Model, row: TaskRow): void {
  const task = model.get(row.id);
  const queued = task.place === "ready" || task.place === "waiting";
  const { wait_ms, ...rest } = row;
  assert.deepEqual(rest, {
    id: task.id,
    job: task.job,
    priority: task.priority,
    places: [task.place],
    attempt: task.attempt,
    failures: task.failures,
    losses: task.losses,
    code: task.code,
    slot: jobRules[task.job].limited && (task.place === "ready" || task.place === "leased"),
    output: jobRules[task.job].writes !== undefined && (queued || task.place === "leased"),
    token: model.leases.find((lease) => lease.task === task)?.token ?? null,
    history: task.history,
  });
  assert.equal(wait_ms !== null, queued);
  if (wait_ms === null) return;
  const late = task.due === Number.POSITIVE_INFINITY;
  assert.equal(wait_ms > 0, late, `task ${task.id} is due in ${wait_ms} ms`);
  if (!model.delayed.has(task.id)) return;
  const { delayMs } = task;
  assert.ok(
    wait_ms > delayMs - slackMs && wait_ms < delayMs + soonMs,
    `task ${task.id} waits ${wait_ms} of ${delayMs} ms`,
  );
}

/** Whatever became ready was spoken of by the same transaction, for when it is due. */
function compareWakeups(model: Model, { wakeups }: State): void {
  const due = new Map(wakeups.flatMap(({ ids, wait_ms }) => ids.map((id) => [id, wait_ms] as const)));
  assert.deepEqual([...due.keys()].sort(), [...model.readied].sort(), "wake-ups");
  for (const [id, waitMs] of due) {
    assert.equal(waitMs > soonMs, model.get(id).due === Number.POSITIVE_INFINITY, `${id} is spoken of in ${waitMs} ms`);
  }
}
