-- Tasks of single partitions: what they are triggered by, what they wait for, what they read; and generations that are built
-- beside the current one until all that a DAG version writes can be switched to at once.

alter table job_versions
  -- The job's own set of partitions, in its order: one task for each. Null: it has none.
  add column partition_keys text[] check (cardinality(partition_keys) between 1 and 10000),
  -- One task for each partition of the inputs.
  add column per_partition boolean not null default false,
  -- Those of the ancestors that reach this job by way of single partitions only: of these, a task of a partition waits for the
  -- same partition alone.
  add column key_ancestors bigint[] not null default '{}',
  add constraint job_versions_partitions check (partition_keys is null or not per_partition);

-- Which live outputs are of a run is one probe, however many partitions of a job are at work.
alter table live_outputs add column run_id bigint;
update live_outputs lo set run_id = t.run_id from tasks t where t.task_id = lo.task_id;
create index live_outputs_by_run on live_outputs (run_id, (job_id + 0)) where run_id is not null;

-- It has partitions with keys, which readers may be narrowed to.
alter table generations add column partitioned boolean not null default false;
update generations set definition = '{"strategy":"replace","partitioning":"none","version":1}' where definition::text = '{}';

-- What versions that are deployed already write, and read of themselves.
update job_outputs jo set generation_id = d.current_generation_id from datasets d where d.dataset_id = jo.dataset_id and jo.generation_id is null;
update job_inputs ji set generation_id = jo.generation_id
  from job_outputs jo where jo.dag_version_id = ji.dag_version_id and jo.dataset_id = ji.dataset_id and ji.generation_id is null;

-- The one partition of the input that the attempt reads; null: all of it.
alter table attempt_inputs add column partition_key text;

-- Of a job without partitions the one row is that of ''. `parked`: a task that is live keeps it from starting, and the end of that task
-- looks for it by its key; everybody else passes it by, however many there are.
alter table invalidations
  add column output_partition text not null default '',
  add column parked boolean not null default false,
  drop constraint invalidations_pkey,
  add primary key (job_id, output_partition, generation_id);
alter table invalidations set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
-- By terms that no other index has: while the table is empty a planner believes each index as good as the next, whatever part of
-- the condition it serves, and keeps the plan.
create index invalidations_next on invalidations ((job_id + 0), (coalesce(run_id, 0))) where not parked;
create index invalidations_by_generation on invalidations ((generation_id + 0), (job_id - 0));
create index invalidations_by_run on invalidations (run_id, job_id) where run_id is not null;

-- Every partition of a job has something new to read. One row, however many partitions there are; bit by bit, in the order of
-- their keys, it becomes rows of invalidations.
create table invalidation_sweeps (
  job_id bigint not null references jobs,
  generation_id bigint not null references generations,
  commit_no bigint not null,
  run_id bigint,
  created_at timestamptz not null default clock_timestamp(),
  -- The commit that is being told of, and the last key that was; null: it waits for its turn.
  sweeping_commit_no bigint,
  after_key text not null default '',
  primary key (job_id, generation_id)
) with (fillfactor = 70);
create index invalidation_sweeps_by_run on invalidation_sweeps (run_id, job_id) where run_id is not null;

-- Generations that the current version of a DAG writes and that are not current yet: readers elsewhere see the ones before until
-- each of these has a commit. Then all of a DAG's rows go in one transaction.
create table generation_switches (
  dag_id bigint not null references dags,
  dataset_id bigint not null references datasets,
  generation_id bigint not null unique references generations,
  primary key (dag_id, dataset_id)
);

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
                     from (select x.generation_id, x.commit_no from commits x where x.task_id = t.task_id offset 0) c
                     join generations g on g.generation_id = c.generation_id
                     join datasets ds on ds.dataset_id = g.dataset_id), '[]'::json) as commits,
         nullif(t.output_partition, '') as partition
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
