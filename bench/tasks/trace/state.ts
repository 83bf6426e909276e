/** All that the benchmark knows of the dispatcher's tables. A reader of its own: it shares no code with what it checks. */
import type { Database } from "@trace/kit";

/** Rows that come and go with the work: they must not grow with the tasks ever run. */
export const hotTables = ["ready", "waiting", "leases", "job_slots", "live_outputs", "outbox", "sessions"] as const;
/** Rows that stay: they grow with the tasks ever run. The last two are partitioned by numbers that grow with time. */
export const historyTables = ["tasks", "outcomes", "attempts"] as const;

/** Takes every task and all that belongs to it away. Nothing may be at work. */
export async function emptyState(db: Database): Promise<void> {
  const tables = [...historyTables, ...hotTables.filter((table) => table !== "sessions"), "task_keys"];
  await db.raw(`truncate ${tables.join(", ")} cascade`);
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
 * Throws unless there are exactly `created` tasks, each of them completed, by one attempt of its own, which succeeded, and
 * nowhere else. The outcome holds that attempt, or names the row that does.
 * `before`: finished tasks that were put there by hand.
 */
export async function verifyState(db: Database, created: number, before = 0): Promise<void> {
  const [row] = await db.raw<Record<string, number>>(
    `with succeeded as (
       select task_id, lease_no from outcomes where state = 'completed' and token is not null
       union all select task_id, lease_no from attempts where state = 'succeeded'
     )
     select (select count(*) from tasks) - $1::bigint as tasks,
            (select count(*) from outcomes where state = 'completed') - $1::bigint as completed,
            (select count(*) from outcomes where state <> 'completed') as otherwise,
            (select count(*) from succeeded) - $1::bigint as succeeded,
            (select count(*) from (select task_id from succeeded group by task_id having count(*) > 1) twice) as twice,
            (select count(*) from (select lease_no from succeeded group by lease_no having count(*) > 1) shared) as shared,
            (select count(*) from tasks t where not exists
              (select from outcomes o where o.task_id = t.task_id and o.state = 'completed')) as lost,
            (select count(*) from ready) as queued,
            (select count(*) from leases) as leased`,
    [before],
  );
  const wanted = { tasks: created, completed: created, otherwise: 0, succeeded: created, twice: 0, shared: 0, lost: 0 };
  const found = JSON.stringify(row);
  if (found !== JSON.stringify({ ...wanted, queued: 0, leased: 0 })) {
    throw new Error(`of ${created} tasks not each was completed exactly once: ${found}`);
  }
}

/** Rows written by one statement: each stays below the time limit of a statement. */
const chunkRows = 250_000;

/**
 * Writes tasks that finished long ago, as the dispatcher would have left them, without running them. `onChunk` is called
 * after each part, to vacuum it while it is small.
 */
export async function addFinished(
  db: Database,
  count: number,
  onChunk: (done: number) => Promise<void>,
): Promise<void> {
  for (let done = 0; done < count; ) {
    const rows = Math.min(chunkRows, count - done);
    await db.raw("select add_history_partitions(2)");
    await db.raw(addFinishedSql, [rows, Date.now() - 30 * 86_400_000 + done]);
    done += rows;
    await onChunk(done);
  }
}

/** $1: rows; $2: where their times begin, milliseconds, from which their ids are made (as UUIDv7, so that they are in order). */
const addFinishedSql = `
  with job as (
    select v.* from job_versions v join jobs j using (job_id) where j.name = 'empty' order by v.dag_version_id desc limit 1
  ), made as (
    insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max,
                       timeout_ms, run_at, payload, created_at)
    select (lpad(to_hex($2::bigint + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
           job.org_id, job.job_id, job.dag_version_id, job.queue_id, 0, job.failures_max, 10, job.timeout_ms,
           now() - interval '30 days', json_build_object('n', n, 'sent_ms', 0, 'note', repeat('x', 160)),
           now() - interval '30 days'
      from job, generate_series(1, $1::bigint) n
    returning task_id, created_at
  ), numbered as materialized (
    select nextval('lease_numbers') as lease_no, task_id, created_at from made
  )
  insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, ended_at, worker, token, started_at)
  select task_id, 'completed', 1, 0, 0, lease_no, created_at, 'bench',
         int8send(0) || int8send(lease_no) || int8send(task_id) || uuid_send(gen_random_uuid()), created_at
    from numbered`;

export interface RelationSize {
  readonly name: string;
  readonly table: string;
  readonly bytes: number;
  readonly deadRows: number;
}

/** Size of each table and index of the work, and dead rows of the tables. A partition counts to its table. */
export function relationSizes(db: Database): Promise<RelationSize[]> {
  return db.raw<RelationSize>(
    `select c.relname as name, coalesce(p.relname, t.relname) as table, pg_relation_size(c.oid) as bytes,
            coalesce(pg_stat_get_dead_tuples(c.oid), 0) as "deadRows"
       from pg_class t
       left join pg_inherits i on i.inhrelid = t.oid
       left join pg_class p on p.oid = i.inhparent
       join pg_class c on c.oid = t.oid or c.oid in (select indexrelid from pg_index where indrelid = t.oid)
      where coalesce(p.relname, t.relname) = any ($1) and t.relkind = 'r'
        and t.relnamespace = 'public'::regnamespace
      order by t.relname, c.relkind desc, c.relname`,
    [[...hotTables, ...historyTables]],
  );
}
