-- name: setLockTimeout
-- params: ms
-- Until the end of the transaction: whoever waits for a lock longer than this is refused instead of answered late.
select set_config('lock_timeout', $1::text, true);

-- name: unsettledGenerations
-- params: org_id, asked
-- Of what is asked for by time, the generations whose head is older than that time: only for these can a commit with an earlier
-- time still arrive. `asked`: dataset, generation, moment.
select distinct g.generation_id
  from json_to_recordset($2::json) as a (dataset text, generation int, moment text)
  join datasets d on d.org_id = $1 and d.name = a.dataset
  join generations g on g.dataset_id = d.dataset_id and (case when a.generation is null then g.generation_id = d.current_generation_id else g.number = a.generation end)
 where a.moment is not null and (g.head_committed_at < a.moment::timestamptz) is not false
 order by g.generation_id;

-- name: settleGenerations
-- params: generation_ids
-- notnull: clock
-- Commits hold these rows FOR NO KEY UPDATE from before they read the clock until they are over. Once they are held FOR SHARE no
-- commit is on its way, and each that comes reads the clock after this statement did, so it has a later time than `clock`.
with held as materialized (
  select generation_id from generations where generation_id = any ($1::bigint[]) order by generation_id for share
)
select count(*)::int as held, clock_timestamp()::text as clock from held;

-- name: pickCommits
-- params: org_id, asked, clock?
-- notnull: place
-- nullable: generation_id number partitioned head_commit commit_no committed_at schema purged settled passed
-- One statement, one snapshot: which commit each of several datasets is at, at its head, at a number, or at a moment. `settled`:
-- no commit with an earlier time can arrive, because the head is as late; `passed`: the moment lies before `clock`. A dataset that
-- is not there has no row. `asked`: place, dataset, generation, version, moment.
select a.place, g.generation_id, g.number, g.partitioned, g.head_commit,
       coalesce(c.commit_no, case when a.version is null and a.moment is null then g.head_commit end) as commit_no,
       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at, c.schema, c.purged_at is not null as purged,
       a.moment is null or g.head_committed_at >= a.moment::timestamptz as settled,
       a.moment::timestamptz < $3::text::timestamptz as passed
  from json_to_recordset($2::json) as a (place int, dataset text, generation int, version bigint, moment text)
  join datasets d on d.org_id = $1 and d.name = a.dataset
  left join generations g on g.dataset_id = d.dataset_id and (case when a.generation is null then g.generation_id = d.current_generation_id else g.number = a.generation end)
  left join lateral (
    (select x.commit_no, x.committed_at, x.schema, x.purged_at from commits x
      where x.generation_id = g.generation_id and x.commit_no = coalesce(a.version, g.head_commit) and a.moment is null)
    union all
    (select x.commit_no, x.committed_at, x.schema, x.purged_at from commits x
      where x.generation_id = g.generation_id and x.committed_at <= a.moment::timestamptz
      order by x.committed_at desc limit 1)
    offset 0) c on true
 order by a.place;

-- name: filesOfCommit
-- params: generation_id, commit_no, limit
-- notnull: file_id partition_key object_key byte_count row_count sha256
-- What readers of a commit see: what is there still, and what went later. Costs the files seen and those that went since.
select * from (
  (select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256 from commit_files f
    where f.generation_id = $1 and f.removed_commit is null and f.added_commit <= $2 limit $3)
  union all
  (select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256 from commit_files f
    where f.generation_id = $1 and f.removed_commit > $2 and f.added_commit <= $2 limit $3)) f
 order by f.partition_key, f.file_id
 limit $3;

-- name: filesOfPartitions
-- params: generation_id, commit_no, keys, limit
-- notnull: file_id partition_key object_key byte_count row_count sha256
-- The same of some partitions: two probes for each, whatever the dataset has beside them.
select f.file_id, k.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256
  from unnest($3::text[]) as k (partition_key)
 cross join lateral (
   (select x.file_id, x.object_key, x.byte_count, x.row_count, x.sha256 from commit_files x
     where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null and x.added_commit <= $2)
   union all
   (select x.file_id, x.object_key, x.byte_count, x.row_count, x.sha256 from commit_files x
     where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit > $2 and x.added_commit <= $2)
   offset 0) f
 limit $4;

