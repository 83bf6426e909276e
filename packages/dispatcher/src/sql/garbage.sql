-- name: lockForPurge
-- params: generation_id
-- notnull: is_current in_use
-- Nobody may pin a commit while one is given up: pins and claims hold the row FOR KEY SHARE while they look and write. `in_use`: it is
-- what readers see, or is being built to be.
select g.generation_id, g.head_commit, g.generation_id = d.current_generation_id as is_current,
       g.generation_id = d.current_generation_id or exists (select 1 from generation_switches s where s.generation_id = g.generation_id) as in_use
  from generations g join datasets d on d.dataset_id = g.dataset_id
 where g.generation_id = $1 for update of g;

-- name: heldCommits
-- params: generation_id, before_commit
-- notnull: commit_no
-- Commits that somebody holds: a pin that is not over, an attempt whose lease is still there, a task that has not ended and is to
-- read the news up to there, however often it is tried. A statement of its own, because it must begin after the generation is locked.
select p.commit_no from pins p
 where p.generation_id = $1 and p.commit_no < $2 and (p.expires_at is null or p.expires_at > clock_timestamp())
union
select ai.commit_no
  from leases l
 cross join lateral (select x.commit_no from attempt_inputs x where x.lease_no = l.lease_no and x.generation_id = $1 and x.commit_no + 0 < $2 offset 0) ai
 where not l.plain
union
select r.to_commit
  from (select distinct ji.job_id from generations g join job_inputs ji on ji.dataset_id = g.dataset_id where g.generation_id = $1 and ji.read = 'new') j
 cross join lateral (select x.task_id from live_outputs x where x.job_id = j.job_id offset 0) lo
 cross join lateral (select x.to_commit from task_ranges x where x.task_id = lo.task_id and x.generation_id = $1 and x.to_commit < $2 offset 0) r;

-- name: purgeableCommits
-- params: generation_id, before_commit, held
-- notnull: commits kept
select count(*) filter (where c.commit_no <> all ($3::bigint[]))::int as commits,
       count(*) filter (where c.commit_no = any ($3::bigint[]))::int as kept
  from commits c where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null;

-- name: markPurged
-- params: generation_id, before_commit, held, limit
-- notnull: commits
-- From the oldest on, and never back: what is marked is read by nobody any more.
with marked as (
  update commits set purged_at = clock_timestamp()
   where generation_id = $1 and commit_no = any (array(
     select c.commit_no from commits c
      where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null and c.commit_no <> all ($3::bigint[])
      order by c.commit_no limit $4))
  returning commit_no
)
select count(*)::int as commits from marked;

-- name: keptBelow
-- params: generation_id, before_commit
-- notnull: kept
-- Commits below the bound that were not given up. It only ever gets shorter, so what was found stays safe to go by.
select coalesce(array_agg(c.commit_no order by c.commit_no), '{}') as kept
  from commits c where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null;

-- name: purgeableFiles
-- params: generation_id, before_commit, kept, whole
-- notnull: files bytes
-- Files that no commit has but `kept` ones and those from the bound on, each object once, unless another row names it. `whole`: the
-- head is below the bound too, so what is still there goes with it.
with dying as materialized (
  select f.file_id, f.object_key, f.byte_count
    from (select x.file_id, x.object_key, x.byte_count, x.added_commit, x.removed_commit from commit_files x where x.generation_id = $1 and x.removed_commit <= $2
          union all
          select x.file_id, x.object_key, x.byte_count, x.added_commit, x.removed_commit from commit_files x where $4::boolean and x.generation_id = $1 and x.removed_commit is null) f
   where not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= f.added_commit and (f.removed_commit is null or k.commit_no < f.removed_commit))
)
select count(*)::int as files, coalesce(sum(o.byte_count), 0)::bigint as bytes
  from (select object_key, max(byte_count) as byte_count, count(*) as named from dying group by object_key) o
 cross join lateral (select count(*) as named from commit_files x where x.object_key = o.object_key offset 0) x
 where x.named = o.named;

-- name: lockMoves
-- params: generation_id
-- One at a time moves files of a generation: of two that each delete one of the rows that name an object, neither would see the last.
select pg_advisory_xact_lock(hashtextextended('trace purge', $1)) is not null as held;

