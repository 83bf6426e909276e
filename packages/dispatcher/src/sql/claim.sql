-- name: claimTasks
-- params: session_public_id, queue_id, task_public_ids, priorities, run_ats, task_ids, limit, secrets
-- notnull: session_id payloads lease_nos task_ids public_ids attempts job_ids dag_version_ids waited_ms
-- nullable: others runs onward
-- Moves ready rows to leases in one statement, those named first and then the next ones of the queue: no moment exists at
-- which a task is in neither table. The session row is locked FOR KEY SHARE: it cannot be closed under the claim (closing locks it
-- FOR UPDATE), and a beat, which changes no key, need not wait for the claims of a busy worker. SKIP LOCKED gives each
-- row to one claimer. What the second part may take depends on what the first took, which makes it run afterwards.
-- `priorities`, `run_ats` and `task_ids` say, in order, where to start in each priority (rules/watermarks.ts): a claim then
-- costs what it takes and not what the index still holds of rows long gone. The arrays of tids keep the plan at "fetch these
-- rows", OFFSET 0 and the terms that add nothing at "one probe for each", whatever the planner believes of the tables' sizes. `secrets`
-- are 16 random bytes for each row that may be taken; the caller makes the tokens of them and of the numbers, as it is done
-- here. The answer is one row, with a list for each column: as rows of a thousand tasks it went to the network in dozens of
-- pieces, which cost more than claiming them. `payloads` is the text of a JSON array, `public_ids` are separated by commas,
-- `others` the places, from 1, of tasks that are not plain, `runs` pairs of place and run, and `onward`, for each priority, the last of the next ones that were taken.
with session as materialized (
  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for key share
), live as materialized (
  select session_id from session where expires_at > clock_timestamp()
), named as (
  delete from ready where ctid = any (array(
    select n.ctid
      from unnest(case when cardinality($3::uuid[]) <= $7
                       then array(select t.task_id from tasks t where t.public_id = any ($3))
                       else array(select x.task_id
                                    from (select t.task_id from tasks t where t.public_id = any ($3) offset 0) t
                                   cross join lateral (
                                     select r.priority, r.run_at, r.task_id from ready r
                                      where r.task_id = t.task_id and r.queue_id + 0 = $2 and r.run_at + interval '0' <= now() offset 0) x
                                   order by x.priority, x.run_at, x.task_id limit $7) end) as w (task_id)
     cross join lateral (
       select r.ctid from ready r where r.task_id = w.task_id and r.queue_id + 0 = $2 and r.run_at + interval '0' <= now()
          for update skip locked) n
     where exists (select 1 from live)))
  returning task_id, priority, run_at, attempt, failures, lease_losses
), next as (
  delete from ready where ctid = any (array(
    select n.ctid
      from unnest($4::smallint[], $5::text[], $6::bigint[]) as p (priority, run_at, task_id)
     cross join lateral (
       select r.ctid
         from ready r
        where r.queue_id = $2 and r.priority = p.priority and (r.run_at, r.task_id) >= (p.run_at::timestamptz, p.task_id) and r.run_at <= now()
        order by r.run_at, r.task_id
        limit $7
          for update skip locked) n
     where exists (select 1 from live)
     limit greatest($7 - (select count(*) from named), 0)))
  returning task_id, priority, run_at, attempt, failures, lease_losses
), claimed as materialized (
  select c.*, (select int8send(session_id) from live) || int8send(c.lease_no) || int8send(c.task_id) || substr($8::bytea, c.place * 16 - 15, 16) as token
    from (select u.task_id, u.priority, u.run_at, u.attempt + 1 as attempt, u.failures, u.lease_losses,
                 nextval('lease_numbers') as lease_no, row_number() over ()::int as place,
                 t.public_id, t.run_id, t.job_id, t.dag_version_id, t.timeout_ms, t.payload, t.plain
            from (select * from named union all select * from next) u
           cross join lateral (
             select x.public_id, x.run_id, x.job_id, x.dag_version_id, x.timeout_ms, x.payload, x.output_partition is null and not x.limited as plain
               from tasks x where x.task_id = u.task_id offset 0) t) c
), leased as (
  insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, plain, deadline)
  select token, lease_no, task_id, (select session_id from live), $2, priority, attempt, failures, lease_losses, plain,
         clock_timestamp() + (timeout_ms + 10000) * interval '1 ms'
    from claimed
)
select (select session_id from live) as session_id,
       '[' || string_agg(c.payload::text, ',') || ']' as payloads,
       array_agg(c.lease_no) as lease_nos, array_agg(c.task_id) as task_ids, string_agg(c.public_id::text, ',') as public_ids,
       array_agg(c.attempt) as attempts, array_agg(c.job_id) as job_ids, array_agg(c.dag_version_id) as dag_version_ids,
       array_agg(c.place) filter (where not c.plain) as others,
       json_agg(json_build_array(c.place, (select r.public_id from runs r where r.run_id = c.run_id))) filter (where c.run_id is not null) as runs,
       (select json_agg(json_build_array(l.priority, l.run_at::text, (select max(n.task_id) from next n where n.priority = l.priority and n.run_at = l.run_at)))
          from (select priority, max(run_at) as run_at from next group by priority) l) as onward,
       (extract(epoch from clock_timestamp() - min(c.run_at)) * 1000)::float8 as waited_ms
  from claimed c
