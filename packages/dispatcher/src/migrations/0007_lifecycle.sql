-- The whole life of a task: limits of jobs, canceling and replaying, starting elsewhere, and history in partitions, so that
-- what one task costs does not grow with the tasks ever run.

alter table job_versions add column max_concurrency int check (max_concurrency > 0);
-- The job reads or writes a dataset.
alter table job_versions add column tracked boolean not null default false;
update job_versions jv set tracked = true
 where exists (select 1 from job_inputs i where i.dag_version_id = jv.dag_version_id and i.job_id = jv.job_id)
    or exists (select 1 from job_outputs o where o.dag_version_id = jv.dag_version_id and o.job_id = jv.job_id);
alter table job_versions alter column tracked drop default;

-- The statement that inserts a task reads these ids from job_versions, whose rows never change and never go; checking each
-- again, row by row, doubled what creating a task costs (docs/adr/0005-state-is-where-the-row-is.md).
alter table tasks drop constraint tasks_job_id_fkey;
alter table tasks drop constraint tasks_queue_id_fkey;
alter table tasks drop constraint tasks_dag_version_id_job_id_fkey;
-- Its job had a max_concurrency when it was created: it runs under a slot of the job.
alter table tasks add column limited boolean not null default false;

-- Rows of ready are never updated in place: room for it in the pages only makes more of them.
alter table ready reset (fillfactor);

-- A task of a limited job without a slot: not in ready, so that claims never look at it.
create table waiting (
  task_id bigint primary key,
  job_id bigint not null,
  priority smallint not null,
  run_at timestamptz not null,
  attempt int not null default 0 check (attempt >= 0),
  failures int not null default 0 check (failures >= 0),
  lease_losses int not null default 0 check (lease_losses >= 0)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index waiting_next on waiting (job_id, priority, run_at, task_id);

-- A slot of a limited job, held by a task from when it becomes ready until it leaves ready and leases. Rows and no counter:
-- what holds a slot can be seen, and a slot cannot leak without its row saying whose it is.
create table job_slots (
  task_id bigint primary key,
  job_id bigint not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

create index job_slots_by_job on job_slots (job_id);

alter table sessions add column slots int not null default 1 check (slots > 0);

-- Neither reads nor writes a dataset, holds no slot: its success ends it and nothing else has to be looked at.
alter table leases add column plain boolean not null default false;
alter table leases alter column plain drop default;
-- The invocation that runs the attempt; null while none has started it.
alter table leases add column nonce uuid;
drop index leases_by_deadline;
drop index leases_by_session;
-- Tokens begin with the session, so that the primary key finds the leases of one, and tell the task. What was handed out before
-- opens nothing any more: the sessions that hold leases end, and their tasks run again.
alter table leases drop constraint leases_token_check;
update leases set token = int8send(session_id) || int8send(lease_no) || int8send(task_id) || substr(token, 9, 16);
alter table leases add constraint leases_token_check check (length(token) = 40);
update sessions s set closed_at = clock_timestamp()
 where s.closed_at is null and exists (select 1 from leases l where l.session_id = s.session_id);

-- History in partitions of 4,000,000 numbers each; both numbers grow with time.
drop view task_details;
create temporary table attempts_before on commit drop as select * from attempts;
create temporary table outcomes_before on commit drop as select * from outcomes;
drop table attempts;
drop table outcomes;

-- How an attempt ended, and what was answered to the call that ended it, so that the same call again gets the same answer. One
-- that succeeded and published nothing has no row here: its outcome says it all.
create table attempts (
  lease_no bigint not null,
  task_id bigint not null,
  attempt int not null,
  state text not null check (state in ('succeeded', 'failed', 'expired', 'released', 'snoozed', 'canceled')),
  worker text not null,
  -- Of a lease that is over: it opens nothing, and tells the one who held it from one who guesses.
  token bytea not null check (length(token) = 40),
  -- Null with a success: the call named no output, and the answer follows from the states.
  call_sha256 bytea check (length(call_sha256) = 32),
  answer json,
  error json,
  started_at timestamptz not null,
  ended_at timestamptz not null default clock_timestamp(),
  primary key (lease_no)
) partition by range (lease_no);

create index attempts_by_task on attempts (task_id, lease_no);

create table outcomes (
  task_id bigint not null,
  state text not null check (state in ('completed', 'canceled', 'dead')),
  attempt int not null,
  failures int not null,
  lease_losses int not null,
  -- The attempt that ended the task; null for a task that was canceled while it was queued.
  lease_no bigint,
  error json,
  ended_at timestamptz not null default clock_timestamp(),
  -- Of the attempt that ended the task, as in attempts, if that has no row there: it succeeded and published nothing.
  worker text,
  token bytea,
  started_at timestamptz,
  primary key (task_id),
  check (num_nulls(worker, token, started_at) in (0, 3))
) partition by range (task_id);

-- The dead letters and what people canceled: few, and asked for often.
create index outcomes_unfinished on outcomes (state, task_id) where state <> 'completed';

-- Makes the partitions that the numbers in use need, and `ahead` more of each. Returns how many it made. Takes no lock that
-- readers or writers of the tables wait for: ATTACH PARTITION locks the parent in SHARE UPDATE EXCLUSIVE mode, where CREATE
-- TABLE ... PARTITION OF would lock them all out, and itself behind the longest transaction there is.
create function add_history_partitions(ahead int) returns int language plpgsql as $$
declare
  partition_rows constant bigint := 4000000;
  made int := 0;
  parent text;
  used bigint;
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('trace history partitions'));
  foreach parent in array array['attempts', 'outcomes'] loop
    used := coalesce(pg_sequence_last_value(case parent when 'attempts' then 'lease_numbers'::regclass
                                                        else pg_get_serial_sequence('tasks', 'task_id')::regclass end), 0);
    for n in 0 .. used / partition_rows + ahead loop
      part := format('%s_%s', parent, lpad(n::text, 6, '0'));
      continue when to_regclass(part) is not null;
      execute format('create table %I (like %I including all)', part, parent);
      execute format('alter table %I attach partition %I for values from (%s) to (%s)', parent, part, n * partition_rows, (n + 1) * partition_rows);
      made := made + 1;
    end loop;
  end loop;
  return made;
end
$$;

select add_history_partitions(2);

insert into attempts (lease_no, task_id, attempt, state, worker, token, call_sha256, answer, error, started_at, ended_at)
-- Of these only the hash of the token was kept, which nobody can send: no token fits, and a late call is told that it is stale.
select lease_no, task_id, attempt, state, worker, int8send(0) || int8send(lease_no) || int8send(task_id) || substr(token_sha256, 1, 16), call_sha256, answer, error, started_at, ended_at from attempts_before;
insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, error, ended_at)
select o.task_id, o.state, o.attempt, o.failures, o.lease_losses, (select max(a.lease_no) from attempts_before a where a.task_id = o.task_id), o.error, o.ended_at
  from outcomes_before o;

