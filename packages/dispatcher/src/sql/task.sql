-- name: queueByName
-- params: org_id, name
select queue_id from queues where org_id = $1 and name = $2;

-- name: queueNames
-- params:
select queue_id, name from queues order by queue_id;

-- name: findJobs
-- params: org_id, dags, jobs
-- notnull: limited in_partitions
-- The current version of each (dag, job) named.
select d.name as dag, j.name as job, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.tracked,
       jv.max_concurrency is not null as limited, jv.partition_keys is not null or jv.per_partition as in_partitions
  from (select distinct * from unnest($2::text[], $3::text[]) as w (dag, job)) w
  join dags d on d.org_id = $1 and d.name = w.dag
  join jobs j on j.dag_id = d.dag_id and j.name = w.job
  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id;

-- name: lockJobs
-- params: job_ids
-- Serializes what starts and ends the tasks of a job that reads or writes datasets, so that no trigger falls between
-- "a task is live" and "it has just ended". Taken in id order, after leases and before generations.
select job_id from jobs where job_id = any ($1::bigint[]) order by job_id for no key update;

-- name: liveTasksOf
-- params: job_ids, output_partitions
-- One pair for each output asked for.
select lo.job_id, lo.output_partition, t.public_id
  from (select distinct w.job_id, w.output_partition from unnest($1::bigint[], $2::text[]) as w (job_id, output_partition)) w
 cross join lateral (select x.job_id, x.output_partition, x.task_id from live_outputs x where x.job_id = w.job_id and x.output_partition = w.output_partition offset 0) lo
 cross join lateral (select x.public_id from tasks x where x.task_id = lo.task_id offset 0) t;

-- name: addTaskKeys
-- params: keys
-- The first to insert a key owns it; a concurrent second waits for the first to commit and then finds the key taken.
insert into task_keys (job_id, dedupe_key, task_public_id)
select k.job_id, k.dedupe_key, k.task_public_id
  from json_to_recordset($1::json) as k (job_id bigint, dedupe_key text, task_public_id uuid)
 order by k.job_id, k.dedupe_key
on conflict do nothing
returning task_public_id;

-- name: findTaskKeys
-- params: job_ids, dedupe_keys
select k.job_id, k.dedupe_key, k.task_public_id
  from unnest($1::bigint[], $2::text[]) as w (job_id, dedupe_key)
  join task_keys k on k.job_id = w.job_id and k.dedupe_key = w.dedupe_key;

-- name: dropTaskKeys
-- params: task_public_ids, job_ids
-- Gives back keys that this transaction took for tasks it then did not create, so that no key names a task that never was.
delete from task_keys where job_id = any ($2::bigint[]) and task_public_id = any ($1::uuid[]);

-- name: createPlainTasks
-- params: org_id, dags, jobs, lease_losses_max, public_ids, job_places, priorities, run_ats, payloads
-- notnull: places wakeups
-- The whole creation of tasks that need nothing but their rows: no dedupe key, no output to hold, no slot to have. `job_places`
-- point, from 1, into `dags` and `jobs`, an empty run_at is now; items whose job is unknown, tracked or limited are passed over, and `places` names
-- those that were not. Task, ready row and wake-up in one statement: a task that exists can always be found by a worker.
-- Immediate wake-ups are due half a second from now(), which also marks them: whoever writes them sends them, and the outbox
-- loop only if he did not. A wake-up for later is due when its tasks are.
with job as materialized (
  select w.place, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms
    from unnest($2::text[], $3::text[]) with ordinality as w (dag, job, place)
    join dags d on d.org_id = $1 and d.name = w.dag
    join jobs j on j.dag_id = d.dag_id and j.name = w.job
    join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id
   where not jv.tracked and jv.max_concurrency is null
), created as (
  insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, payload)
  select n.public_id, $1, j.job_id, j.dag_version_id, j.queue_id, n.priority, j.failures_max, $4, j.timeout_ms, coalesce(nullif(n.run_at, '')::timestamptz, now()), n.payload
    from rows from (unnest($5::uuid[]), unnest($6::int[]), unnest($7::smallint[]), unnest($8::text[]), json_array_elements($9::json))
         as n (public_id, place, priority, run_at, payload)
    join job j on j.place = n.place
  returning task_id, public_id, queue_id, priority, run_at
), queued as (
  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', case when run_at <= now() then now() + interval '500 ms' else run_at end, queue_id, array_agg(public_id)
    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created) c
   group by run_at, queue_id, part
  returning outbox_id, due_at, queue_id, task_ids
)
select (select coalesce(array_agg(place::int), '{}') from job) as places,
       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))
                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups;

-- name: createTasks
-- params: tasks
-- notnull: wakeups
-- Any tasks. Task, ready row, live output and wake-up in one statement, as above; a task of a limited job goes to waiting and
-- becomes ready by admitWaiting. Tasks to run at once share one run_at, the transaction's time, so that their wake-ups share
-- rows of 1,000 ids.
with created as (
  insert into tasks (public_id, org_id, run_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload, limited)
  select n.public_id, n.org_id, n.run_id, n.job_id, n.dag_version_id, n.queue_id, n.priority, n.failures_max, n.lease_losses_max, n.timeout_ms,
         coalesce(n.run_at, now()), n.output_partition, n.payload, n.limited
    from json_to_recordset($1::json) as n (public_id uuid, org_id bigint, run_id bigint, job_id bigint, dag_version_id bigint, queue_id int,
         priority smallint, failures_max int, lease_losses_max int, timeout_ms bigint, run_at timestamptz, output_partition text, payload json, limited boolean)
  returning task_id, public_id, run_id, job_id, queue_id, priority, run_at, output_partition, limited
), queued as (
  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created where not limited
), parked as (
  insert into waiting (task_id, job_id, priority, run_at) select task_id, job_id, priority, run_at from created where limited
), live as (
  insert into live_outputs (job_id, output_partition, task_id, run_id)
  select job_id, output_partition, task_id, run_id from created where output_partition is not null
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', case when run_at <= now() then now() + interval '500 ms' else run_at end, queue_id, array_agg(public_id)
    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created where not limited) c
   group by run_at, queue_id, part
  returning outbox_id, due_at, queue_id, task_ids
)
select coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))
                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups;