having count(*) > 0;

-- name: firstReady
-- params: queue_id, lag_ms
-- notnull: priority run_at task_id
-- Where claims may start in each priority of a queue: at its first ready row, and not later than `lag_ms` ago. The first row
-- may be of the future, or just be written; what becomes ready now, or commits in a moment, lies before it and must be found.
-- One probe per priority; it walks over what is dead in the index, so it is asked for now and then, not by each claim.
with recursive first as (
  (select priority, run_at, task_id from ready where queue_id = $1 order by priority, run_at, task_id limit 1)
  union all
  select n.priority, n.run_at, n.task_id
    from first f
   cross join lateral (
     select r.priority, r.run_at, r.task_id from ready r
      where r.queue_id = $1 and r.priority > f.priority
      order by r.priority, r.run_at, r.task_id limit 1) n
)
select f.priority::int as priority, least(f.run_at, p.latest)::text as run_at, case when f.run_at <= p.latest then f.task_id else 0 end as task_id
  from first f cross join (select now() - $2::bigint * interval '1 ms' as latest) p;

-- name: jobsOfVersions
-- params: dag_version_ids, job_ids
-- What claims tell of jobs. Rows never change, so the caller keeps them.
select jv.dag_version_id, jv.job_id, d.name as dag, jv.definition, jv.timeout_ms
  from unnest($1::bigint[], $2::bigint[]) as w (dag_version_id, job_id)
  join job_versions jv on jv.dag_version_id = w.dag_version_id and jv.job_id = w.job_id
  join dag_versions v on v.dag_version_id = jv.dag_version_id
  join dags d on d.dag_id = v.dag_id;

-- name: sessionIsLive
-- params: session_public_id
select session_id from sessions where public_id = $1 and closed_at is null and expires_at > clock_timestamp();

-- name: holdInputs
-- params: task_ids
-- notnull: generation_id
-- Keeps purges away from what these tasks read until the transaction is over. The pins must be taken by a statement that begins
-- afterwards: one that began before would pin a head that was given up while it waited for its own rows. A generation that is being
-- built is held too, because it may be the current one by then. Commits go on, and a claim waits for no more than one step of a purge.
select g.generation_id from generations g
 where g.generation_id = any (array(
   select coalesce(ji.generation_id, x.generation_id)
     from unnest($1::bigint[]) as c (task_id)
    cross join lateral (select t.dag_version_id, t.job_id from tasks t where t.task_id = c.task_id offset 0) t
     join job_inputs ji on ji.dag_version_id = t.dag_version_id and ji.job_id = t.job_id
     join datasets d on d.dataset_id = ji.dataset_id
    cross join lateral (
      select d.current_generation_id as generation_id
      union all select s.generation_id from generation_switches s where s.dataset_id = d.dataset_id) x))
 order by g.generation_id for key share;