-- Who did what to work by hand.
create table audit_log (
  audit_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null check (action in ('task.cancel', 'task.retry', 'task.replay')),
  task_ids uuid[] not null
);

-- What people see of a task, whichever table its state is in. The hot path never reads it.
create view task_details as
  select t.task_id, t.public_id, t.org_id, t.run_id, t.job_id, d.name as dag, j.name as job, jv.definition ->> 'operator' as operator, q.name as queue,
         case when o.task_id is not null then o.state when l.task_id is not null then 'running' else 'queued' end as state,
         coalesce(o.attempt, l.attempt, r.attempt, w.attempt, 0) as attempt,
         coalesce(o.failures, l.failures, r.failures, w.failures, 0) as failures, t.failures_max,
         coalesce(o.lease_losses, l.lease_losses, r.lease_losses, w.lease_losses, 0) as lease_losses,
         t.priority,
         case when o.task_id is null and l.task_id is null then coalesce(r.run_at, w.run_at) end as run_at,
         case when o.task_id is not null or l.task_id is not null then null
              when coalesce(r.run_at, w.run_at) > now() then 'due'
              when w.task_id is not null then 'slot'
              else 'worker' end as waiting_for,
         t.created_at, l.claimed_at, o.ended_at, s.worker, l.progress, coalesce(o.started_at, last.started_at) as last_started_at,
         coalesce(o.error, case when o.state is distinct from 'completed' then last.error end) as error,
         coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', c.commit_no) order by ds.name)
                     from commits c
                     join generations g on g.generation_id = c.generation_id
                     join datasets ds on ds.dataset_id = g.dataset_id
                    where c.task_id = t.task_id), '[]'::json) as commits
    from tasks t
    join jobs j on j.job_id = t.job_id
    join dags d on d.dag_id = j.dag_id
    join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id
    join queues q on q.queue_id = t.queue_id
    left join outcomes o on o.task_id = t.task_id
    left join leases l on l.task_id = t.task_id
    left join sessions s on s.session_id = l.session_id
    left join ready r on r.task_id = t.task_id
    left join waiting w on w.task_id = t.task_id
    left join lateral (
      select a.error, a.started_at from attempts a where a.task_id = t.task_id order by a.lease_no desc limit 1) last on true;
