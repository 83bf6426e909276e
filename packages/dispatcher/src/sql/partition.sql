-- name: knownPartitions
-- params: dag_version_ids, job_ids, partition_keys
-- notnull: job_id partition_key
-- Of the keys asked for, one row for each with its job: those of the job's own set, or those that its inputs have.
select distinct w.job_id, w.partition_key
  from unnest($1::bigint[], $2::bigint[], $3::text[]) as w (dag_version_id, job_id, partition_key)
  join job_versions jv on jv.dag_version_id = w.dag_version_id and jv.job_id = w.job_id
 where w.partition_key = any (jv.partition_keys)
    or (jv.per_partition and exists (
         select 1
           from job_inputs ji
           join datasets ds on ds.dataset_id = ji.dataset_id
           join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
          cross join lateral (select 1 from partitions x where x.generation_id = g.generation_id and x.partition_key = w.partition_key offset 0) p
          where ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id and g.partitioned));

-- name: partitionsOfJob
-- params: dag_version_id, job_id, after_key, limit
-- notnull: partition_key
-- The next keys of a job: its own set, or what its inputs have; each key once, in order.
select k.partition_key
  from job_versions jv
 cross join lateral (
   select u.partition_key
     from (select a.partition_key from unnest(jv.partition_keys) a (partition_key) where a.partition_key > $3
           union
           select p.partition_key
             from job_inputs ji
             join datasets ds on ds.dataset_id = ji.dataset_id
             join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
            cross join lateral (
              select x.partition_key from partitions x
               where x.generation_id = g.generation_id and x.partition_key > $3 order by x.partition_key limit $4) p
            where jv.per_partition and g.partitioned and ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id) u
    order by u.partition_key limit $4) k
 where jv.dag_version_id = $1 and jv.job_id = $2
 order by k.partition_key;

-- name: producerOf
-- params: org_id, dataset
-- nullable: dag job job_id dag_version_id written_id in_partitions partition_by
-- A dataset, the job of a current DAG version that writes it, and the generation that the job writes.
select ds.dataset_id, ds.current_generation_id as current_id, w.dag, w.job, w.job_id, w.dag_version_id, w.written_id, w.in_partitions, w.partition_by
  from datasets ds
  left join lateral (
    select d.name as dag, j.name as job, j.job_id, jo.dag_version_id, coalesce(jo.generation_id, ds.current_generation_id) as written_id,
           jv.partition_keys is not null or jv.per_partition as in_partitions, jo.partition_by
      from jobs j
      join dags d on d.dag_id = j.dag_id
      join job_outputs jo on jo.dag_version_id = d.current_version_id and jo.job_id = j.job_id and jo.dataset_id = ds.dataset_id
      join job_versions jv on jv.dag_version_id = jo.dag_version_id and jv.job_id = jo.job_id
     where j.job_id = ds.producer_job_id offset 0) w on true
 where ds.org_id = $1 and ds.name = $2;

-- name: partitionsHeld
-- params: generation_id, job_id, partition_keys
-- notnull: partition_key held
-- nullable: task_public_id
-- Of each key asked for: whether something was committed for it, and the task that is live for it.
select w.partition_key,
       exists (select 1 from (select 1 from partitions x where x.generation_id = $1 and x.partition_key = w.partition_key offset 0) p) as held,
       l.public_id as task_public_id
  from unnest($3::text[]) as w (partition_key)
  left join lateral (
    select t.public_id
      from (select x.task_id from live_outputs x where x.job_id = $2 and x.output_partition = w.partition_key offset 0) lo
     cross join lateral (select x.public_id from tasks x where x.task_id = lo.task_id offset 0) t offset 0) l on true
 order by w.partition_key;

-- name: addRepairAudit
-- params: org_id, actor, task_ids, detail
insert into audit_log (org_id, actor, action, task_ids, detail) values ($1, $2, 'dataset.repair', $3::uuid[], $4::json);
