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
-- params: outputs
-- nullable: schema reverted_commit append same_fingerprint slice_key slice_head
-- notnull: place filled lasts ours
-- What each output is by now, and what its attempt knew of it: whether its commit is news is decided by rules/supersede.ts. A
-- statement of its own, because it must begin after the generations are locked. A partition that is not there may have been taken away
-- by the dataset's last revert. `outputs`: place (in the order of the call), lease_no, task_id, generation_id, keys (of the
-- partitions that the attempt writes), whole (it writes all there are), fingerprint. `lasts` are the inputs that the partitions
-- were made from, one entry for each attempt that made some of them; `ours` are the attempt's own. The generation that the deployed
-- version of the job reads counts as the latest one: after a deploy of an earlier version it is not the one with the highest number.
-- `filled`: the generation had a row at any time; until then its columns bind nobody.
with wanted as materialized (
  select o.place, o.lease_no, o.task_id, o.generation_id, o.keys, o.whole, o.fingerprint
    from json_to_recordset($1::json) as o (place int, lease_no bigint, task_id bigint, generation_id bigint, keys text[], whole boolean, fingerprint text)
), reads as materialized (
  select t.task_id, coalesce(ji.generation_id, ds.current_generation_id) as generation_id
    from (select distinct task_id from wanted) w
   cross join lateral (select x.task_id, x.job_id from tasks x where x.task_id = w.task_id offset 0) t
    join jobs j on j.job_id = t.job_id
    join dags d on d.dag_id = j.dag_id
    join job_inputs ji on ji.dag_version_id = d.current_version_id and ji.job_id = j.job_id
    join datasets ds on ds.dataset_id = ji.dataset_id
), touched as materialized (
  select w.place, p.lease_no
    from wanted w
   cross join lateral unnest(case when w.whole then array(select x.partition_key from partitions x where x.generation_id = w.generation_id) else w.keys end) k (partition_key)
   cross join lateral (select x.lease_no from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p
)
select w.place, c.schema, (select x.commit_no from commits x where x.generation_id = g.generation_id and x.row_count > 0 limit 1) is not null as filled, st.head_commit as claimed_head,
       case when w.whole then g.reverted_commit
            else (select max(coalesce(p.reverted_commit, g.reverted_commit))
                    from unnest(w.keys) k (partition_key)
                    left join lateral (select x.reverted_commit from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p on true)
       end as reverted_commit,
       s.append_key as slice_key, s.head_commit as slice_head,
       case when g.strategy = 'append' then
         (select json_build_object('commit_no', a.commit_no, 'lease_no', a.lease_no, 'reverted_commit', a.reverted_commit, 'fingerprint', a.fingerprint)
            from append_keys a where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key) end as append,
       case when w.fingerprint is null then null
            when g.strategy = 'append' then
         (select a.commit_no from append_keys a
           where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.fingerprint = w.fingerprint and a.reverted_commit is null limit 1)
       else (select hc.commit_no from commits hc
              where hc.generation_id = w.generation_id and hc.fingerprint = w.fingerprint
                and hc.commit_no = coalesce((select p.head_commit from partitions p where not w.whole and p.generation_id = w.generation_id and p.partition_key = w.keys[1]),
                                            case when w.whole then g.head_commit end)) end as same_fingerprint,
       coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when exists (select 1 from reads r where r.task_id = w.task_id and r.generation_id = ig.generation_id) then 2147483647 else ig.number end, 'commit', ai.commit_no))
                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = w.lease_no), '[]'::json) as ours,
       coalesce((select json_agg(coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when exists (select 1 from reads r where r.task_id = w.task_id and r.generation_id = ig.generation_id) then 2147483647 else ig.number end, 'commit', ai.commit_no))
                                             from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = l.lease_no), '[]'::json))
                   from (select distinct t.lease_no from touched t where t.place = w.place and t.lease_no is not null and g.strategy = 'replace'
                         union select a.lease_no from append_keys a
                                where g.strategy = 'append' and a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key
                                  and a.lease_no is not null) l), '[]'::json) as lasts
  from wanted w
  join generations g on g.generation_id = w.generation_id
 cross join lateral (select x.head_commit from staging x where x.lease_no = w.lease_no and x.generation_id = w.generation_id offset 0) st
  left join lateral (select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) c on true
  left join lateral (select x.append_key, x.head_commit from task_slices x where x.task_id = w.task_id offset 0) s on true;

