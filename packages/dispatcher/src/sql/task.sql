-- name: queueByName
-- params: org_id, name
select queue_id from queues where org_id = $1 and name = $2;

-- name: queueNames
-- params:
select queue_id, name from queues order by queue_id;

-- name: findJobs
-- params: org_id, dags, jobs
-- notnull: tracked
-- The current version of each (dag, job) named.
select d.name as dag, j.name as job, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms,
       exists (select 1 from job_outputs jo where jo.dag_version_id = jv.dag_version_id and jo.job_id = jv.job_id)
         or exists (select 1 from job_inputs ji where ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id) as tracked
  from (select distinct * from unnest($2::text[], $3::text[]) as w (dag, job)) w
  join dags d on d.org_id = $1 and d.name = w.dag
  join jobs j on j.dag_id = d.dag_id and j.name = w.job
  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id;

-- name: lockJobs
-- params: job_ids
-- Serializes what starts and ends the tasks of a job that reads or writes datasets, so that no trigger falls between
-- "a task is live" and "it has just ended". Taken in id order, after leases and before generations.
select job_id from jobs where job_id = any ($1::bigint[]) order by job_id for no key update;

-- name: liveTasksOfJobs
-- params: job_ids
select lo.job_id, t.public_id from live_outputs lo join tasks t on t.task_id = lo.task_id where lo.job_id = any ($1::bigint[]);

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

-- name: createTasks
-- params: tasks
-- Task, ready row, live output and wake-up in one statement: a task that exists can always be found by a worker. Tasks to
-- run at once share one run_at, the transaction's time, so that their wake-ups share rows of 1,000 ids.
with created as (
  insert into tasks (public_id, org_id, run_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload)
  select n.public_id, n.org_id, n.run_id, n.job_id, n.dag_version_id, n.queue_id, n.priority, n.failures_max, n.lease_losses_max, n.timeout_ms,
         coalesce(n.run_at, now()), n.output_partition, n.payload
    from json_to_recordset($1::json) as n (public_id uuid, org_id bigint, run_id bigint, job_id bigint, dag_version_id bigint, queue_id int,
         priority smallint, failures_max int, lease_losses_max int, timeout_ms bigint, run_at timestamptz, output_partition text, payload json)
  returning task_id, public_id, job_id, queue_id, priority, run_at, output_partition
), queued as (
  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created
), live as (
  insert into live_outputs (job_id, output_partition, task_id)
  select job_id, output_partition, task_id from created where output_partition is not null
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', run_at, queue_id, array_agg(public_id)
    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created) c
   group by run_at, queue_id, part
)
select task_id, public_id from created;

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
select distinct j.name from invalidations i join jobs j on j.job_id = i.job_id where i.run_id = $1 order by j.name;

-- name: tasksOfRun
-- params: run_id
-- notnull: job_id task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, job_id
  from task_details where run_id = $1 order by task_id;

-- name: listTasks
-- params: org_id, state?, dag?, job?, before_task_id?, limit
-- notnull: task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits
  from task_details
 where org_id = $1
   and ($2::text is null or state = $2)
   and ($3::text is null or dag = $3)
   and ($4::text is null or job = $4)
   and ($5::bigint is null or task_id < $5)
 order by task_id desc
 limit $6;

-- name: findTask
-- params: org_id, public_id
-- notnull: task_id public_id dag job operator queue state attempt failures failures_max lease_losses priority created_at
select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,
       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits
  from task_details where org_id = $1 and public_id = $2;

-- name: attemptsOfTask
-- params: task_id
-- notnull: lease_no attempt state worker started_at
select lease_no, attempt, state, worker, error, started_at, ended_at from attempts where task_id = $1
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
    join tasks t on t.public_id = k.task_public_id
    join outcomes o on o.task_id = t.task_id
   where k.created_at < clock_timestamp() - $1::bigint * interval '1 ms'
     and o.ended_at < clock_timestamp() - $1::bigint * interval '1 ms'
   limit $2));
