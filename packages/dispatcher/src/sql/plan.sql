-- What a deploy would change, read inside the transaction that does it and is rolled back.

-- name: writersOfDatasets
-- params: org_id, names
-- nullable: producer_dag producer_job
-- Who writes these datasets, as far as there are such. Held by the deploy that follows; read before it.
select d.name, p.name as producer_dag, j.name as producer_job, g.number as generation, g.definition, g.generation_id
  from datasets d
  join generations g on g.generation_id = d.current_generation_id
  left join jobs j on j.job_id = d.producer_job_id
  left join dags p on p.dag_id = j.dag_id
 where d.org_id = $1 and d.name = any ($2::text[])
 order by d.name;

-- name: generationsWritten
-- params: dag_id
-- notnull: current
-- The generations that the current version of a DAG writes, and whether readers of other DAGs see them.
select ds.name, g.number, g.definition, g.generation_id is not distinct from ds.current_generation_id as current
  from dags d
  join job_outputs jo on jo.dag_version_id = d.current_version_id
  join datasets ds on ds.dataset_id = jo.dataset_id
  join generations g on g.generation_id = coalesce(jo.generation_id, ds.current_generation_id)
 where d.dag_id = $1;

-- name: readersElsewhere
-- params: org_id, dag, names
-- Jobs of other DAGs that read these datasets.
select ds.name, d.name as dag, j.name as job
  from datasets ds
  join job_inputs ji on ji.dataset_id = ds.dataset_id
  join dags d on d.current_version_id = ji.dag_version_id
  join jobs j on j.job_id = ji.job_id
 where ds.org_id = $1 and ds.name = any ($3::text[]) and d.name <> $2
 order by ds.name, d.name, j.name
 limit 1000;

-- name: liveTasksOfDag
-- params: org_id, dag
-- notnull: tasks
-- Of jobs that read or write datasets. One probe for each job.
select j.name, lo.tasks
  from dags d
  join jobs j on j.dag_id = d.dag_id
 cross join lateral (select count(*)::int as tasks from live_outputs x where x.job_id = j.job_id offset 0) lo
 where d.org_id = $1 and d.name = $2;

-- name: newestTaskId
-- params:
-- notnull: task_id
-- The number given last, by whichever transaction: tasks made from now on have larger ones.
select coalesce(pg_sequence_last_value(pg_get_serial_sequence('tasks', 'task_id')), 0)::bigint as task_id;

-- name: tasksMadeHere
-- params: after_task_id
-- notnull: tasks partitions
-- Tasks that this very transaction made; those of others may lie between.
select d.name as dag, j.name as job, count(*)::int as tasks,
       (array_agg(coalesce(t.output_partition, '') order by t.output_partition))[1:5] as partitions
  from tasks t
  join jobs j on j.job_id = t.job_id
  join dags d on d.dag_id = j.dag_id
 where t.task_id > $1 and t.xmin = pg_current_xact_id()::xid
 group by d.name, j.name
 order by d.name, j.name;

-- name: someDatasetNames
-- params: org_id
-- What a misspelt input may have meant: the newest thousand.
select name from datasets where org_id = $1 order by dataset_id desc limit 1000;
