-- name: openSession
-- params: public_id, worker, host, pid, slots, ttl_ms
insert into sessions (public_id, worker, host, pid, slots, expires_at)
values ($1, $2, $3, $4, $5, clock_timestamp() + $6::bigint * interval '1 ms')
returning session_id;

-- name: beatSession
-- params: public_id, ttl_ms
-- The row is locked before the clock is read: a beat that waited for its lock is judged by the time it got it. No row
-- means the session is over, reaped or not. It changes no key, so it does not wait for claims and completions, which hold the
-- row FOR KEY SHARE and would starve it while the worker is busy.
with held as materialized (
  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for no key update
)
update sessions s set expires_at = clock_timestamp() + $2::bigint * interval '1 ms'
  from held
 where s.session_id = held.session_id and held.expires_at > clock_timestamp()
returning s.session_id;

-- name: liveLeases
-- params: session_id, lease_nos
-- notnull: lease_no
-- Those of the leases named that are live. A lease past its deadline is stale, reaped or not. One probe for each, by the
-- session and the lease number that a token begins with: what the session has held and lost is not walked over.
select l.lease_no
  from unnest($2::bigint[]) as n (lease_no)
 cross join lateral (
   select x.lease_no from leases x
    where x.token >= int8send($1) || int8send(n.lease_no) and x.token < int8send($1) || int8send(n.lease_no + 1) and x.deadline > clock_timestamp()) l;

-- name: saveProgress
-- params: session_id, progress
-- Touches no indexed column, so the row stays on its page.
update leases l set progress = p.progress
  from json_to_recordset($2::json) as p (lease_no bigint, progress json)
 where l.token >= int8send($1) || int8send(p.lease_no) and l.token < int8send($1) || int8send(p.lease_no + 1)
returning l.lease_no;

-- name: closeSession
-- params: public_id
-- Waits for claims and completions that have judged the session live (FOR UPDATE against their FOR KEY SHARE).
with held as materialized (
  select session_id from sessions where public_id = $1 and closed_at is null for update
)
update sessions s set closed_at = clock_timestamp() from held where s.session_id = held.session_id
returning s.session_id;

-- name: expireSessions
-- params:
-- A beat that holds the row makes this wait and look again at the new expiry, so a session that beats in time is never closed.
-- FOR UPDATE, so that it also waits for claims and completions that have judged the session live.
with due as materialized (
  select session_id from sessions where closed_at is null and expires_at <= clock_timestamp() order by session_id for update
)
update sessions s set closed_at = clock_timestamp() from due where s.session_id = due.session_id
returning s.session_id, s.worker;

-- name: forgetSessions
-- params: older_than_ms
-- Session ids are an identity and never come back, so a forgotten session stays dead.
delete from sessions s
 where s.closed_at < clock_timestamp() - $1::bigint * interval '1 ms'
   and not exists (select 1 from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1));

-- name: listWorkers
-- params: org_id
-- notnull: leases
select s.worker, s.host, s.started_at,
       (select count(*) from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1))::int as leases
  from sessions s
 where s.closed_at is null and s.expires_at > clock_timestamp() and $1::bigint is not null
 order by s.started_at;