-- name: commitOutputs
-- params: committed_at, commits
-- notnull: generation_id commit_no partitions
-- Publishes the files of attempts as the content of the partitions they wrote, or of one slice of one partition. The caller holds
-- the leases and the generations; a head moves only from the commit before, so a defect above shows as a missing row and not as a
-- gap. Several commits of one generation touch different partitions. What is touched is looked up key by key, so that a commit of
-- one partition costs the same beside a million others; nobody else changes rows of a locked generation, so they may be named by
-- where they are. `commits`: generation_id, commit_no, kind, keys, whole (partitions that are
-- not among the keys are empty from now on), append_key, org_id, task_id, lease_no, dag_version_id, schema, last_field_id, row_count,
-- byte_count, file_count, fingerprint, source, files (each names its partition), after_us (microseconds after `committed_at`: each attempt
-- has a time of its own, so that times strictly increase). The places of the attempts are published and no garbage any more; one in which
-- no file was published holds a manifest that nobody reads, and stays known as garbage.
with wanted as materialized (
  select o.*
    from json_to_recordset($2::json) as o (generation_id bigint, commit_no bigint, kind text, keys text[], whole boolean, append_key text, org_id bigint, task_id bigint,
                                           lease_no bigint, dag_version_id bigint, schema json, last_field_id int, row_count bigint, byte_count bigint, file_count int,
                                           fingerprint text, source json, files json, after_us int)
), step as materialized (
  select generation_id, min(commit_no) - 1 as before, max(commit_no) as head, max(last_field_id) as last_field_id, max(after_us) as after_us from wanted group by generation_id
), head as (
  update generations g
     set head_commit = (select s.head from step s where s.generation_id = g.generation_id), head_committed_at = $1::text::timestamptz + (select s.after_us from step s where s.generation_id = g.generation_id) * interval '1 microsecond',
         last_field_id = (select s.last_field_id from step s where s.generation_id = g.generation_id)
   where g.generation_id = any (array(select s.generation_id from step s))
     and g.head_commit = (select s.before from step s where s.generation_id = g.generation_id)
  returning g.generation_id
), going as materialized (
  select w.* from wanted w where w.generation_id in (select h.generation_id from head h)
), made as (
  insert into commits (generation_id, commit_no, org_id, kind, append_key, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, fingerprint, source)
  select generation_id, commit_no, org_id, kind, append_key, $1::text::timestamptz + after_us * interval '1 microsecond', task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, fingerprint, source
    from going order by generation_id, commit_no
), touched as materialized (
  select w.generation_id, w.commit_no, w.kind, w.append_key, k.partition_key
    from going w
   cross join lateral (select unnest(w.keys) as partition_key union select p.partition_key from partitions p where w.whole and p.generation_id = w.generation_id) k
), removed as (
  update commit_files f
     set removed_commit = (select case when s.head = s.before + 1 then s.head
                                       else (select t.commit_no from touched t where t.generation_id = f.generation_id and t.partition_key = f.partition_key) end
                             from step s where s.generation_id = f.generation_id)
   where f.file_id = any (array(
     select y.file_id
       from touched t
      cross join lateral (
        select z.file_id from commit_files z
         where z.generation_id = t.generation_id and z.partition_key = t.partition_key and z.removed_commit is null
           and (t.kind = 'replace' or z.append_key = t.append_key) offset 0) y))
), added as (
  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns, append_key)
  select w.generation_id, f.partition, w.commit_no, f.key, f.bytes, f.rows, f.sha256, f.columns, w.append_key
    from going w
   cross join lateral json_to_recordset(w.files) as f (partition text, key text, bytes bigint, rows bigint, sha256 text, columns json)
), placed as (
  insert into partitions (generation_id, partition_key, head_commit, lease_no)
  select w.generation_id, k.partition_key, w.commit_no, w.lease_no from going w cross join lateral unnest(w.keys) k (partition_key)
  on conflict (generation_id, partition_key) do update set head_commit = excluded.head_commit, lease_no = excluded.lease_no
), emptied as (
  delete from partitions where ctid = any (array(
    select x.ctid
      from (select t.generation_id, t.partition_key from touched t join going w on w.generation_id = t.generation_id and w.commit_no = t.commit_no and w.whole
            except select w.generation_id, unnest(w.keys) from going w) e
     cross join lateral (select p.ctid from partitions p where p.generation_id = e.generation_id and p.partition_key = e.partition_key offset 0) x))
), listed as (
  insert into commit_partitions (generation_id, commit_no, partition_key) select generation_id, commit_no, partition_key from touched
), slice as (
  insert into append_keys (generation_id, partition_key, append_key, commit_no, lease_no, fingerprint)
  select generation_id, keys[1], append_key, commit_no, lease_no, fingerprint from going where kind = 'append'
  on conflict (generation_id, partition_key, append_key) do update
     set commit_no = excluded.commit_no, lease_no = excluded.lease_no, fingerprint = excluded.fingerprint, reverted_commit = null
), published as (
  delete from staging where ctid = any (array(
    select x.ctid from going w
     cross join lateral (select s.ctid from staging s where s.lease_no = w.lease_no and s.generation_id = w.generation_id offset 0) x
     where w.file_count > 0))
)
select w.generation_id, w.commit_no, coalesce(t.partitions, '{}') as partitions
  from going w
  left join (select generation_id, commit_no, array_agg(partition_key) as partitions from touched group by generation_id, commit_no) t
    on t.generation_id = w.generation_id and t.commit_no = w.commit_no;

