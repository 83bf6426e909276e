-- name: consumersOf
-- params: generation_ids
-- Jobs of current DAG versions that read these datasets.
select distinct ji.job_id
  from generations g
  join job_inputs ji on ji.dataset_id = g.dataset_id
  join dags d on d.current_version_id = ji.dag_version_id
 where g.generation_id = any ($1::bigint[]);

-- name: descendantsOf
-- params: job_ids
-- Jobs downstream of these, at any distance, in the current versions of their DAGs: one of them may be waiting for the
-- task that is about to end.
select jv.job_id
  from (select distinct dag_id from jobs where job_id = any ($1::bigint[])) o
  join dags d on d.dag_id = o.dag_id
  join job_versions jv on jv.dag_version_id = d.current_version_id
 where jv.ancestors && $1::bigint[];

-- name: addInvalidations
-- params: job_ids, generation_id, commit_no, run_id?
insert into invalidations (job_id, generation_id, commit_no, run_id)
select j, $2, $3, $4 from unnest($1::bigint[]) as j order by j
on conflict (job_id, generation_id) do update
   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id;

-- name: dropCoveredInvalidations
-- params: job_id, lease_no
-- The attempt that ends the task read these commits or newer ones; only what came later asks for another task.
delete from invalidations i using attempt_inputs ai
 where i.job_id = $1 and ai.lease_no = $2 and ai.generation_id = i.generation_id and i.commit_no <= ai.commit_no;

-- name: startableJobs
-- params: job_ids
-- notnull: limited
-- Jobs that got an input and can start now: every input has a commit, no task of the job is live, and nothing upstream of
-- it in the same run is still at work (that will commit, and start the job once instead of twice). The caller holds the
-- job rows; whoever ends a task holds those of its descendants too, so a job is never left waiting for a task that ended.
select i.job_id, (array_agg(i.run_id order by i.created_at desc))[1] as run_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms,
       jv.max_concurrency is not null as limited
  from invalidations i
  join jobs j on j.job_id = i.job_id
  join dags d on d.dag_id = j.dag_id
  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = i.job_id
 where i.job_id = any ($1::bigint[])
   and not exists (select 1 from live_outputs lo where lo.job_id = i.job_id)
   and not exists (select 1 from live_outputs lo
                    where lo.job_id = any (jv.ancestors) and (select t.run_id from tasks t where t.task_id = lo.task_id) = i.run_id)
   and not exists (select 1 from job_inputs ji join datasets ds on ds.dataset_id = ji.dataset_id join generations g on g.generation_id = ds.current_generation_id
                    where ji.dag_version_id = jv.dag_version_id and ji.job_id = i.job_id and g.head_commit = 0)
 group by i.job_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.max_concurrency
 order by i.job_id;

-- name: dropInvalidations
-- params: job_ids
delete from invalidations where job_id = any ($1::bigint[]);