-- name: filesAdded
-- params: generation_id, from_commit, commit_no, keys?, limit
-- notnull: file_id partition_key object_key byte_count row_count sha256
-- What a commit has that an earlier one had not: files made after that one. What a revert brought back was made before, and read.
select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256
  from commit_files f
 where f.generation_id = $1 and f.added_commit > 0 and f.added_commit > $2 and f.added_commit <= $3
   and (f.removed_commit is null or f.removed_commit > $3)
   and (f.made_commit is null or f.made_commit > $2)
   and ($4::text[] is null or f.partition_key = any ($4))
 order by f.added_commit, f.file_id
 limit $5;

-- name: purgedCommits
-- params: generation_ids, commit_nos
-- Of these, the ones that were given up. Asked after their files were read: a commit that is kept now had all of them then.
select c.generation_id, c.commit_no
  from unnest($1::bigint[], $2::bigint[]) as w (generation_id, commit_no)
 cross join lateral (
   select x.generation_id, x.commit_no from commits x
    where x.generation_id = w.generation_id and x.commit_no = w.commit_no and x.purged_at is not null offset 0) c;

-- name: inputsOfLease
-- params: lease_no
-- nullable: committed_at schema purged
-- What an attempt reads: the commits pinned when it was claimed.
select d.name, g.generation_id, g.number, g.partitioned, ai.commit_no, ai.from_commit, ai.partition_key,
       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at, c.schema, c.purged_at is not null as purged
  from attempt_inputs ai
  join generations g on g.generation_id = ai.generation_id
  join datasets d on d.dataset_id = g.dataset_id
  left join lateral (
    select x.committed_at, x.schema, x.purged_at from commits x
     where x.generation_id = g.generation_id and x.commit_no = ai.commit_no offset 0) c on true
 where ai.lease_no = $1
 order by d.name;

-- name: findGeneration
-- params: org_id, name, generation?
-- nullable: generation_id number strategy head_commit is_current
-- A dataset and one of its generations, the current one unless another is named. A generation that is not there is null.
select d.dataset_id, d.name, d.org_id, g.generation_id, g.number, g.strategy, g.head_commit, g.generation_id = d.current_generation_id as is_current
  from datasets d
  left join generations g on g.dataset_id = d.dataset_id
       and (case when $3::int is null then g.generation_id = d.current_generation_id else g.number = $3 end)
 where d.org_id = $1 and d.name = $2;

