-- name: lockGenerations
-- params: generation_ids
-- notnull: committed_at
-- Commits to one dataset queue here for one commit's time. The time is read when every lock is held and is later than
-- the last commit of each of them, so commit times strictly increase and one call's commits share one. NO KEY: a claim
-- that pins a generation references its row, and must never wait for a commit.
with held as materialized (
  select generation_id, number, head_commit, head_committed_at, last_field_id, reverted_commit from generations
   where generation_id = any ($1::bigint[]) order by generation_id for no key update
)
select coalesce(json_agg(json_build_object('generation_id', generation_id, 'number', number, 'head_commit', head_commit,
                                           'last_field_id', last_field_id, 'reverted_commit', reverted_commit)), '[]'::json) as heads,
       greatest(clock_timestamp(), max(head_committed_at) + interval '1 microsecond')::text as committed_at
  from held;

-- name: judgeOutputs
-- params: lease_no, task_id, outputs
-- nullable: schema reverted_commit append reverted_slice same_fingerprint slice_key slice_head
-- notnull: lasts ours
-- What each output is by now, and what the attempt knew of it: whether its commit is news is decided by rules/supersede.ts. A
-- statement of its own, because it must begin after the generations are locked. A partition that is not there may have been taken away
-- by the dataset's last revert. `outputs`: generation_id, keys (of the
-- partitions that the attempt writes), whole (it writes all there are), fingerprint. `lasts` are the inputs that the partitions
-- were made from, one entry for each attempt that made some of them; `ours` are the attempt's own. The generation that the deployed
-- version of the job reads counts as the latest one: after a deploy of an earlier version it is not the one with the highest number.
with wanted as (
  select o.generation_id, o.keys, o.whole, o.fingerprint
    from json_to_recordset($3::json) as o (generation_id bigint, keys text[], whole boolean, fingerprint text)
), slice as (
  select append_key, head_commit from task_slices where task_id = $2
), reads as materialized (
  select coalesce(ji.generation_id, ds.current_generation_id) as generation_id
    from (select x.job_id from tasks x where x.task_id = $2 offset 0) t
    join jobs j on j.job_id = t.job_id
    join dags d on d.dag_id = j.dag_id
    join job_inputs ji on ji.dag_version_id = d.current_version_id and ji.job_id = j.job_id
    join datasets ds on ds.dataset_id = ji.dataset_id
), touched as materialized (
  select w.generation_id, p.lease_no, p.reverted_commit
    from wanted w
   cross join lateral unnest(case when w.whole then array(select x.partition_key from partitions x where x.generation_id = w.generation_id) else w.keys end) k (partition_key)
   cross join lateral (select * from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p
)
select w.generation_id, c.schema, st.head_commit as claimed_head,
       case when w.whole then g.reverted_commit
            else (select max(coalesce(p.reverted_commit, g.reverted_commit))
                    from unnest(w.keys) k (partition_key)
                    left join lateral (select x.reverted_commit from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p on true)
       end as reverted_commit,
       s.append_key as slice_key, s.head_commit as slice_head,
       case when g.strategy = 'append' then
         (select json_build_object('commit_no', a.commit_no, 'lease_no', a.lease_no, 'reverted_commit', a.reverted_commit, 'fingerprint', a.fingerprint)
            from append_keys a where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key) end as append,
       case when g.strategy = 'append' then
         (select a.commit_no from append_keys a
           where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.fingerprint = w.fingerprint and a.reverted_commit is null limit 1)
       else (select hc.commit_no from commits hc
              where hc.generation_id = w.generation_id and hc.fingerprint = w.fingerprint
                and hc.commit_no = coalesce((select p.head_commit from partitions p where not w.whole and p.generation_id = w.generation_id and p.partition_key = w.keys[1]),
                                            case when w.whole then g.head_commit end)) end as same_fingerprint,
       coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when ig.generation_id in (select r.generation_id from reads r) then 2147483647 else ig.number end, 'commit', ai.commit_no, 'from', ai.from_commit))
                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = $1), '[]'::json) as ours,
       coalesce((select json_agg(coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when ig.generation_id in (select r.generation_id from reads r) then 2147483647 else ig.number end, 'commit', ai.commit_no))
                                             from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = l.lease_no), '[]'::json))
                   from (select distinct t.lease_no from touched t where t.generation_id = w.generation_id and t.lease_no is not null and g.strategy = 'replace'
                         union select a.lease_no from append_keys a
                                where g.strategy = 'append' and a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key
                                  and a.lease_no is not null) l), '[]'::json) as lasts
  from wanted w
  join generations g on g.generation_id = w.generation_id
  join staging st on st.lease_no = $1 and st.generation_id = w.generation_id
  left join commits c on c.generation_id = w.generation_id and c.commit_no = g.head_commit
  left join slice s on true;

