-- What people see of a task, whichever table its state is in. The hot path never reads it. One probe of each table for each task,
-- which OFFSET 0 keeps the planner from making one walk of all of them when it believes them small.
create or replace view task_details as
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
    left join lateral (select * from outcomes x where x.task_id = t.task_id offset 0) o on true
    left join lateral (select * from leases x where x.task_id = t.task_id offset 0) l on true
    left join sessions s on s.session_id = l.session_id
    left join lateral (select * from ready x where x.task_id = t.task_id offset 0) r on true
    left join lateral (select * from waiting x where x.task_id = t.task_id offset 0) w on true
    left join lateral (
      select a.error, a.started_at from attempts a where a.task_id = t.task_id order by a.lease_no desc limit 1) last on true;