-- name: listDatasets
-- params: org_id, name?
-- notnull: row_count byte_count file_count
-- nullable: producer_dag producer_job committed_at
select d.dataset_id, d.public_id, d.name, g.generation_id, g.number, g.head_commit,
       to_char(g.head_committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at, coalesce(c.schema, '[]'::json) as schema,
       coalesce(f.row_count, 0) as row_count, coalesce(f.byte_count, 0) as byte_count, coalesce(f.file_count, 0) as file_count,
       pd.name as producer_dag, pj.name as producer_job
  from datasets d
  join generations g on g.generation_id = d.current_generation_id
  left join lateral (
    select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) c on true
 cross join lateral (
   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count
     from commit_files x where x.generation_id = g.generation_id and x.removed_commit is null offset 0) f
  left join jobs pj on pj.job_id = d.producer_job_id
  left join dags pd on pd.dag_id = pj.dag_id
 where d.org_id = $1 and ($2::text is null or d.name = $2)
 order by d.name
 limit 1000;

-- name: commitsPage
-- params: generation_id, before_commit, limit
-- notnull: committed_at partitions inputs removed_rows removed_bytes
-- nullable: purged_at task_public_id content_sha256 dag job known
-- Commits from the newest, each with where it came from and what it took away; `known` is false where it or the commit before was
-- given up, and with them the files that tell what went. Costs the page and the files its commits removed.
select c.commit_no, g.number, c.kind, to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at,
       c.append_key, c.reverted_to, c.actor, c.reason,
       to_char(c.purged_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as purged_at,
       c.row_count, c.byte_count, c.file_count, c.lease_no, t.public_id as task_public_id, v.content_sha256, d.name as dag, j.name as job,
       (select count(*)::int from commit_partitions p where p.generation_id = c.generation_id and p.commit_no = c.commit_no and p.partition_key <> '') as partitions,
       c.purged_at is null and (select b.purged_at is null from commits b where b.generation_id = c.generation_id and b.commit_no = c.commit_no - 1) is not false as known,
       gone.row_count as removed_rows, gone.byte_count as removed_bytes,
       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', ig.number, 'commit', ai.commit_no) order by ds.name)
                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets ds on ds.dataset_id = ig.dataset_id
                  where ai.lease_no = c.lease_no), '[]'::json) as inputs
  from (select * from commits x where x.generation_id = $1 and x.commit_no < $2 order by x.commit_no desc limit $3) c
  join generations g on g.generation_id = c.generation_id
  left join lateral (select x.public_id, x.job_id from tasks x where x.task_id = c.task_id offset 0) t on true
  left join dag_versions v on v.dag_version_id = c.dag_version_id
  left join jobs j on j.job_id = t.job_id
  left join dags d on d.dag_id = j.dag_id
 cross join lateral (
   select coalesce(sum(f.row_count), 0)::bigint as row_count, coalesce(sum(f.byte_count), 0)::bigint as byte_count
     from commit_files f where f.generation_id = c.generation_id and f.removed_commit = c.commit_no offset 0) gone
 order by c.commit_no desc;

-- name: commitExtent
-- params: generation_id, commit_no
-- nullable: committed_at schema purged
-- notnull: row_count byte_count file_count partition_count
-- All that a commit has. Commit 0 has nothing and no row of its own.
select to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at, c.schema, c.purged_at is not null as purged,
       f.row_count, f.byte_count, f.file_count, f.partition_count
  from (select coalesce(sum(f.row_count), 0)::bigint as row_count, coalesce(sum(f.byte_count), 0)::bigint as byte_count, count(*)::int as file_count,
               count(distinct f.partition_key)::int as partition_count
          from (select x.partition_key, x.row_count, x.byte_count from commit_files x
                 where x.generation_id = $1 and x.removed_commit is null and x.added_commit <= $2
                union all
                select x.partition_key, x.row_count, x.byte_count from commit_files x
                 where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2) f) f
  left join commits c on c.generation_id = $1 and c.commit_no = $2;

-- name: changedPartitions
-- params: generation_id, low_commit, high_commit, limit
-- notnull: changed changed_high partition_key
-- nullable: low_rows low_bytes low_files high_rows high_bytes high_files
-- Partitions whose files at two commits differ, and what each side has of them. Only files that came or went between the two are
-- looked at to find them; one that went and came back by a revert is the same file.
with moved as (
  select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x
   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.added_commit <= $3
  union all
  select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x
   where x.generation_id = $1 and x.removed_commit > $2 and x.removed_commit <= $3 and x.added_commit <= $2
), differing as materialized (
  select m.partition_key, bool_or(m.high) as high
    from (select partition_key, object_key,
                 bool_or(added_commit <= $2 and (removed_commit is null or removed_commit > $2)) as low,
                 bool_or(added_commit <= $3 and (removed_commit is null or removed_commit > $3)) as high
            from moved group by partition_key, object_key) m
   where m.low <> m.high
   group by m.partition_key
), counted as (
  select count(*)::int as changed,
         (count(*) filter (where d.high
                              or exists (select 1 from commit_files x where x.generation_id = $1 and x.partition_key = d.partition_key and x.removed_commit is null and x.added_commit <= $3)
                              or exists (select 1 from commit_files x where x.generation_id = $1 and x.partition_key = d.partition_key and x.removed_commit > $3 and x.added_commit <= $3)))::int as changed_high
    from differing d
)
select n.changed, n.changed_high, d.partition_key,
       l.row_count as low_rows, l.byte_count as low_bytes, l.file_count as low_files,
       h.row_count as high_rows, h.byte_count as high_bytes, h.file_count as high_files
  from (select partition_key from differing order by partition_key limit $4) d
 cross join counted n
 cross join lateral (
   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count
     from (select a.row_count, a.byte_count from commit_files a
            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit is null and a.added_commit <= $2
           union all
           select a.row_count, a.byte_count from commit_files a
            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit > $2 and a.added_commit <= $2) x offset 0) l
 cross join lateral (
   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count
     from (select a.row_count, a.byte_count from commit_files a
            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit is null and a.added_commit <= $3
           union all
           select a.row_count, a.byte_count from commit_files a
            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit > $3 and a.added_commit <= $3) x offset 0) h
 order by d.partition_key;