-- name: commitOutput
-- params: generation_id, commit_no, kind, keys, whole, append_key?, committed_at, org_id, task_id, lease_no, dag_version_id, schema, last_field_id, row_count, byte_count, file_count, files, fingerprint?, source?
-- notnull: commit_no partitions
-- Publishes an attempt's files as the content of the partitions it wrote, or of one slice of one partition. The caller holds the
-- lease and the generation; the head moves only from the commit before, so a defect above shows as no row and not as a gap. What
-- is touched is looked up key by key, so that a commit of one partition costs the same beside a million others. `files` name
-- their partition; `whole`: partitions that are not among them are empty from now on. The places of the attempt are published
-- and no garbage any more.
with head as (
  update generations
     set head_commit = $2, head_committed_at = $7::text::timestamptz, last_field_id = $13
   where generation_id = $1 and head_commit = $2 - 1
  returning generation_id
), made as (
  insert into commits (generation_id, commit_no, org_id, kind, append_key, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, fingerprint, source)
  select generation_id, $2, $8, $3, $6, $7::text::timestamptz, $9, $10, $11, $12::json, $14, $15, $16, $18, $19::json from head
  returning generation_id, commit_no
), touched as materialized (
  select k.partition_key from unnest($4::text[]) k (partition_key)
   union
  select p.partition_key from partitions p where $5::boolean and p.generation_id = $1
), removed as (
  update commit_files set removed_commit = $2
   where generation_id = $1 and removed_commit is null and partition_key = any (array(select partition_key from touched))
     and ($3 = 'replace' or append_key = $6) and exists (select 1 from head)
), added as (
  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns, append_key)
  select m.generation_id, f.partition, m.commit_no, f.key, f.bytes, f.rows, f.sha256, f.columns, $6
    from made m, json_to_recordset($17::json) as f (partition text, key text, bytes bigint, rows bigint, sha256 text, columns json)
), placed as (
  insert into partitions (generation_id, partition_key, head_commit, lease_no)
  select m.generation_id, k.partition_key, m.commit_no, $10 from made m, unnest($4::text[]) k (partition_key)
  on conflict (generation_id, partition_key) do update set head_commit = excluded.head_commit, lease_no = excluded.lease_no
), emptied as (
  delete from partitions
   where generation_id = $1 and $5::boolean and exists (select 1 from head)
     and partition_key = any (array(select partition_key from touched except select unnest($4::text[])))
), listed as (
  insert into commit_partitions (generation_id, commit_no, partition_key)
  select m.generation_id, m.commit_no, t.partition_key from made m, touched t
), slice as (
  insert into append_keys (generation_id, partition_key, append_key, commit_no, lease_no, fingerprint)
  select m.generation_id, ($4::text[])[1], $6, m.commit_no, $10, $18 from made m where $3 = 'append'
  on conflict (generation_id, partition_key, append_key) do update
     set commit_no = excluded.commit_no, lease_no = excluded.lease_no, fingerprint = excluded.fingerprint, reverted_commit = null
), published as (
  delete from staging where lease_no = $10 and generation_id = $1 and exists (select 1 from head)
)
select m.commit_no, array(select partition_key from touched) as partitions from made m;

-- name: moveCursors
-- params: job_id, output_partition, moves
-- Compare-and-set: a cursor moves only from where the attempt began to read. Answers with those that moved; the caller holds the
-- job's row, and undoes all of it when one is missing. `moves`: name, from (null: there is none yet), to.
with wanted as (
  select w.name, w.begin, w.position from json_to_recordset($3::json) as w (name text, begin text, position text)
), made as (
  insert into cursors (job_id, output_partition, name, position)
  select $1, $2, name, position from wanted where begin is null
  on conflict do nothing
  returning name
), moved as (
  update cursors c set position = w.position, moved_at = clock_timestamp()
    from wanted w
   where c.job_id = $1 and c.output_partition = $2 and c.name = w.name and c.position = w.begin
  returning c.name
)
select name from made union all select name from moved;

-- name: newsOfAttempt
-- params: lease_no, job_id, output_partition, dag_version_id
-- notnull: from_commit name
-- nullable: position
-- The inputs of which an attempt read the news only, from where to where, the name of the job's cursor as pinInputs has it, and
-- where it stands.
select ai.from_commit, ai.commit_no, n.name, k.position
  from attempt_inputs ai
 cross join lateral (
   select format('input:%s>%s', ai.generation_id, (select min(jo.generation_id) from job_outputs jo where jo.dag_version_id = $4 and jo.job_id = $2)) as name) n
  left join cursors k on k.job_id = $2 and k.output_partition = $3 and k.name = n.name
 where ai.lease_no = $1 and ai.from_commit is not null;