-- name: pinInputs
-- params: lease_nos, task_ids, folders
-- Pins the head of each input as of now, once per lease: what this attempt reads, whatever is committed while it runs. Of an
-- input of which the news only are read, the range is the task's and was fixed at its first claim, as is the slice of an append:
-- whoever runs it again reads and writes the same. The slice is the range, and what the payload asks for as append_key; of neither, the
-- task itself. How far the job has read is told for each generation that it writes, so that one
-- that is built anew is built from the beginning. A task of one partition reads that partition of the inputs that have any. And names the place of each output, with the head it had in the same snapshot
-- (what is reverted later, the attempt does not know of), and until when something may be written there: 15 minutes past the
-- lease, which is as long as the attempt's keys live. A task has one lease at a time, so nobody else fixes its slice. The caller holds
-- the inputs (holdInputs), so that nothing pinned here is being purged.
with claimed as materialized (
  select c.lease_no, c.task_id, c.folder, t.public_id, t.dag_version_id, t.job_id, t.output_partition, t.payload, l.deadline
    from unnest($1::bigint[], $2::bigint[], $3::text[]) as c (lease_no, task_id, folder)
   cross join lateral (select * from tasks x where x.task_id = c.task_id offset 0) t
   cross join lateral (select x.deadline from leases x where x.task_id = c.task_id and x.lease_no = c.lease_no offset 0) l
), input as materialized (
  select c.lease_no, c.task_id, d.name, g.generation_id, g.number, g.head_commit, ji.read, case when jv.per_partition and g.partitioned then c.output_partition end as partition_key,
         least(coalesce(r.from_commit, k.position::bigint, 0), g.head_commit) as from_commit, coalesce(r.to_commit, g.head_commit) as to_commit,
         r.task_id is not null as fixed
    from claimed c
    join job_versions jv on jv.dag_version_id = c.dag_version_id and jv.job_id = c.job_id
    join job_inputs ji on ji.dag_version_id = c.dag_version_id and ji.job_id = c.job_id
    join datasets d on d.dataset_id = ji.dataset_id
    join generations g on g.generation_id = coalesce(ji.generation_id, d.current_generation_id)
    left join task_ranges r on ji.read = 'new' and r.task_id = c.task_id and r.generation_id = g.generation_id
    left join cursors k on ji.read = 'new' and k.job_id = c.job_id and k.output_partition = coalesce(c.output_partition, '') 
         and k.name = format('input:%s>%s', g.generation_id, (select min(jo.generation_id) from job_outputs jo where jo.dag_version_id = c.dag_version_id and jo.job_id = c.job_id))
), range as (
  insert into task_ranges (task_id, generation_id, from_commit, to_commit)
  select task_id, generation_id, from_commit, to_commit from input where read = 'new' and not fixed
), pinned as (
  insert into attempt_inputs (lease_no, generation_id, commit_no, from_commit, partition_key)
  select lease_no, generation_id, case read when 'new' then to_commit else head_commit end, case read when 'new' then from_commit end, partition_key from input
  on conflict do nothing
), output as materialized (
  select c.lease_no, c.task_id, c.folder, c.public_id, c.payload ->> 'append_key' as asked_key, c.deadline, g.generation_id, g.storage_id, g.head_commit, g.strategy
    from claimed c
    join job_outputs jo on jo.dag_version_id = c.dag_version_id and jo.job_id = c.job_id
    join datasets d on d.dataset_id = jo.dataset_id
    join generations g on g.generation_id = coalesce(jo.generation_id, d.current_generation_id)
), named as materialized (
  select o.task_id, min(o.head_commit) as head_commit,
         coalesce(nullif(concat_ws(' ', nullif(o.asked_key, ''),
                                   (select string_agg(format('%s.%s:%s-%s', i.name, i.number, i.from_commit, i.to_commit), ',' order by i.name) from input i where i.lease_no = o.lease_no and i.read = 'new')), ''),
                  o.public_id::text) as key
    from output o where o.strategy = 'append'
   group by o.task_id, o.lease_no, o.public_id, o.asked_key
), slice as (
  -- A key that was cut could be that of another slice.
  insert into task_slices (task_id, append_key, head_commit)
  select n.task_id, case when length(n.key) <= 1024 then n.key else left(n.key, 900) || ' ' || encode(sha256(convert_to(n.key, 'UTF8')), 'hex') end, n.head_commit
    from named n
  on conflict (task_id) do update set head_commit = excluded.head_commit where task_slices.head_commit is null
)
insert into staging (lease_no, generation_id, prefix, head_commit, write_until)
select lease_no, generation_id, 'd/' || storage_id || '/a/' || folder || '/', head_commit, deadline + interval '15 minutes' from output
on conflict do nothing;

