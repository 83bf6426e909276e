-- name: tryOutboxLock
-- params: lane
-- notnull: locked
-- Session-level: held by one dispatcher's connection while it relays the lane, with no transaction open; Postgres frees it
-- when that connection ends, however it ends.
select pg_try_advisory_lock(hashtext('trace outbox'), hashtext($1)) as locked;

-- name: freeOutboxLock
-- params: lane
-- A dispatcher that stops in good order does not make the next one wait for the end of its connection.
select pg_advisory_unlock(hashtext('trace outbox'), hashtext($1)) as unlocked;

-- name: readWakeups
-- params: from_due_at?, from_outbox_id, lag_ms, late_ms, limit
-- notnull: due_at queue_id task_ids
-- The due wake-ups behind a place in the lane; without a place, those that came due in the last `lag_ms`. So a look costs what
-- it finds and not what the index still holds of rows long gone. Of one that is overdue by `late_ms`, as after SQS was away,
-- the tasks that were claimed meanwhile are left out: saying all of it would hold up what is new. One probe for each id.
select o.outbox_id, o.due_at::text as due_at, o.queue_id,
       case when o.due_at > now() - $4::bigint * interval '1 ms' then o.task_ids
            else array(select t.public_id from tasks t where t.public_id = any (o.task_ids) and (select true from ready r where r.task_id = t.task_id))
       end as task_ids
  from outbox o
 where o.lane = 'sqs' and o.due_at <= now()
   and (o.due_at, o.outbox_id) > (coalesce($1::text::timestamptz, now() - $3::bigint * interval '1 ms'), $2::bigint)
 order by o.due_at, o.outbox_id
 limit $5;

-- name: readEvents
-- params: from_due_at?, from_outbox_id, lag_ms, limit
-- notnull: due_at events
-- As readWakeups, of the other lane.
select o.outbox_id, o.due_at::text as due_at, o.events
  from outbox o
 where o.lane = 'events' and o.due_at <= now()
   and (o.due_at, o.outbox_id) > (coalesce($1::text::timestamptz, now() - $3::bigint * interval '1 ms'), $2::bigint)
 order by o.due_at, o.outbox_id
 limit $4;

-- name: deleteOutbox
-- params: outbox_ids
with sent as (
  delete from outbox where outbox_id = any ($1::bigint[])
)
delete from outbox_tries where outbox_id = any ($1::bigint[]);

-- name: keepOfOutbox
-- params: outbox_id, task_ids?, events?
-- A part of the row was taken: what is left is sent again, and nothing else. Touches no indexed column.
update outbox set task_ids = $2::uuid[], events = $3::json where outbox_id = $1;

-- name: blameOutbox
-- params: outbox_id, task_ids?, events?, error, tries_max, retry_base_ms, retry_max_ms
-- An answer blamed what is left of the row: count it. The row waits longer each time; at the bound it leaves the lane and
-- stays here as failed.
with tried as (
  insert into outbox_tries (outbox_id, lane, queue_id, task_ids, events, tries, last_error)
  select outbox_id, lane, queue_id, $2::uuid[], $3::json, 1, $4 from outbox where outbox_id = $1
  on conflict (outbox_id) do update set task_ids = excluded.task_ids, events = excluded.events, tries = outbox_tries.tries + 1,
     last_error = excluded.last_error, last_tried_at = clock_timestamp(), failed = outbox_tries.tries + 1 >= $5
  returning outbox_id, tries, failed
), gone as (
  delete from outbox where outbox_id = any (array(select outbox_id from tried where failed))
), again as (
  update outbox o set task_ids = $2::uuid[], events = $3::json,
         due_at = clock_timestamp() + least($7::bigint, $6::bigint * 2 ^ least((select tries from tried) - 1, 30)) * interval '1 ms'
   where o.outbox_id = any (array(select outbox_id from tried where not failed))
)
select tries, failed from tried;

-- name: failedOutbox
-- params: limit
-- notnull: entries event_types
-- nullable: queue
-- For people: what was given up, the newest first.
select t.outbox_id, t.lane, q.name as queue, coalesce(cardinality(t.task_ids), json_array_length(t.events)) as entries,
       array(select distinct e ->> 'type' from json_array_elements(t.events) e order by 1) as event_types, t.tries,
       t.last_error, t.last_tried_at
  from outbox_tries t left join queues q on q.queue_id = t.queue_id
 where t.failed
 order by t.outbox_id desc
 limit $1;