-- name: confirmOutputs
-- params: outputs
-- notnull: confirmed
-- What is there is what newer inputs make, too: the partitions and slices are held to be made from these from now on, so that an
-- attempt that read something in between cannot take them back to it. The commits keep the attempts that made them. The caller holds
-- the leases and the generations, as of a commit. `outputs`: generation_id, keys, whole (all partitions there are), append_key (of
-- an append alone), lease_no. Nobody else changes rows of a locked generation, so they may be named by where they are.
with wanted as materialized (
  select o.generation_id, o.keys, o.whole, o.append_key, o.lease_no
    from json_to_recordset($1::json) as o (generation_id bigint, keys text[], whole boolean, append_key text, lease_no bigint)
), partition as (
  update partitions p
     set lease_no = (select w.lease_no from wanted w where w.generation_id = p.generation_id and (w.whole or p.partition_key = any (w.keys)) limit 1)
   where p.ctid = any (array(
     select x.place
       from wanted w
      cross join lateral unnest(case when w.whole then array(select y.partition_key from partitions y where y.generation_id = w.generation_id) else w.keys end) k (partition_key)
      cross join lateral (select y.ctid as place from partitions y where y.generation_id = w.generation_id and y.partition_key = k.partition_key offset 0) x
      where w.append_key is null))
  returning p.partition_key
), slice as (
  update append_keys a
     set lease_no = (select w.lease_no from wanted w where w.generation_id = a.generation_id and a.partition_key = any (w.keys) and w.append_key = a.append_key limit 1)
   where a.ctid = any (array(
     select x.place
       from wanted w
      cross join lateral unnest(w.keys) k (partition_key)
      cross join lateral (
        select y.ctid as place from append_keys y
         where y.generation_id = w.generation_id and y.partition_key = k.partition_key and y.append_key = w.append_key offset 0) x))
  returning a.partition_key
)
select (select count(*)::int from partition) + (select count(*)::int from slice) as confirmed;

-- name: moveCursors
-- params: job_id, output_partition, moves
-- notnull: moved
-- Compare-and-set: cursors move only from where the attempt began to read, and all of them or none. The caller holds the job's row,
-- under which alone they move. `moves`: name, begin (null: there is none yet), position.
with wanted as materialized (
  select w.name, w.begin, w.position, k.position as stands
    from json_to_recordset($3::json) as w (name text, begin text, position text)
    left join lateral (select x.position from cursors x where x.job_id = $1 and x.output_partition = $2 and x.name = w.name offset 0) k on true
), agreed as materialized (
  select w.name, w.position from wanted w
   where not exists (select 1 from wanted x where x.begin is distinct from x.stands)
     and (select count(*) = count(distinct x.name) from wanted x)
), moved as (
  insert into cursors (job_id, output_partition, name, position) select $1, $2, name, position from agreed
  on conflict (job_id, output_partition, name) do update set position = excluded.position, moved_at = clock_timestamp()
  returning name
)
select count(*)::int as moved from moved;

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
