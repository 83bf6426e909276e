/** All that the benchmark knows of the dispatcher's tables. A reader of its own: it shares no code with what it checks. */
import type { Database } from "@trace/kit";

/** Rows that come and go with the work: they must not grow with the tasks ever run. */
export const hotTables = ["ready", "leases", "outbox", "sessions"] as const;
/** Rows that stay: they grow with the tasks ever run. */
export const historyTables = ["tasks", "outcomes", "attempts"] as const;

/** Takes every task and all that belongs to it away. Nothing may be at work. */
export async function emptyState(db: Database): Promise<void> {
  await db.raw(`truncate ${[...historyTables, "ready", "leases", "outbox", "task_keys"].join(", ")} cascade`);
}

/** Settles what the filling of a queue has left, as autovacuum would have done by the time a backlog is a backlog. */
export async function vacuumState(db: Database): Promise<void> {
  for (const table of [...hotTables, ...historyTables]) await db.raw(`vacuum (analyze) ${table}`);
}

/** Tasks queued or running. */
export async function openTasks(db: Database): Promise<number> {
  const [row] = await db.raw<{ n: number }>("select (select count(*) from ready) + (select count(*) from leases) as n");
  return row?.n ?? 0;
}

export async function unsentWakeups(db: Database): Promise<number> {
  const [row] = await db.raw<{ n: number }>("select count(*) as n from outbox");
  return row?.n ?? 0;
}

/**
 * Throws unless there are exactly `created` tasks, each of them completed, by one attempt, which succeeded, and nowhere else.
 * `before`: finished tasks that were put there by hand.
 */
export async function verifyState(db: Database, created: number, before = 0): Promise<void> {
  const [row] = await db.raw<Record<string, number>>(
    `select (select count(*) from tasks) - $1::bigint as tasks,
            (select count(*) from outcomes where state = 'completed') - $1::bigint as completed,
            (select count(*) from outcomes where state <> 'completed') as otherwise,
            (select count(*) from attempts where state = 'succeeded') - $1::bigint as succeeded,
            (select count(*) from (select task_id from attempts where state = 'succeeded'
                                    group by task_id having count(*) > 1) twice) as twice,
            (select count(*) from tasks t where not exists
              (select from outcomes o where o.task_id = t.task_id and o.state = 'completed')) as lost,
            (select count(*) from ready) as queued,
            (select count(*) from leases) as leased`,
    [before],
  );
  const wanted = { tasks: created, completed: created, otherwise: 0, succeeded: created, twice: 0, lost: 0 };
  const found = JSON.stringify(row);
  if (found !== JSON.stringify({ ...wanted, queued: 0, leased: 0 })) {
    throw new Error(`of ${created} tasks not each was completed exactly once: ${found}`);
  }
}

/** Rows written by one statement: each stays below the time limit of a statement. */
const chunkRows = 250_000;

/** Writes tasks that finished long ago, as the dispatcher would have left them, without running them. */
export async function addFinished(
  db: Database,
  count: number,
  onChunk: (done: number) => Promise<void>,
): Promise<void> {
  const [job] = await db.raw<Record<string, number>>(
    `select v.job_id, v.dag_version_id, v.queue_id, v.failures_max, v.timeout_ms, v.org_id from job_versions v
       join jobs j using (job_id) where j.name = 'empty' order by v.dag_version_id desc limit 1`,
  );
  if (job === undefined) throw new Error("the job of the benchmark is not deployed");
  for (let done = 0; done < count; done += chunkRows) {
    const rows = Math.min(chunkRows, count - done);
    await db.raw(
      `with made as (
         insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max,
                            lease_losses_max, timeout_ms, run_at, payload, created_at)
         select (lpad(to_hex($2::bigint + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
                 || substr(md5(n::text), 4, 15))::uuid,
                $3, $4, $5, $6, 0, $7, 10, $8, at, payload, at
           from generate_series(1, $1::bigint) n,
                lateral (select clock_timestamp() - interval '30 days' as at,
                                json_build_object('n', n, 'sent_ms', 0, 'note', repeat('x', 160)) as payload) made
         returning task_id, created_at
       ), ended as (
         insert into outcomes (task_id, state, attempt, failures, lease_losses, ended_at)
         select task_id, 'completed', 1, 0, 0, created_at from made
       )
       insert into attempts (lease_no, task_id, attempt, state, worker, token_sha256, call_sha256, answer, started_at, ended_at)
       select nextval('lease_numbers'), task_id, 1, 'succeeded', 'bench', sha256(task_id::text::bytea),
              sha256(task_id::text::bytea), '{"accepted":true,"attempt_state":"succeeded","task_state":"completed"}',
              created_at, created_at
         from made`,
      [
        rows,
        Date.now() - 30 * 86_400_000 + done,
        job.org_id,
        job.job_id,
        job.dag_version_id,
        job.queue_id,
        job.failures_max,
        job.timeout_ms,
      ],
    );
    await onChunk(done + rows);
  }
}

export interface RelationSize {
  readonly name: string;
  readonly table: string;
  readonly bytes: number;
  readonly deadRows: number;
}

/** Size of each table and index of the work, and dead rows of the tables. */
export function relationSizes(db: Database): Promise<RelationSize[]> {
  return db.raw<RelationSize>(
    `select c.relname as name, t.relname as table, pg_relation_size(c.oid) as bytes,
            coalesce(pg_stat_get_dead_tuples(c.oid), 0) as "deadRows"
       from pg_class t
       join pg_class c on c.oid = t.oid or c.oid in (select indexrelid from pg_index where indrelid = t.oid)
      where t.relname = any ($1) and t.relkind = 'r' and t.relnamespace = 'public'::regnamespace
      order by t.relname, c.relkind desc, c.relname`,
    [[...hotTables, ...historyTables]],
  );
}
