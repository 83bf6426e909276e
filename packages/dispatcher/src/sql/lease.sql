-- name: lockLeases
-- params: tokens
-- notnull: live
-- The fence. Rows are locked in the order of their tokens first, as everybody locks leases; only then are deadline and session judged by the clock, so a caller
-- that waited for a lock is judged by the time it got it. A token that is not the last one of its task finds no row.
-- Sessions are judged by a hashed list and their workers, which never change, probed: one batch holds leases of many sessions,
-- and a join of the two without an index would be made of each with each.
with held as materialized (
  select * from leases where token = any ($1::bytea[]) order by token for update
), session as materialized (
  select session_id, worker, expires_at, closed_at from sessions
   where session_id in (select session_id from held) order by session_id for key share
)
select h.token, h.lease_no, h.task_id, h.attempt, h.failures, h.lease_losses, h.queue_id, h.priority, h.claimed_at,
       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited,
       (h.deadline > clock_timestamp()
        and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true) as live
  from held h
 cross join lateral (select x.worker from sessions x where x.session_id = h.session_id offset 0) s
 cross join lateral (select * from tasks x where x.task_id = h.task_id offset 0) t
 order by h.lease_no;

-- name: completePlain
-- params: tokens, tell
-- notnull: ended
-- nullable: lease_nos task_ids
-- The fence and the end of attempts that succeeded and have neither output nor slot, in one statement: locked and judged as
-- by lockLeases, and of what is live and plain the lease goes and the outcome, which holds the attempt, stays. The others are
-- left alone: the caller looks at them one by one. The rows go by where they were locked: one that was changed since this
-- statement began (its progress) has moved to a version that the statement does not see, and is left to the caller too.
-- What stays is drawn from what went. `tokens` are one after another in one value: as an array their hexadecimal digits cost
-- as much as their locks. Sessions as in lockLeases; of few, their workers are had from the list. `lease_nos` are told when not all of them ended, `task_ids` when the caller wants to tell of them.
with held as materialized (
  select ctid, session_id, plain, deadline from leases
   where token = any (array(select substring($1::bytea from 40 * n + 1 for 40) from generate_series(0, octet_length($1::bytea) / 40 - 1) n))
   order by token for update
), session as materialized (
  select session_id, worker, expires_at, closed_at from sessions
   where session_id = any (array(select distinct session_id from held)) order by session_id for key share
), judged as materialized (
  select h.ctid
    from held h
   where h.plain and h.deadline > clock_timestamp()
     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true
), ended as (
  delete from leases where ctid = any (array(select ctid from judged))
  returning token, lease_no, task_id, session_id, attempt, failures, lease_losses, claimed_at
), outcome as (
  insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, worker, token, started_at)
  select e.task_id, 'completed', e.attempt, e.failures, e.lease_losses, e.lease_no,
         case when (select count(*) from session) <= 4
              then (select s.worker from session s where s.session_id = e.session_id)
              else (select x.worker from sessions x where x.session_id = e.session_id) end,
         e.token, e.claimed_at
    from ended e
)
select e.ended,
       case when e.ended < octet_length($1::bytea) / 40 then (select coalesce(array_agg(lease_no), '{}') from ended) end as lease_nos,
       case when $2::boolean then (select coalesce(array_agg(task_id), '{}') from ended) end as task_ids
  from (select count(*)::int as ended from ended) e;

-- name: startAttempts
-- params: tokens, nonces
-- notnull: bound
-- Binds attempts to the invocations that run them, under the same fence; the first nonce stays. The time limit begins anew:
-- what was waited for an invocation is not the attempt's. The caller gives each token once, in the order of tokens.
with held as materialized (
  select l.*, w.nonce as wanted
    from unnest($1::bytea[], $2::uuid[]) as w (token, nonce)
   cross join lateral (
     select x.token, x.lease_no, x.session_id, x.deadline, x.nonce from leases x where x.token = w.token for update) l
), session as materialized (
  select session_id, expires_at, closed_at from sessions
   where session_id in (select session_id from held) order by session_id for key share
), judged as materialized (
  select h.token, h.lease_no, h.wanted as nonce, h.nonce is null as first, h.nonce is null or h.nonce = h.wanted as bound
    from held h
   where h.deadline > clock_timestamp()
     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true
), started as (
  update leases l
     set nonce = ((select json_object_agg(encode(j.token, 'hex'), j.nonce)::jsonb from judged j where j.first) ->> encode(l.token, 'hex'))::uuid,
         deadline = clock_timestamp() + ((select t.timeout_ms from tasks t where t.task_id = l.task_id) + 10000) * interval '1 ms'
   where l.token = any (array(select j.token from judged j where j.first))
  returning l.lease_no, l.deadline
), writing as (
  update staging s
     set write_until = ((select json_object_agg(t.lease_no, t.deadline)::jsonb from started t) ->> s.lease_no::text)::timestamptz + interval '15 minutes'
   where s.lease_no = any (array(select t.lease_no from started t))
)
select token, bound from judged;

