-- name: revertScope
-- params: generation_id, to_commit, keys?, limit
-- notnull: gone back looked
-- How many files a revert would take away and bring back; where more than the limit have to be looked at, `looked` says so and the
-- others say nothing. Begins after the generation is locked.
with wanted as materialized (
  select x.object_key from commit_files x
   where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2 and ($3::text[] is null or x.partition_key = any ($3))
   limit $4
), there as materialized (
  select x.object_key from commit_files x
   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.removed_commit is null and ($3::text[] is null or x.partition_key = any ($3))
   limit $4
)
select (select count(*)::int from (select object_key from there except select object_key from wanted) g) as gone,
       (select count(*)::int from (select object_key from wanted except select object_key from there) b) as back,
       greatest((select count(*)::int from wanted), (select count(*)::int from there)) as looked;

-- name: unknownPartitions
-- params: generation_id, keys
-- notnull: partition_key
-- Of these keys, those that the generation has no partition of and no file that is kept of any commit.
select k.partition_key
  from unnest($2::text[]) as k (partition_key)
 where (select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key = k.partition_key) is null
   and (select x.file_id from commit_files x where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null limit 1) is null
   and (select x.file_id from commit_files x where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is not null limit 1) is null;

-- name: partitionsAround
-- params: generation_id, key, limit
-- Keys next to one that is not there, on either side: what somebody means who mistyped it is mostly among these.
(select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key > $2 order by x.partition_key limit $3)
union all
(select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key < $2 order by x.partition_key desc limit $3);

-- name: revertFiles
-- params: generation_id, to_commit, keys?, commit_no, committed_at, org_id, actor, reason?, schema, same_origin
-- notnull: partitions
-- Makes the files of a dataset, or of some of its partitions, those of an earlier commit. Only what differs is touched: a file that
-- both have stays, one that went is named again under the key it has, for bytes never move. The caller holds the generation; the
-- head moves only from the commit before. `origin` is the commit that made what a partition has now: its attempt is the lineage,
-- and where all of it is of one commit, that commit's fingerprint and source are what the dataset holds again. NOT IN is answered
-- from a table in memory, where an anti-join without hashes would look at each pair.
with wanted as materialized (
  select x.partition_key, x.object_key, x.byte_count, x.row_count, x.sha256, x.columns, x.append_key, coalesce(x.made_commit, x.added_commit) as made_commit
    from commit_files x
   where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2 and ($3::text[] is null or x.partition_key = any ($3))
), there as materialized (
  select x.file_id, x.partition_key, x.object_key, x.append_key
    from commit_files x
   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.removed_commit is null and ($3::text[] is null or x.partition_key = any ($3))
), shared as materialized (
  select object_key from wanted intersect select object_key from there
), gone as materialized (
  select t.* from there t where t.object_key not in (select object_key from shared)
), back as materialized (
  select w.* from wanted w where w.object_key not in (select object_key from shared)
), touched as materialized (
  select k.partition_key, greatest(l.made_commit, o.made_commit) as origin
    from (select partition_key from gone union select partition_key from back) k
   cross join lateral (
     select max(coalesce(x.made_commit, x.added_commit)) as made_commit from commit_files x
      where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null and x.added_commit <= $2 offset 0) l
   cross join lateral (
     select max(coalesce(x.made_commit, x.added_commit)) as made_commit from commit_files x
      where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit > $2 and x.added_commit <= $2 offset 0) o
), same as (
  select c.fingerprint, c.source from commits c
   where $10::boolean and c.generation_id = $1
     and c.commit_no = (select min(origin) from touched having min(origin) = max(origin) and count(*) = count(origin))
), head as (
  update generations set head_commit = $4, head_committed_at = $5::text::timestamptz, reverted_commit = $4
   where generation_id = $1 and head_commit = $4 - 1
  returning generation_id
), made as (
  insert into commits (generation_id, commit_no, org_id, kind, committed_at, schema, row_count, byte_count, file_count, fingerprint, source, reverted_to, actor, reason)
  select generation_id, $4, $6, 'revert', $5::text::timestamptz, $9::json,
         (select coalesce(sum(row_count), 0)::bigint from back), (select coalesce(sum(byte_count), 0)::bigint from back), (select count(*)::int from back),
         (select fingerprint from same), (select source from same), $2, $7, $8 from head
  returning generation_id, commit_no, row_count, byte_count, file_count
), removed as (
  update commit_files set removed_commit = $4 where file_id = any (array(select file_id from gone)) and exists (select 1 from head)
), added as (
  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns, append_key, made_commit)
  select m.generation_id, b.partition_key, m.commit_no, b.object_key, b.byte_count, b.row_count, b.sha256, b.columns, b.append_key, b.made_commit
    from made m, back b
), placed as (
  insert into partitions (generation_id, partition_key, head_commit, lease_no, reverted_commit)
  select m.generation_id, t.partition_key, m.commit_no, (select c.lease_no from commits c where c.generation_id = $1 and c.commit_no = t.origin), m.commit_no
    from made m, touched t where t.origin is not null
  on conflict (generation_id, partition_key) do update
     set head_commit = excluded.head_commit, lease_no = excluded.lease_no, reverted_commit = excluded.reverted_commit
), emptied as (
  delete from partitions
   where generation_id = $1 and exists (select 1 from head)
     and partition_key = any (array(select partition_key from touched where origin is null))
), listed as (
  insert into commit_partitions (generation_id, commit_no, partition_key)
  select m.generation_id, m.commit_no, t.partition_key from made m, touched t
), restored as (
  insert into append_keys (generation_id, partition_key, append_key, commit_no, lease_no, fingerprint)
  select m.generation_id, s.partition_key, s.append_key, s.made_commit, c.lease_no, c.fingerprint
    from made m
   cross join (select partition_key, append_key, max(made_commit) as made_commit from back where append_key is not null group by partition_key, append_key) s
   cross join lateral (select x.lease_no, x.fingerprint from commits x where x.generation_id = m.generation_id and x.commit_no = s.made_commit offset 0) c
  on conflict (generation_id, partition_key, append_key) do update
     set commit_no = excluded.commit_no, lease_no = excluded.lease_no, fingerprint = excluded.fingerprint, reverted_commit = null
), withdrawn as (
  update append_keys a set reverted_commit = $4
    from (select distinct g.partition_key, g.append_key from gone g
           where g.append_key is not null
             and (g.partition_key, g.append_key) not in (select b.partition_key, b.append_key from back b where b.append_key is not null)) s
   where a.generation_id = $1 and a.partition_key = s.partition_key and a.append_key = s.append_key and exists (select 1 from head)
)
select m.commit_no, m.row_count, m.byte_count, m.file_count, array(select partition_key from touched) as partitions from made m;

