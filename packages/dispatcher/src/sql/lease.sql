-- name: lockLeases
-- params: tokens
-- notnull: live
-- The fence. Rows are locked in lease order first; only then are deadline and session judged by the clock, so a caller
-- that waited for a lock is judged by the time it got it. A token that is not the last one of its task finds no row.
with held as materialized (
  select * from leases where token = any ($1::bytea[]) order by lease_no for update
), session as materialized (
  select session_id, worker, expires_at, closed_at from sessions
   where session_id in (select session_id from held) order by session_id for share
)
select h.token, h.lease_no, h.task_id, h.attempt, h.failures, h.lease_losses, h.queue_id, h.priority, h.claimed_at,
       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition,
       (h.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live
  from held h
  join session s on s.session_id = h.session_id
  join tasks t on t.task_id = h.task_id
 order by h.lease_no;

-- name: lockExpiredLeases
-- params: limit
-- notnull: past_deadline
-- Leases past their deadline or of a session that is closed (expireSessions closes those that stopped beating, under
-- their row's lock; judging expires_at here, by a snapshot, could reap under a session that has just beaten). One being
-- completed right now is locked and skipped; the next pass finds it gone. Two index scans, so that a pass costs what it
-- finds and not what is alive.
select l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,
       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition,
       (l.deadline <= now() and s.closed_at is null) as past_deadline
  from leases l
  join sessions s on s.session_id = l.session_id
  join tasks t on t.task_id = l.task_id
 where l.token = any (array(
         (select o.token from leases o where o.deadline <= now() order by o.deadline limit $1)
         union all
         (select o.token from sessions c cross join lateral (select x.token from leases x where x.session_id = c.session_id limit $1) o
           where c.closed_at is not null limit $1)))
   and (l.deadline <= now() or s.closed_at is not null)
 order by l.lease_no
 limit $1
   for update of l skip locked;

-- name: endAttempts
-- params: tokens, history, outcomes, again, freed_task_ids, wakeups
-- notnull: ended
-- Everything that ends attempts, in one statement: leases go, history stays, each task gets its outcome or goes back to
-- ready, live outputs are freed, wake-ups are written. The caller holds the lease rows.
with ended as (
  delete from leases where token = any ($1::bytea[]) returning lease_no
), history as (
  insert into attempts (lease_no, task_id, attempt, state, worker, token_sha256, call_sha256, answer, error, started_at)
  select h.lease_no, h.task_id, h.attempt, h.state, h.worker, decode(h.token_sha256, 'hex'), decode(h.call_sha256, 'hex'), h.answer, h.error, h.started_at
    from json_to_recordset($2::json) as h (lease_no bigint, task_id bigint, attempt int, state text, worker text, token_sha256 text,
         call_sha256 text, answer json, error json, started_at timestamptz)
), outcome as (
  insert into outcomes (task_id, state, attempt, failures, lease_losses, error)
  select o.task_id, o.state, o.attempt, o.failures, o.lease_losses, o.error
    from json_to_recordset($3::json) as o (task_id bigint, state text, attempt int, failures int, lease_losses int, error json)
), again as (
  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)
  select a.task_id, a.queue_id, a.priority, clock_timestamp() + a.delay_ms * interval '1 ms', a.attempt, a.failures, a.lease_losses
    from json_to_recordset($4::json) as a (task_id bigint, queue_id int, priority smallint, delay_ms bigint, attempt int, failures int, lease_losses int)
), freed as (
  delete from live_outputs where task_id = any ($5::bigint[])
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', clock_timestamp() + w.delay_ms * interval '1 ms', w.queue_id, array(select json_array_elements_text(w.task_ids)::uuid)
    from json_to_recordset($6::json) as w (queue_id int, delay_ms bigint, task_ids json)
)
select count(*)::int as ended from ended;

-- name: findAttempts
-- params: lease_nos
-- For a token without a lease: how its attempt ended, to answer the same call with the same answer.
select a.lease_no, a.state, a.token_sha256, a.call_sha256, a.answer from attempts a where a.lease_no = any ($1::bigint[]);