-- name: lineageNodes
-- params: generation_ids, commit_nos
-- notnull: place committed_at inputs
-- nullable: task_public_id attempt dag job content_sha256 dag_number
-- What each of these commits was made from, and by whom. A commit that is not there has no row.
select w.place::int as place, c.generation_id, ds.name as dataset, g.number, c.commit_no, c.kind,
       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at,
       c.row_count, c.actor, c.lease_no, t.public_id as task_public_id, a.attempt, d.name as dag, j.name as job, v.content_sha256, v.number as dag_number,
       coalesce((select json_agg(json_build_object('dataset', ids.name, 'generation', ig.number, 'commit', ai.commit_no, 'generation_id', ai.generation_id) order by ids.name)
                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets ids on ids.dataset_id = ig.dataset_id
                  where ai.lease_no = c.lease_no),
                case when c.reverted_to > 0 then json_build_array(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', c.reverted_to, 'generation_id', c.generation_id)) end,
                '[]'::json) as inputs
  from unnest($1::bigint[], $2::bigint[]) with ordinality as w (generation_id, commit_no, place)
 cross join lateral (select * from commits x where x.generation_id = w.generation_id and x.commit_no = w.commit_no offset 0) c
  join generations g on g.generation_id = c.generation_id
  join datasets ds on ds.dataset_id = g.dataset_id
  left join lateral (select x.public_id, x.job_id from tasks x where x.task_id = c.task_id offset 0) t on true
  left join lateral (select x.attempt from attempts x where x.lease_no = c.lease_no offset 0) a on true
  left join jobs j on j.job_id = t.job_id
  left join dags d on d.dag_id = j.dag_id
  left join dag_versions v on v.dag_version_id = c.dag_version_id
 order by w.place;

-- name: readersOfCommit
-- params: generation_id, commit_no, limit
-- Commits whose attempts had this one pinned, newest first: an attempt's number tells when it was claimed.
select c.generation_id, c.commit_no
  from (select x.lease_no from attempt_inputs x where x.generation_id = $1 and x.commit_no = $2 order by x.lease_no desc limit $3) ai
 cross join lateral (select x.generation_id, x.commit_no from commits x where x.lease_no = ai.lease_no offset 0) c
 limit $3;

-- name: partitionsPage
-- params: generation_id, after_key?, limit
-- notnull: row_count byte_count file_count committed_at
-- Partitions in the order of their keys, at the head.
select p.partition_key, p.head_commit, to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as committed_at,
       f.row_count, f.byte_count, f.file_count
  from (select x.partition_key, x.head_commit from partitions x
         where x.generation_id = $1 and ($2::text is null or x.partition_key > $2)
         order by x.partition_key limit $3) p
 cross join lateral (select x.committed_at from commits x where x.generation_id = $1 and x.commit_no = p.head_commit offset 0) c
 cross join lateral (
   select coalesce(sum(x.row_count), 0)::bigint as row_count, coalesce(sum(x.byte_count), 0)::bigint as byte_count, count(*)::int as file_count
     from commit_files x where x.generation_id = $1 and x.partition_key = p.partition_key and x.removed_commit is null offset 0) f
 order by p.partition_key;

-- name: countPartitions
-- params: generation_id
-- notnull: partitions
select count(*)::int as partitions from partitions where generation_id = $1;