-- name: createRun
-- params: public_id, org_id, dag_id, dag_version_id
insert into runs (public_id, org_id, dag_id, dag_version_id) values ($1, $2, $3, $4) returning run_id, created_at;

-- name: findRun
-- params: org_id, public_id
select r.run_id, r.public_id, r.dag_version_id, r.created_at, d.name as dag, v.content_sha256, v.definition
  from runs r join dags d on d.dag_id = r.dag_id join dag_versions v on v.dag_version_id = r.dag_version_id
 where r.org_id = $1 and r.public_id = $2;

-- name: jobsWaitingInRun
-- params: run_id
-- Jobs that got an input in this run and have not been started for it yet.
select distinct j.name
  from (select i.job_id from invalidations i where i.run_id = $1 union select s.job_id from invalidation_sweeps s where s.run_id = $1) w
  join jobs j on j.job_id = w.job_id order by j.name;

-- name: tasksOfRun
-- params: run_id
-- notnull: job_id task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition, job_id
  from task_details where run_id = $1 order by task_id;

-- name: jobIdsByName
-- params: org_id, dag?, job?
-- The jobs that a filter means, of any version of their DAGs.
select j.job_id from jobs j join dags d on d.dag_id = j.dag_id
 where d.org_id = $1 and ($2::text is null or d.name = $2) and ($3::text is null or j.name = $3);

-- name: pageOfTasks
-- params: org_id, before_task_id, limit
select task_id from tasks where org_id = $1 and task_id < $2 order by task_id desc limit $3;

-- name: pageOfJobs
-- params: job_ids, before_task_id, limit
-- The newest of each job, then the newest of them all: each job's part is read from its index and stops early.
select t.task_id
  from unnest($1::bigint[]) as j (job_id)
 cross join lateral (select x.task_id from tasks x where x.job_id = j.job_id and x.task_id < $2 order by x.task_id desc limit $3) t
 order by t.task_id desc limit $3;

-- name: pageOfQueued
-- params: org_id, job_ids?, before_task_id, limit
-- notnull: task_id
select t.task_id
  from ((select r.task_id from ready r cross join lateral (select * from tasks x where x.task_id = r.task_id offset 0) t
          where r.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by r.task_id desc limit $4)
        union all
        (select w.task_id from waiting w cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t
          where w.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by w.task_id desc limit $4)) t
 order by t.task_id desc limit $4;

-- name: pageOfRunning
-- params: org_id, job_ids?, before_task_id, limit
select l.task_id from leases l cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t
 where l.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by l.task_id desc limit $4;

-- name: pageOfUnfinished
-- params: org_id, state, job_ids?, before_task_id, limit
-- Dead and canceled tasks: an index of their own, however many tasks completed.
select o.task_id from outcomes o cross join lateral (select * from tasks x where x.task_id = o.task_id offset 0) t
 where o.state = $2 and o.state <> 'completed' and o.task_id < $4 and t.org_id = $1 and ($3::bigint[] is null or t.job_id = any ($3::bigint[]))
 order by o.task_id desc limit $5;

-- name: pageOfCompleted
-- params: org_id, job_ids?, before_task_id, limit
-- Most tasks completed, so walking them newest first finds a page soon.
select t.task_id from tasks t cross join lateral (select o.state from outcomes o where o.task_id = t.task_id offset 0) o
 where t.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) and o.state = 'completed'
 order by t.task_id desc limit $4;

-- name: tasksByIds
-- params: task_ids
-- notnull: task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition
  from task_details where task_id = any ($1::bigint[]) order by task_id desc;

-- name: findTask
-- params: org_id, public_id
-- notnull: task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition
  from task_details where org_id = $1 and public_id = $2;

-- name: attemptsOfTask
-- params: task_id
-- notnull: lease_no attempt state worker started_at
-- Those that have a row, the one that the outcome holds, and the one that runs.
select lease_no, attempt, state, worker, error, started_at, ended_at from attempts where task_id = $1
union all
select lease_no, attempt, 'succeeded', worker, null, started_at, ended_at from outcomes where task_id = $1 and token is not null
union all
select l.lease_no, l.attempt, 'running', s.worker, null, l.claimed_at, null
  from leases l join sessions s on s.session_id = l.session_id where l.task_id = $1
 order by 1;

-- name: forgetTaskKeys
-- params: older_than_ms, limit
-- Keys are kept while their task lives and 30 days more; a bounded piece at a time, so that no pass holds many rows.
delete from task_keys where ctid = any (array(
  select k.ctid
    from task_keys k
   cross join lateral (select x.task_id from tasks x where x.public_id = k.task_public_id offset 0) t
   cross join lateral (select x.ended_at from outcomes x where x.task_id = t.task_id offset 0) o
   where k.created_at < clock_timestamp() - $1::bigint * interval '1 ms'
     and o.ended_at < clock_timestamp() - $1::bigint * interval '1 ms'
   limit $2));
