-- name: admitWaiting
-- params: job_ids
-- notnull: admitted wakeups
-- Gives free slots of limited jobs to the tasks that wait for them, lowest priority number first, then longest due. The caller
-- holds the job rows, so that two cannot give the same slot. The limit is what the current version of the DAG says, so that a
-- deploy that raises or drops it takes effect; a job that was taken out keeps the limit of its last version.
with limits as materialized (
  select j.job_id,
         coalesce((select coalesce(jv.max_concurrency, 1000000000) from job_versions jv join dags d on d.dag_id = j.dag_id
                    where jv.job_id = j.job_id order by (jv.dag_version_id = d.current_version_id) desc, jv.dag_version_id desc limit 1), 1)
           - (select count(*) from job_slots s where s.job_id = j.job_id) as free
    from jobs j where j.job_id = any ($1::bigint[])
), picked as materialized (
  select w.task_id, w.job_id, w.priority, w.run_at, w.attempt, w.failures, w.lease_losses, t.queue_id, t.public_id
    from limits l
   cross join lateral (
     select * from waiting x where x.job_id = l.job_id and x.run_at <= clock_timestamp()
      order by x.priority, x.run_at, x.task_id limit least(greatest(l.free, 0), 1000)) w
   cross join lateral (select x.queue_id, x.public_id from tasks x where x.task_id = w.task_id offset 0) t
), left_waiting as (
  delete from waiting where task_id = any (array(select task_id from picked))
), slots as (
  insert into job_slots (task_id, job_id) select task_id, job_id from picked
), queued as (
  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)
  select task_id, queue_id, priority, clock_timestamp(), attempt, failures, lease_losses from picked
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', clock_timestamp() + interval '500 ms', queue_id, array_agg(public_id)
    from (select queue_id, public_id, (row_number() over (partition by queue_id) - 1) / 1000 as part from picked) p
   group by queue_id, part
  returning outbox_id, queue_id, task_ids
)
select (select count(*)::int from picked) as admitted,
       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups;

-- name: jobsWithWaiting
-- params: limit
-- notnull: job_id
-- The jobs that have tasks waiting, one probe for each job and not for each task.
with recursive job as (
  (select job_id from waiting order by job_id limit 1)
  union all
  select n.job_id from job cross join lateral (select w.job_id from waiting w where w.job_id > job.job_id order by w.job_id limit 1) n
)
select job_id from job limit $1;

-- name: strayedSlots
-- params:
-- notnull: task_id job_id
-- Slots whose task is neither ready nor leased: there are none, and if a defect made one, the job would starve unseen.
select s.task_id, s.job_id from job_slots s
 where not exists (select 1 from ready r where r.task_id = s.task_id) and not exists (select 1 from leases l where l.task_id = s.task_id);
