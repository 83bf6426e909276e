-- name: tryOutboxLock
-- params: lane
-- notnull: locked
-- Session-level: held by one dispatcher's connection while it relays the lane, with no transaction open; Postgres frees it
-- when that connection ends, however it ends.
select pg_try_advisory_lock(hashtext('trace outbox'), hashtext($1)) as locked;

-- name: readOutbox
-- params: lane, limit
-- notnull: tries
select o.outbox_id, o.queue_id, o.task_ids, coalesce(t.tries, 0) as tries
  from outbox o left join outbox_tries t on t.outbox_id = o.outbox_id
 where o.lane = $1 and o.due_at <= now()
 order by o.due_at, o.outbox_id
 limit $2;

-- name: deleteOutbox
-- params: outbox_ids
with sent as (
  delete from outbox where outbox_id = any ($1::bigint[])
)
delete from outbox_tries where outbox_id = any ($1::bigint[]) and not failed;

-- name: blameOutbox
-- params: outbox_id, error, tries_max
-- An answer blamed the row: count it; at the bound the row leaves the lane and stays here as failed.
with tried as (
  insert into outbox_tries (outbox_id, lane, queue_id, task_ids, tries, last_error)
  select outbox_id, lane, queue_id, task_ids, 1, $2 from outbox where outbox_id = $1
  on conflict (outbox_id) do update set tries = outbox_tries.tries + 1, last_error = excluded.last_error,
     last_tried_at = clock_timestamp(), failed = outbox_tries.tries + 1 >= $3
  returning outbox_id, tries, failed
), gone as (
  delete from outbox o using tried where o.outbox_id = tried.outbox_id and tried.failed
)
select tries, failed from tried;

-- name: addWakeup
-- params: queue_id, task_ids
insert into outbox (lane, due_at, queue_id, task_ids) values ('sqs', clock_timestamp(), $1, $2::uuid[]);

-- name: outboxStatus
-- params:
-- notnull: pending failed
select count(*)::int as pending,
       (extract(epoch from clock_timestamp() - min(due_at)) * 1000)::float8 as oldest_ms,
       (select count(*)::int from outbox_tries where failed) as failed
  from outbox where due_at <= clock_timestamp();

-- name: queueStatus
-- params: org_id
-- notnull: ready leased
select q.queue_id, q.name,
       (select count(*)::int from ready r where r.queue_id = q.queue_id) as ready,
       (select count(*)::int from leases l where l.queue_id = q.queue_id) as leased,
       (select (extract(epoch from clock_timestamp() - min(greatest(r.run_at, r.ready_at))) * 1000)::float8
          from ready r where r.queue_id = q.queue_id and r.run_at <= now()) as oldest_ready_ms
  from queues q where q.org_id = $1 order by q.name;

-- name: oldestReady
-- params: queue_id, older_than_ms, limit
-- For the reconciler: the longest waiting tasks of a queue whose wake-ups must have been lost. None while the outbox still
-- has something to say to the queue, or while no worker lives who could hear it: rows and messages would only pile up.
select t.public_id
  from ready r join tasks t on t.task_id = r.task_id
 where r.queue_id = $1 and r.run_at <= now() - $2::bigint * interval '1 ms' and r.ready_at <= now() - $2::bigint * interval '1 ms'
   and exists (select 1 from sessions s where s.closed_at is null and s.expires_at > now())
   and not exists (select 1 from outbox o where o.lane = 'sqs' and o.queue_id = $1 and o.due_at <= now())
 order by r.priority, r.run_at, r.task_id
 limit $3;
