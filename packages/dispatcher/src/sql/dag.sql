-- name: lockDeploys
-- params: org_id
-- Deploys of an organisation take turns: two new DAGs that write one dataset must see each other. NO KEY: rows that
-- reference the organisation do not wait.
select org_id from orgs where org_id = $1 for no key update;

-- name: lockDag
-- params: org_id, name
-- Makes the DAG when it is new; either way holds its row, so that two deploys of one DAG take turns.
insert into dags (org_id, name) values ($1, $2)
on conflict (org_id, name) do update set name = excluded.name
returning dag_id, current_version_id;

-- name: findDagVersion
-- params: dag_id, content_sha256
select dag_version_id, number from dag_versions where dag_id = $1 and content_sha256 = $2;

-- name: addDagVersion
-- params: org_id, dag_id, content_sha256, definition, file_name, source
insert into dag_versions (org_id, dag_id, number, content_sha256, definition, file_name, source)
select $1, $2, coalesce(max(number), 0) + 1, $3, $4::json, $5, $6 from dag_versions where dag_id = $2
returning dag_version_id, number;

-- name: setCurrentVersion
-- params: dag_id, dag_version_id
update dags set current_version_id = $2 where dag_id = $1 and current_version_id is distinct from $2;

-- name: addJobs
-- params: org_id, dag_id, names
insert into jobs (org_id, dag_id, name) select $1, $2, n from unnest($3::text[]) as n
on conflict (dag_id, name) do update set name = excluded.name
returning job_id, name;

-- name: addJobVersions
-- params: dag_version_id, org_id, jobs
insert into job_versions (dag_version_id, job_id, org_id, queue_id, definition, failures_max, timeout_ms, ancestors, key_ancestors, max_concurrency, tracked, partition_keys, per_partition)
select $1, j.job_id, $2, j.queue_id, j.definition, j.failures_max, j.timeout_ms, array(select json_array_elements_text(j.ancestors)::bigint),
       array(select json_array_elements_text(j.key_ancestors)::bigint), j.max_concurrency, j.tracked, j.partition_keys, j.per_partition
  from json_to_recordset($3::json) as j (job_id bigint, queue_id int, definition json, failures_max int, timeout_ms bigint, ancestors json,
       key_ancestors json, max_concurrency int, tracked boolean, partition_keys text[], per_partition boolean);

-- name: addJobInputs
-- params: dag_version_id, inputs
insert into job_inputs (dag_version_id, job_id, dataset_id, position, read, generation_id)
select $1, i.job_id, i.dataset_id, i.position, i.read, i.generation_id
  from json_to_recordset($2::json) as i (job_id bigint, dataset_id bigint, position int, read text, generation_id bigint);

-- name: addJobOutputs
-- params: dag_version_id, outputs
insert into job_outputs (dag_version_id, job_id, dataset_id, strategy, partition_by, generation_id)
select $1, o.job_id, o.dataset_id, o.strategy, o.partition_by, o.generation_id
  from json_to_recordset($2::json) as o (job_id bigint, dataset_id bigint, strategy text, partition_by text, generation_id bigint);

-- name: findDatasets
-- params: org_id, names
-- nullable: producer_dag producer_job
select d.dataset_id, d.name, d.producer_job_id, p.name as producer_dag, j.name as producer_job
  from datasets d left join jobs j on j.job_id = d.producer_job_id left join dags p on p.dag_id = j.dag_id
 where d.org_id = $1 and d.name = any ($2::text[])
 order by d.dataset_id
   for update of d;

-- name: addDataset
-- params: public_id, org_id, name, storage_id, strategy, definition, partitioned
-- Dataset and first generation together, each pointing at the other.
with made as (
  insert into datasets (public_id, org_id, name) values ($1, $2, $3) returning dataset_id, org_id
)
insert into generations (org_id, dataset_id, number, storage_id, strategy, definition, partitioned)
select org_id, dataset_id, 1, $4, $5, $6::json, $7 from made
returning dataset_id, generation_id;

-- name: setDataset
-- params: dataset_id, generation_id?, producer_job_id?
update datasets set current_generation_id = coalesce($2, current_generation_id), producer_job_id = $3 where dataset_id = $1;

-- name: releaseDatasets
-- params: dag_id, kept_dataset_ids
-- Datasets that a job of this DAG wrote before and none writes now: they stay, without a writer.
update datasets set producer_job_id = null
 where producer_job_id in (select job_id from jobs where dag_id = $1) and not (dataset_id = any ($2::bigint[]));

-- name: findDagByName
-- params: org_id, name
select d.dag_id, d.current_version_id, v.definition, v.content_sha256, v.number, v.deployed_at
  from dags d join dag_versions v on v.dag_version_id = d.current_version_id
 where d.org_id = $1 and d.name = $2;

-- name: listDags
-- params: org_id
select d.name, v.definition, v.content_sha256, v.number, v.deployed_at
  from dags d join dag_versions v on v.dag_version_id = d.current_version_id
 where d.org_id = $1
 order by d.name
 limit 1000;

-- name: jobIdOf
-- params: dag_id, name
select job_id from jobs where dag_id = $1 and name = $2;