-- name: lockLeasesOfTasks
-- params: task_ids
-- The leases of tasks that a person ends, live or not: whoever cancels needs no token. In the order of lockLeases.
with held as materialized (
  select * from leases where token = any (array(select x.token from leases x where x.task_id = any ($1::bigint[]))) order by token for update
)
select l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,
       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited
  from held l
  join sessions s on s.session_id = l.session_id
 cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t
 order by l.lease_no;

-- name: lockExpiredLeases
-- params: limit, overdue
-- notnull: past_deadline
-- Leases of a session that is closed (expireSessions closes those that stopped beating, under their row's lock; judging
-- expires_at here, by a snapshot, could reap under a session that has just beaten), found session by session at the cost of
-- what there is; and with `overdue` those past their deadline, for which all that live are looked through. One being
-- completed right now is locked and skipped; the next pass finds it gone.
with held as materialized (
  select * from leases where token = any (array(
         (select o.token from sessions c cross join lateral (
             select x.token from leases x
              where x.token >= int8send(c.session_id) and x.token < int8send(c.session_id + 1) limit $1) o
           where c.closed_at is not null limit $1)
         union all
         (select o.token from sessions c cross join lateral (
             select x.token from leases x
              where x.token >= int8send(c.session_id) and x.token < int8send(c.session_id + 1) and x.deadline <= now() limit $1) o
           where c.closed_at is null and $2::boolean limit $1)))
   order by token limit $1 for update skip locked
)
select l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,
       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited,
       (l.deadline <= now() and s.closed_at is null) as past_deadline
  from held l
  join sessions s on s.session_id = l.session_id
 cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t
 where l.deadline <= now() or s.closed_at is not null
 order by l.lease_no;

-- name: endAttempts
-- params: tokens, history, outcomes, again, freed_task_ids, freed_slot_task_ids, wakeups
-- notnull: ended wakeups
-- Everything that ends attempts, in one statement: leases go, history stays, each task gets its outcome or goes back to
-- ready, or to waiting when its job is limited; live outputs and slots are freed, wake-ups are written. The caller holds
-- the lease rows, and the job rows where an output or a slot is freed.
with ended as (
  delete from leases where token = any ($1::bytea[]) returning lease_no
), history as (
  insert into attempts (lease_no, task_id, attempt, state, worker, token, call_sha256, answer, error, started_at)
  select h.lease_no, h.task_id, h.attempt, h.state, h.worker, decode(h.token, 'hex'), decode(h.call_sha256, 'hex'), h.answer, h.error, h.started_at
    from json_to_recordset($2::json) as h (lease_no bigint, task_id bigint, attempt int, state text, worker text, token text,
         call_sha256 text, answer json, error json, started_at timestamptz)
), outcome as (
  insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, error)
  select o.task_id, o.state, o.attempt, o.failures, o.lease_losses, o.lease_no, o.error
    from json_to_recordset($3::json) as o (task_id bigint, state text, attempt int, failures int, lease_losses int, lease_no bigint, error json)
), again as materialized (
  select a.task_id, a.job_id, a.queue_id, a.priority, clock_timestamp() + a.delay_ms * interval '1 ms' as run_at, a.attempt, a.failures, a.lease_losses, a.limited
    from json_to_recordset($4::json) as a (task_id bigint, job_id bigint, queue_id int, priority smallint, delay_ms bigint, attempt int, failures int,
         lease_losses int, limited boolean)
), queued as (
  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)
  select task_id, queue_id, priority, run_at, attempt, failures, lease_losses from again where not limited
), parked as (
  insert into waiting (task_id, job_id, priority, run_at, attempt, failures, lease_losses)
  select task_id, job_id, priority, run_at, attempt, failures, lease_losses from again where limited
), freed as (
  delete from live_outputs where task_id = any ($5::bigint[])
), vacated as (
  delete from job_slots where task_id = any ($6::bigint[])
), woken as (
  insert into outbox (lane, due_at, queue_id, task_ids)
  select 'sqs', case when w.delay_ms = 0 then now() + interval '500 ms' else clock_timestamp() + w.delay_ms * interval '1 ms' end, w.queue_id, array(select json_array_elements_text(w.task_ids)::uuid)
    from json_to_recordset($7::json) as w (queue_id int, delay_ms bigint, task_ids json)
  returning outbox_id, due_at, queue_id, task_ids
)
select (select count(*)::int from ended) as ended,
       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))
                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups;

-- name: findAttempts
-- params: lease_nos, task_ids
-- notnull: lease_no state token
-- For tokens without a lease, by the two numbers in each: how its attempt ended, to answer the same call with the same answer.
select a.lease_no, a.state, a.token, a.call_sha256, a.answer
  from unnest($1::bigint[], $2::bigint[]) as w (lease_no, task_id)
 cross join lateral (
   select x.lease_no, x.state, x.token, x.call_sha256, x.answer from attempts x where x.task_id = w.task_id and x.lease_no = w.lease_no
   union all
   select o.lease_no, 'succeeded', o.token, null, null from outcomes o
    where o.task_id = w.task_id and o.lease_no = w.lease_no and o.token is not null) a;