-- name: findRevert
-- params: generation_id, commit_no
-- nullable: reverted_to actor
-- notnull: partitions
-- The commit right after the head that a revert expected: whether it is that same revert, made by a call whose answer was lost.
select c.commit_no, c.reverted_to, c.actor, c.reason,
       array(select p.partition_key from commit_partitions p where p.generation_id = c.generation_id and p.commit_no = c.commit_no limit 10001) as partitions
  from commits c where c.generation_id = $1 and c.commit_no = $2 and c.kind = 'revert';

-- name: sameAt
-- params: generation_id, low_commit, high_commit, keys?
-- notnull: same
-- Whether some partitions, or all of them, have the same files at two commits.
select not exists (
  select 1
    from (select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x
           where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.added_commit <= $3
          union all
          select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x
           where x.generation_id = $1 and x.removed_commit > $2 and x.removed_commit <= $3 and x.added_commit <= $2) m
   where $4::text[] is null or m.partition_key = any ($4)
   group by m.object_key
  having bool_or(m.added_commit <= $2 and (m.removed_commit is null or m.removed_commit > $2))
      <> bool_or(m.added_commit <= $3 and (m.removed_commit is null or m.removed_commit > $3))) as same;

-- name: addDatasetAudit
-- params: org_id, actor, action, detail
insert into audit_log (org_id, actor, action, task_ids, detail) values ($1, $2, $3, '{}', $4::json);

-- name: addDatasetEvents
-- params: org_id, dataset, generation, commit_no
-- As addEvents, of a commit that no task made.
insert into outbox (lane, due_at, events)
select 'events', clock_timestamp(), json_build_array(json_build_object('type', 'dataset.reverted', 'time', clock_timestamp(),
         'detail', json_build_object('org', o.name, 'dataset', $2::text, 'generation', $3::int, 'commit', $4::bigint)))
  from orgs o where o.org_id = $1;
