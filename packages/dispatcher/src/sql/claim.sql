-- name: claimById
-- params: session_public_id, queue_id, task_public_ids, limit
-- Moves ready rows to leases in one statement: no moment exists at which a task is in neither table. The session row is
-- shared, so it cannot be closed under the claim; SKIP LOCKED gives each row to one claimer. The tid array keeps the
-- plan at "fetch these rows" however many dead ones the index still holds.
with session as materialized (
  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for share
), live as materialized (
  select session_id from session where expires_at > clock_timestamp()
), taken as (
  delete from ready where ctid = any (array(
    select r.ctid
      from tasks t join ready r on r.task_id = t.task_id
     where t.public_id = any ($3::uuid[]) and r.queue_id = $2 and r.run_at <= now() and exists (select 1 from live)
     order by r.priority, r.run_at, r.task_id
     limit $4
       for update of r skip locked))
  returning task_id, queue_id, priority, attempt, failures, lease_losses
), numbered as (
  select taken.*, nextval('lease_numbers') as lease_no from taken
)
insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, deadline)
select int8send(n.lease_no) || uuid_send(gen_random_uuid()), n.lease_no, n.task_id, (select session_id from live), n.queue_id,
       n.priority, n.attempt + 1, n.failures, n.lease_losses,
       clock_timestamp() + (select t.timeout_ms + 10000 from tasks t where t.task_id = n.task_id) * interval '1 ms'
  from numbered n
returning token, lease_no, task_id, attempt;

-- name: claimNext
-- params: session_public_id, queue_id, limit
-- As claimById, for whatever is next in the queue: lowest priority number, then longest due.
with session as materialized (
  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for share
), live as materialized (
  select session_id from session where expires_at > clock_timestamp()
), taken as (
  delete from ready where ctid = any (array(
    select r.ctid
      from ready r
     where r.queue_id = $2 and r.run_at <= now() and exists (select 1 from live)
     order by r.priority, r.run_at, r.task_id
     limit $3
       for update skip locked))
  returning task_id, queue_id, priority, attempt, failures, lease_losses
), numbered as (
  select taken.*, nextval('lease_numbers') as lease_no from taken
)
insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, deadline)
select int8send(n.lease_no) || uuid_send(gen_random_uuid()), n.lease_no, n.task_id, (select session_id from live), n.queue_id,
       n.priority, n.attempt + 1, n.failures, n.lease_losses,
       clock_timestamp() + (select t.timeout_ms + 10000 from tasks t where t.task_id = n.task_id) * interval '1 ms'
  from numbered n
returning token, lease_no, task_id, attempt;

-- name: sessionIsLive
-- params: session_public_id
select session_id from sessions where public_id = $1 and closed_at is null and expires_at > clock_timestamp();

-- name: readyRemains
-- params: queue_id
-- notnull: remains
select exists (select 1 from ready where queue_id = $1 and run_at <= now()) as remains;

-- name: pinInputs
-- params: lease_nos, task_ids
-- Pins the head of each input as of now, once per lease: what this attempt reads, whatever is committed while it runs.
insert into attempt_inputs (lease_no, generation_id, commit_no)
select c.lease_no, g.generation_id, g.head_commit
  from unnest($1::bigint[], $2::bigint[]) as c (lease_no, task_id)
  join tasks t on t.task_id = c.task_id
  join job_inputs ji on ji.dag_version_id = t.dag_version_id and ji.job_id = t.job_id
  join datasets d on d.dataset_id = ji.dataset_id
  join generations g on g.generation_id = d.current_generation_id
on conflict do nothing;

-- name: describeLeases
-- params: tokens
-- notnull: live
-- nullable: run_public_id
-- Everything an attempt needs to know of itself. `live` is a hint here: only lockLeases decides.
select l.token, l.lease_no, l.task_id, l.session_id, l.attempt, l.claimed_at, t.public_id, t.org_id, t.job_id, t.dag_version_id, t.payload,
       t.timeout_ms, r.public_id as run_public_id, d.name as dag, jv.definition,
       (l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live,
       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', ai.commit_no, 'generation_id', g.generation_id) order by ds.name)
                   from attempt_inputs ai
                   join generations g on g.generation_id = ai.generation_id
                   join datasets ds on ds.dataset_id = g.dataset_id
                  where ai.lease_no = l.lease_no), '[]'::json) as inputs,
       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation_id', g.generation_id, 'storage_id', g.storage_id) order by ds.name)
                   from job_outputs jo
                   join datasets ds on ds.dataset_id = jo.dataset_id
                   join generations g on g.generation_id = ds.current_generation_id
                  where jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id), '[]'::json) as outputs
  from leases l
  join sessions s on s.session_id = l.session_id
  join tasks t on t.task_id = l.task_id
  join dag_versions v on v.dag_version_id = t.dag_version_id
  join dags d on d.dag_id = v.dag_id
  join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id
  left join runs r on r.run_id = t.run_id
 where l.token = any ($1::bytea[])
 order by l.lease_no;
