-- name: placesOfTasks
-- params: org_id, public_ids
-- notnull: place
-- Where tasks are now. A hint: each action looks again under its locks.
select t.task_id, t.public_id, t.org_id, t.job_id, t.queue_id, t.priority, t.output_partition, t.limited, t.failures_max, t.lease_losses_max,
       case when o.task_id is not null then o.state
            when l.task_id is not null then 'running'
            when r.task_id is not null then 'ready'
            when w.task_id is not null then 'waiting'
            else 'moving' end as place
  from tasks t
  left join lateral (select x.task_id, x.state from outcomes x where x.task_id = t.task_id offset 0) o on true
  left join lateral (select x.task_id from leases x where x.task_id = t.task_id offset 0) l on true
  left join lateral (select x.task_id from ready x where x.task_id = t.task_id offset 0) r on true
  left join lateral (select x.task_id from waiting x where x.task_id = t.task_id offset 0) w on true
 where t.org_id = $1 and t.public_id = any ($2::uuid[]);

-- name: cancelQueued
-- params: task_ids, error
-- Ends tasks that are ready or waiting. A row that a claim is taking right now is waited for, and is then gone: the caller
-- finds the task under its lease in the next round. The caller holds the job rows where an output or a slot is freed.
with from_ready as (
  delete from ready where task_id = any ($1::bigint[]) returning task_id, attempt, failures, lease_losses
), from_waiting as (
  delete from waiting where task_id = any ($1::bigint[]) returning task_id, attempt, failures, lease_losses
), over as materialized (
  select * from from_ready union all select * from from_waiting
), freed as (
  delete from live_outputs where task_id = any (array(select task_id from over))
), vacated as (
  delete from job_slots where task_id = any (array(select task_id from over))
)
insert into outcomes (task_id, state, attempt, failures, lease_losses, error)
select task_id, 'canceled', attempt, failures, lease_losses, $2::json from over
returning task_id, attempt;

-- name: hurryTasks
-- params: task_ids
-- notnull: task_ids wakeups
-- Makes queued tasks due now. By hand and rare, so that it may change an indexed column.
with ready_now as (
  update ready set run_at = least(run_at, clock_timestamp()) where task_id = any ($1::bigint[]) returning task_id, queue_id
), waiting_now as (
  update waiting set run_at = least(run_at, clock_timestamp()) where task_id = any ($1::bigint[]) returning task_id
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', clock_timestamp() + interval '500 ms', r.queue_id, array_agg(t.public_id)
    from (select x.*, (row_number() over (partition by x.queue_id) - 1) / 1000 as part from ready_now x) r
   cross join lateral (select x.public_id from tasks x where x.task_id = r.task_id offset 0) t
   group by r.queue_id, r.part
  returning outbox_id, queue_id, task_ids
)
select coalesce((select array_agg(task_id) from (select task_id from ready_now union all select task_id from waiting_now) h), '{}') as task_ids,
       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups;

-- name: replayTasks
-- params: task_ids
-- notnull: task_ids wakeups
-- Dead and canceled tasks are queued again with fresh counts; attempts and their errors stay, attempt numbers go on. The row of
-- the outcome is what two callers race for. The caller holds the job rows, and has seen that outputs are free.
with gone as (
  delete from outcomes where task_id = any ($1::bigint[]) and state <> 'completed' returning task_id, attempt
), again as materialized (
  select g.task_id, g.attempt, t.public_id, t.run_id, t.job_id, t.queue_id, t.priority, t.output_partition, t.limited
    from gone g cross join lateral (select * from tasks x where x.task_id = g.task_id offset 0) t
), queued as (
  insert into ready (task_id, queue_id, priority, run_at, attempt)
  select task_id, queue_id, priority, clock_timestamp(), attempt from again where not limited
), parked as (
  insert into waiting (task_id, job_id, priority, run_at, attempt)
  select task_id, job_id, priority, clock_timestamp(), attempt from again where limited
), live as (
  insert into live_outputs (job_id, output_partition, task_id, run_id)
  select job_id, output_partition, task_id, run_id from again where output_partition is not null
), asked as (
  -- Whoever replays by hand wants the slice, also when it was reverted since.
  update task_slices set head_commit = null where task_id = any (array(select task_id from again))
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', clock_timestamp() + interval '500 ms', queue_id, array_agg(public_id)
    from (select queue_id, public_id, (row_number() over (partition by queue_id) - 1) / 1000 as part from again where not limited) a
   group by queue_id, part
  returning outbox_id, queue_id, task_ids
)
select coalesce((select array_agg(task_id) from again), '{}') as task_ids,
       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups;

-- name: addAudit
-- params: org_id, actor, action, task_ids
insert into audit_log (org_id, actor, action, task_ids) values ($1, $2, $3, $4::uuid[]);
