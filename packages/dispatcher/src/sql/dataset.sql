-- name: lockGenerations
-- params: generation_ids
-- notnull: committed_at
-- Commits to one dataset queue here for one commit's time. The time is read when every lock is held and is later than
-- the last commit of each of them, so commit times strictly increase and one call's commits share one. NO KEY: a claim
-- that pins a generation references its row, and must never wait for a commit.
with held as materialized (
  select generation_id, number, head_commit, head_committed_at from generations
   where generation_id = any ($1::bigint[]) order by generation_id for no key update
)
select coalesce(json_agg(json_build_object('generation_id', generation_id, 'number', number, 'head_commit', head_commit)), '[]'::json) as heads,
       greatest(clock_timestamp(), max(head_committed_at) + interval '1 microsecond')::text as committed_at
  from held;

-- name: commitReplace
-- params: generation_id, commit_no, partition_key, committed_at, org_id, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, files
-- Publishes an attempt's files as the whole content of one partition. The caller holds the lease and the generation; the
-- head moves only from the commit before, so a defect above shows as no row and not as a gap.
with head as (
  update generations set head_commit = $2, head_committed_at = $4::text::timestamptz where generation_id = $1 and head_commit = $2 - 1
  returning generation_id
), made as (
  insert into commits (generation_id, commit_no, org_id, kind, partition_key, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count)
  select generation_id, $2, $5, 'replace', $3, $4::text::timestamptz, $6, $7, $8, $9::json, $10, $11, $12 from head
  returning generation_id, commit_no
), removed as (
  update commit_files set removed_commit = $2
   where generation_id = $1 and partition_key = $3 and removed_commit is null and exists (select 1 from head)
), added as (
  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns)
  select m.generation_id, $3, m.commit_no, f.key, f.bytes, f.rows, f.sha256, f.columns
    from made m, json_to_recordset($13::json) as f (key text, bytes bigint, rows bigint, sha256 text, columns json)
), placed as (
  insert into partitions (generation_id, partition_key, head_commit) select generation_id, $3, commit_no from made
  on conflict (generation_id, partition_key) do update set head_commit = excluded.head_commit
)
select commit_no from made;

-- name: resolveByName
-- params: org_id, names
-- nullable: schema
-- One statement, one snapshot: what several datasets hold together at this moment.
select d.name, g.generation_id, g.number, g.head_commit, g.head_committed_at, c.schema,
       coalesce((select json_agg(json_build_object('key', f.object_key, 'bytes', f.byte_count, 'rows', f.row_count, 'sha256', f.sha256) order by f.partition_key, f.file_id)
                   from commit_files f
                  where f.generation_id = g.generation_id and f.added_commit <= g.head_commit
                    and (f.removed_commit is null or f.removed_commit > g.head_commit)), '[]'::json) as files
  from datasets d
  join generations g on g.generation_id = d.current_generation_id
  left join commits c on c.generation_id = g.generation_id and c.commit_no = g.head_commit
 where d.org_id = $1 and d.name = any ($2::text[]);

-- name: resolveByLease
-- params: lease_no
-- nullable: schema head_committed_at
-- The files of an attempt's inputs at the commits pinned when it was claimed.
select d.name, g.generation_id, g.number, ai.commit_no as head_commit, c.committed_at as head_committed_at, c.schema,
       coalesce((select json_agg(json_build_object('key', f.object_key, 'bytes', f.byte_count, 'rows', f.row_count, 'sha256', f.sha256) order by f.partition_key, f.file_id)
                   from commit_files f
                  where f.generation_id = g.generation_id and f.added_commit <= ai.commit_no
                    and (f.removed_commit is null or f.removed_commit > ai.commit_no)), '[]'::json) as files
  from attempt_inputs ai
  join generations g on g.generation_id = ai.generation_id
  join datasets d on d.dataset_id = g.dataset_id
  left join commits c on c.generation_id = g.generation_id and c.commit_no = ai.commit_no
 where ai.lease_no = $1
 order by d.name;

-- name: listDatasets
-- params: org_id, name?
-- notnull: row_count byte_count file_count
-- nullable: producer_dag producer_job
select d.dataset_id, d.public_id, d.name, g.generation_id, g.number, g.head_commit, g.head_committed_at, coalesce(c.schema, '[]'::json) as schema,
       coalesce(f.row_count, 0) as row_count, coalesce(f.byte_count, 0) as byte_count, coalesce(f.file_count, 0) as file_count,
       pd.name as producer_dag, pj.name as producer_job
  from datasets d
  join generations g on g.generation_id = d.current_generation_id
  left join commits c on c.generation_id = g.generation_id and c.commit_no = g.head_commit
  left join lateral (select sum(row_count)::bigint as row_count, sum(byte_count)::bigint as byte_count, count(*)::int as file_count
                       from commit_files where generation_id = g.generation_id and removed_commit is null) f on true
  left join jobs pj on pj.job_id = d.producer_job_id
  left join dags pd on pd.dag_id = pj.dag_id
 where d.org_id = $1 and ($2::text is null or d.name = $2)
 order by d.name
 limit 1000;

-- name: commitsOfGeneration
-- params: generation_id, limit
select c.commit_no, g.number, c.kind, c.committed_at, c.row_count, c.byte_count, c.file_count, t.public_id as task_public_id, c.lease_no, v.content_sha256,
       coalesce((select json_agg(json_build_object('dataset', d.name, 'generation', ig.number, 'commit', ai.commit_no) order by d.name)
                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets d on d.dataset_id = ig.dataset_id
                  where ai.lease_no = c.lease_no), '[]'::json) as inputs
  from commits c
  join generations g on g.generation_id = c.generation_id
 cross join lateral (select x.public_id from tasks x where x.task_id = c.task_id offset 0) t
  join dag_versions v on v.dag_version_id = c.dag_version_id
 where c.generation_id = $1
 order by c.commit_no desc
 limit $2;