-- name: describeStaging
-- params: lease_nos, task_ids
-- notnull: filled
-- nullable: schema fingerprint source
-- What attempts are told of their outputs beside the place: the columns with the field ids that files carry, and what the last
-- commit of the same partition, or of all of them, was made from.
select st.lease_no, st.generation_id, st.write_until, g.last_field_id, h.schema,
       (select x.commit_no from commits x where x.generation_id = g.generation_id and x.row_count > 0 limit 1) is not null as filled, p.fingerprint, p.source
  from unnest($1::bigint[], $2::bigint[]) as w (lease_no, task_id)
 cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t
 cross join lateral (select * from staging x where x.lease_no = w.lease_no offset 0) st
  join generations g on g.generation_id = st.generation_id
  left join job_outputs jo on jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id and jo.dataset_id = g.dataset_id
  left join lateral (select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) h on true
  left join lateral (
    select c.fingerprint, c.source from commits c
     where c.generation_id = g.generation_id and c.fingerprint is not null and (jo.partition_by is null or g.strategy = 'replace')
       and c.commit_no = case when jo.partition_by is not null then g.head_commit
                              else (select x.head_commit from partitions x where x.generation_id = g.generation_id and x.partition_key = coalesce(t.output_partition, '')) end
    offset 0) p on true;

-- name: describeLeases
-- params: tokens
-- notnull: live operator
-- nullable: run_public_id
-- Everything an attempt needs to know of itself. `live` is a hint here: only lockLeases decides.
select l.token, l.lease_no, l.task_id, l.session_id, l.attempt, l.claimed_at, t.public_id, t.org_id, t.job_id, t.dag_version_id, t.payload,
       t.timeout_ms, t.output_partition, r.public_id as run_public_id, d.name as dag, jv.operator,
       (l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live,
       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', ai.commit_no, 'from', ai.from_commit, 'generation_id', g.generation_id) order by ds.name)
                   from attempt_inputs ai
                   join generations g on g.generation_id = ai.generation_id
                   join datasets ds on ds.dataset_id = g.dataset_id
                  where ai.lease_no = l.lease_no), '[]'::json) as inputs,
       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation_id', g.generation_id, 'storage_id', g.storage_id,
                                                   'strategy', g.strategy, 'partition_by', jo.partition_by) order by ds.name)
                   from staging st
                   join generations g on g.generation_id = st.generation_id
                   join datasets ds on ds.dataset_id = g.dataset_id
                   left join job_outputs jo on jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id and jo.dataset_id = ds.dataset_id
                  where st.lease_no = l.lease_no), '[]'::json) as outputs
  from (select * from leases where token = any ($1::bytea[]) offset 0) l
  join sessions s on s.session_id = l.session_id
 cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t
  join dag_versions v on v.dag_version_id = t.dag_version_id
  join dags d on d.dag_id = v.dag_id
  join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id
  left join runs r on r.run_id = t.run_id
 order by l.lease_no;