-- name: requeueOutbox
-- params: outbox_ids
-- Failed rows go back to their lanes under new ids, with all tries before them; answers with the ids they had. A row that two
-- callers name goes back once: the second finds it deleted.
with again as (
  delete from outbox_tries where outbox_id = any ($1::bigint[]) and failed returning outbox_id, lane, queue_id, task_ids, events
), back as (
  insert into outbox (lane, due_at, queue_id, task_ids, events)
  select lane, clock_timestamp(), queue_id, task_ids, events from again
)
select outbox_id from again;

-- name: forgetFailedOutbox
-- params: older_than_ms, limit
delete from outbox_tries where outbox_id = any (array(
  select outbox_id from outbox_tries where failed and last_tried_at < clock_timestamp() - $1::bigint * interval '1 ms' order by outbox_id limit $2))
returning outbox_id;

-- name: addEvents
-- params: events
-- Written by the transaction that decides what they tell, one row for 100. Names are looked up here, so that a caller passes
-- the ids it has.
insert into outbox (lane, due_at, events)
select 'events', clock_timestamp(), json_agg(json_build_object('type', type, 'time', clock_timestamp(), 'detail', detail) order by place)
  from (select e.type, row_number() over () as place,
               json_strip_nulls(json_build_object('org', o.name, 'dag', d.name, 'job', j.name, 'task_id', e.task_id, 'attempt', e.attempt,
                 'dataset', e.dataset, 'generation', e.generation, 'commit', e.commit)) as detail
          from json_to_recordset($1::json) as e (type text, org_id bigint, job_id bigint, task_id uuid, attempt int, dataset text, generation int, commit bigint)
          join orgs o on o.org_id = e.org_id
          join jobs j on j.job_id = e.job_id
          join dags d on d.dag_id = j.dag_id) e
 group by (place - 1) / 100;

-- name: addCompletedEvents
-- params: task_ids
-- The same for tasks that completed, of which the caller knows only the numbers; in the transaction that ended them.
insert into outbox (lane, due_at, events)
select 'events', clock_timestamp(), json_agg(json_build_object('type', 'task.completed', 'time', clock_timestamp(), 'detail', detail) order by place)
  from (select row_number() over (order by e.lease_no) as place,
               json_build_object('org', o.name, 'dag', d.name, 'job', j.name, 'task_id', t.public_id, 'attempt', e.attempt) as detail
          from unnest($1::bigint[]) as w (task_id)
         cross join lateral (select x.attempt, x.lease_no from outcomes x where x.task_id = w.task_id and x.state = 'completed' offset 0) e
         cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t
          join orgs o on o.org_id = t.org_id
          join jobs j on j.job_id = t.job_id
          join dags d on d.dag_id = j.dag_id) e
 group by (place - 1) / 100;

-- name: outboxLanes
-- params:
-- notnull: lane pending failed
-- Counts stop at 100,000 (countedRowsMax), so that looking costs the same however much waits.
select l.lane,
       (select count(*)::int from (select 1 from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at limit 100000) o) as pending,
       (select (extract(epoch from clock_timestamp() - o.due_at) * 1000)::float8
          from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at, o.outbox_id limit 1) as oldest_ms,
       (select count(*)::int from (select 1 from outbox_tries t where t.lane = l.lane and t.failed limit 100000) t) as failed
  from (values ('sqs'), ('events')) as l (lane);

-- name: outboxStatus
-- params:
-- notnull: pending failed
-- As outboxLanes, of both together.
select (select count(*)::int
          from (select 1 from (values ('sqs'), ('events')) as l (lane)
                 cross join lateral (select 1 from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at limit 100000) o
                 limit 100000) o) as pending,
       (select (extract(epoch from clock_timestamp() - min(first.due_at)) * 1000)::float8
          from (values ('sqs'), ('events')) as l (lane)
         cross join lateral (select o.due_at from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at, o.outbox_id limit 1) first) as oldest_ms,
       (select count(*)::int from (select 1 from outbox_tries t where t.failed limit 100000) t) as failed;

-- name: queueStatus
-- params: org_id
-- notnull: ready leased
-- Counts stop at 100,000 (countedRowsMax), and are counted in the order of an index so that they can. The oldest is that of the
-- first in line of each priority, one probe for each.
select q.queue_id, q.name,
       (select count(*)::int from (select 1 from ready r where r.queue_id = q.queue_id order by r.priority, r.run_at, r.task_id limit 100000) r) as ready,
       (select count(*)::int
          from (select 1 from sessions s
                 cross join lateral (
                   select 1 from leases l
                    where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1) and l.queue_id = q.queue_id limit 100000) l
                 limit 100000) l) as leased,
       (with recursive first as (
          (select r.priority, r.run_at, r.ready_at from ready r where r.queue_id = q.queue_id order by r.priority, r.run_at, r.task_id limit 1)
          union all
          select n.priority, n.run_at, n.ready_at
            from first f
           cross join lateral (
             select r.priority, r.run_at, r.ready_at from ready r
              where r.queue_id = q.queue_id and r.priority > f.priority
              order by r.priority, r.run_at, r.task_id limit 1) n)
        select (extract(epoch from clock_timestamp() - min(greatest(run_at, ready_at))) * 1000)::float8 from first where run_at <= now()) as oldest_ready_ms
  from queues q where q.org_id = $1 order by q.name;