-- name: movePurgedFiles
-- params: generation_id, before_commit, kept, whole, grace_ms, limit
-- notnull: moved files bytes
-- Some of the files that no kept commit has: their rows go, and their objects are garbage once nobody can be reading them. An
-- object that another row still names is none; reverts name objects again. Commits may go on meanwhile, for `kept` never grows.
with gone as (
  delete from commit_files where file_id = any (array(
    select f.file_id
      from ((select x.file_id, x.added_commit, x.removed_commit from commit_files x
              where x.generation_id = $1 and x.removed_commit <= $2
                and not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= x.added_commit and k.commit_no < x.removed_commit)
              limit $6)
            union all
            (select x.file_id, x.added_commit, x.removed_commit from commit_files x
              where $4::boolean and x.generation_id = $1 and x.removed_commit is null
                and not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= x.added_commit)
              limit $6)) f
     limit $6))
  returning file_id, object_key, byte_count
), garbage as (
  insert into garbage_files (object_key, byte_count, not_before)
  select g.object_key, max(g.byte_count), clock_timestamp() + $5::bigint * interval '1 ms'
    from (select object_key, max(byte_count) as byte_count, count(*) as named from gone group by object_key) g
   cross join lateral (select count(*) as named from commit_files x where x.object_key = g.object_key offset 0) x
   where x.named = g.named
   group by g.object_key
  on conflict (object_key) do nothing
  returning byte_count
)
select (select count(*)::int from gone) as moved, (select count(*)::int from garbage) as files, (select coalesce(sum(byte_count), 0)::bigint from garbage) as bytes;

-- name: takeAbandoned
-- params: grace_ms, retry_ms, limit
-- Places where nobody may write any more and whose attempt is over without having published a file there. They are marked, so that other
-- dispatchers leave them alone for a while, and not deleted: that comes when their objects are gone.
update staging s set deleting_since = clock_timestamp()
 where s.ctid = any (array(
         select x.ctid from staging x
         where x.write_until < now() - $1::bigint * interval '1 ms'
           and (x.deleting_since is null or x.deleting_since < now() - $2::bigint * interval '1 ms')
           and (select a.lease_no from attempts a where a.lease_no = x.lease_no) is not null
           and (select c.commit_no from commits c where c.lease_no = x.lease_no and c.generation_id = x.generation_id and c.file_count > 0) is null
         order by x.write_until limit $3 for update skip locked))
returning s.lease_no, s.generation_id, s.prefix;

-- name: releaseAbandoned
-- params: lease_nos, generation_ids
-- They were not deleted after all: the next pass may take them.
update staging s set deleting_since = null
 where s.lease_no = any ($1::bigint[]) and s.generation_id = any ($2::bigint[]) and s.deleting_since is not null;

-- name: dropAbandoned
-- params: lease_no, generation_id
delete from staging where lease_no = $1 and generation_id = $2 and deleting_since is not null;

-- name: namedObjects
-- params: object_keys
-- Of these, the objects that a commit names. Asked again right before any is deleted.
select distinct f.object_key
  from unnest($1::text[]) as w (object_key)
 cross join lateral (select x.object_key from commit_files x where x.object_key = w.object_key limit 1) f;

-- name: dueGarbage
-- params: limit
select object_key, byte_count from garbage_files where not_before <= now() order by not_before limit $1;

-- name: dropGarbage
-- params: object_keys
-- notnull: files bytes
-- Counts what this call took away, so that two dispatchers that deleted the same object count it once.
with gone as (
  delete from garbage_files where object_key = any ($1::text[]) returning byte_count
)
select count(*)::int as files, coalesce(sum(byte_count), 0)::bigint as bytes from gone;

-- name: waitingObjects
-- params: object_keys
-- Of these, the objects that wait to be deleted.
select object_key from garbage_files where object_key = any ($1::text[]);

-- name: garbageStatus
-- params:
-- notnull: files places
-- What waits, counted up to 100,000, and for how long the longest is overdue.
select (select count(*)::int from (select 1 from garbage_files limit 100000) f) as files,
       (select count(*)::int from (select 1 from staging where write_until < now() limit 100000) s) as places,
       (extract(epoch from clock_timestamp() - (select not_before from garbage_files order by not_before limit 1)) * 1000)::float8 as overdue_ms;

-- name: unsettledTasks
-- params: public_ids
-- Of these tasks, those that have not ended.
select t.public_id
  from unnest($1::uuid[]) as w (public_id)
 cross join lateral (select x.task_id, x.public_id from tasks x where x.public_id = w.public_id offset 0) t
 where (select o.task_id from outcomes o where o.task_id = t.task_id) is null;

-- name: extendStaging
-- params: token, seconds
-- notnull: seconds
-- Who may write where, and until when, recorded before any key is given out: garbage collection goes by it. Only a live lease gets
-- one, and never for longer than 15 minutes past its deadline. No row: the lease is not live, or has nothing to write.
with held as materialized (
  select l.lease_no, l.deadline from leases l join sessions s on s.session_id = l.session_id
   where l.token = $1 and l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()
     for share of l
), extended as (
  update staging s
     set write_until = greatest(s.write_until, least(clock_timestamp() + $2::int * interval '1 second', (select h.deadline from held h) + interval '15 minutes'))
   where s.lease_no = (select h.lease_no from held h)
  returning s.lease_no, s.generation_id, s.prefix, s.write_until
)
select e.prefix, extract(epoch from e.write_until - clock_timestamp())::float8 as seconds from extended e order by e.generation_id;