-- name: tellClaims
-- params: queue_ids, ages_ms
-- When claims were last made here, told to the reconcilers of other dispatchers. Taken in id order.
insert into queue_pulses (queue_id, claimed_at)
select queue_id, clock_timestamp() - age_ms * interval '1 ms'
  from unnest($1::int[], $2::float8[]) as c (queue_id, age_ms)
 order by queue_id
on conflict (queue_id) do update set claimed_at = greatest(queue_pulses.claimed_at, excluded.claimed_at), spoken = 0;

-- name: wakeForgotten
-- params: queue_id, after_ms, at_once, every_ms, quiet_max_ms, tasks_max
-- notnull: outbox_id queue_id task_ids
-- The reconciler's whole decision. Speaks for the first tasks of a queue that have been ready for `after_ms`, as many as there
-- are free slots, if no dispatcher claimed anything from it and none spoke for it within the bounds, and if the lane keeps up
-- with what it has to say already. The more often it was spoken for in vain, the longer it is left alone. Of several who ask together, the
-- row of queue_pulses lets one speak. In the order of claims, because workers take first what a wake-up names. One
-- probe for each priority and for each id, and no more rows than are named; `at_once` passes over what was said and claimed
-- before.
with recursive quiet as materialized (
  select 1 from (values (1)) v
   where not exists (select 1 from queue_pulses p where p.queue_id = $1 and not $3::boolean
           and (p.claimed_at > clock_timestamp() - $2::bigint * interval '1 ms'
                or p.spoken_at > clock_timestamp() - least($5::bigint, $4::bigint * 2 ^ least(p.spoken, 30)) * interval '1 ms'))
     and not exists (select 1 from outbox o where o.lane = 'sqs' and o.due_at <= now() - interval '1 s')
), free as materialized (
  select least(coalesce(sum(greatest(s.slots - held.leases, 0)), 0), $6::bigint)::bigint as slots
    from sessions s
   cross join lateral (
     select count(*) as leases
       from (select 1 from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1) limit s.slots) l) held
   where s.closed_at is null and s.expires_at > now() and exists (select 1 from quiet)
), line as (
  (select r.priority from ready r where r.queue_id = $1 and (select slots from free) > 0 order by r.priority, r.run_at, r.task_id limit 1)
  union all
  select n.priority
    from line
   cross join lateral (select r.priority from ready r where r.queue_id = $1 and r.priority > line.priority order by r.priority, r.run_at, r.task_id limit 1) n
), forgotten as materialized (
  select f.task_id, row_number() over (order by f.priority, f.run_at, f.task_id) as place
    from line
   cross join lateral (
     select r.task_id, r.priority, r.run_at, r.ready_at from ready r
      where r.queue_id = $1 and r.priority = line.priority and r.run_at <= now() - $2::bigint * interval '1 ms'
      order by r.run_at, r.task_id
      limit (select slots from free)) f
   where f.ready_at <= now() - $2::bigint * interval '1 ms'
   order by f.priority, f.run_at, f.task_id
   limit (select slots from free)
), mine as (
  insert into queue_pulses (queue_id, spoken_at, spoken)
  select $1, clock_timestamp(), 1 where exists (select 1 from forgotten)
  on conflict (queue_id) do update set spoken_at = excluded.spoken_at, spoken = queue_pulses.spoken + 1
   where $3::boolean
      or ((queue_pulses.claimed_at is null or queue_pulses.claimed_at <= clock_timestamp() - $2::bigint * interval '1 ms')
          and (queue_pulses.spoken_at is null
               or queue_pulses.spoken_at <= clock_timestamp() - least($5::bigint, $4::bigint * 2 ^ least(queue_pulses.spoken, 30)) * interval '1 ms'))
  returning queue_id
)
insert into outbox (lane, due_at, queue_id, task_ids)
select 'sqs', clock_timestamp() + interval '500 ms', $1, array_agg((select t.public_id from tasks t where t.task_id = f.task_id) order by f.place)
  from forgotten f
 where exists (select 1 from mine)
having count(*) > 0
returning outbox_id, queue_id, task_ids;
