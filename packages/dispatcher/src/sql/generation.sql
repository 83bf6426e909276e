-- name: lockJobsOfDeploy
-- params: dag_id, datasets
-- The jobs that exist already, of this DAG and of those that read what it writes or will: in id order and before any dataset, as
-- completions lock them. What a deploy switches starts readers elsewhere.
select job_id from jobs
 where job_id in (
   select j.job_id from jobs j where j.dag_id = $1
   union
   select ji.job_id
     from datasets ds
     join job_inputs ji on ji.dataset_id = ds.dataset_id
     join dags d on d.current_version_id = ji.dag_version_id
    where ds.name = any ($2::text[]) and ds.org_id = (select x.org_id from dags x where x.dag_id = $1))
 order by job_id for no key update;

-- name: generationsOf
-- params: dataset_ids, dag_id
-- nullable: written_id written_definition
-- The current generation of each dataset, and the one that the deployed version of the DAG writes, which may not be current yet.
select ds.dataset_id, ds.name, g.generation_id as current_id, g.definition as current_definition,
       w.generation_id as written_id, w.definition as written_definition
  from unnest($1::bigint[]) as k (dataset_id)
  join datasets ds on ds.dataset_id = k.dataset_id
  join generations g on g.generation_id = ds.current_generation_id
  left join lateral (
    select x.generation_id, x.definition
      from dags d
      join job_outputs jo on jo.dag_version_id = d.current_version_id and jo.dataset_id = ds.dataset_id
      join generations x on x.generation_id = jo.generation_id
     where d.dag_id = $2 offset 0) w on true;

-- name: generationsOfVersion
-- params: dag_version_id
-- notnull: generation_id current_id
select jo.dataset_id, coalesce(jo.generation_id, ds.current_generation_id) as generation_id, ds.current_generation_id as current_id
  from job_outputs jo join datasets ds on ds.dataset_id = jo.dataset_id where jo.dag_version_id = $1;

-- name: addGeneration
-- params: dataset_id, storage_id, strategy, definition, partitioned
-- A generation beside the others of a dataset that the caller holds.
insert into generations (org_id, dataset_id, number, storage_id, strategy, definition, partitioned)
select ds.org_id, ds.dataset_id, (select max(g.number) + 1 from generations g where g.dataset_id = ds.dataset_id), $2, $3, $4::json, $5
  from datasets ds where ds.dataset_id = $1
returning generation_id, number;

-- name: setSwitches
-- params: dag_id, generation_ids
-- What a version of the DAG writes and is not current: to be switched to, in place of what an earlier deploy wanted.
with gone as (
  delete from generation_switches where dag_id = $1 and dataset_id not in (select g.dataset_id from generations g where g.generation_id = any ($2::bigint[]))
)
insert into generation_switches (dag_id, dataset_id, generation_id)
select $1, g.dataset_id, g.generation_id
  from generations g where g.generation_id = any ($2::bigint[])
 order by g.dataset_id
on conflict (dag_id, dataset_id) do update set generation_id = excluded.generation_id;

-- name: lockSwitches
-- params: generation_ids
-- All that is to be switched together with these. Two commits that are each the first of a generation take turns here: the second
-- one sees what the first one committed, so one of them finds that nothing is missing any more.
select s.dag_id, s.generation_id
  from generation_switches s
 where s.dag_id in (select x.dag_id from generation_switches x where x.generation_id = any ($1::bigint[]))
 order by s.dag_id, s.dataset_id for update;

-- name: switchDatasets
-- params: dag_ids
-- A statement of its own, because it must begin after the rows are locked. All datasets of a DAG, or none; taken in id order as
-- deploys take them.
with done as materialized (
  select d.dag_id from unnest($1::bigint[]) as d (dag_id)
   where not exists (select 1 from generation_switches s join generations g on g.generation_id = s.generation_id where s.dag_id = d.dag_id and g.head_commit = 0)
), held as materialized (
  select ds.dataset_id from datasets ds
   where ds.dataset_id in (select s.dataset_id from generation_switches s where s.dag_id in (select dag_id from done))
   order by ds.dataset_id for no key update
), moved as (
  update datasets ds set current_generation_id = s.generation_id
    from generation_switches s
   where s.dag_id in (select dag_id from done) and s.dataset_id = ds.dataset_id and ds.dataset_id in (select dataset_id from held)
  returning s.generation_id
), over as (
  delete from generation_switches where dag_id in (select dag_id from done)
)
select g.generation_id, g.head_commit from moved m join generations g on g.generation_id = m.generation_id;

-- name: inputsUnread
-- params: dag_id, before_version_id?
-- Inputs that have commits and that nothing but a deploy tells jobs of: those of jobs that write a generation which is to be switched
-- to and has no commit, and those of which the version before read another generation.
select distinct ji.job_id, g.generation_id, g.head_commit
  from dags d
  join job_inputs ji on ji.dag_version_id = d.current_version_id
  join datasets ds on ds.dataset_id = ji.dataset_id
  join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
 where d.dag_id = $1 and g.head_commit > 0
   and (exists (select 1
                  from job_outputs jo
                  join generation_switches s on s.dag_id = d.dag_id and s.dataset_id = jo.dataset_id
                  join generations n on n.generation_id = s.generation_id
                 where jo.dag_version_id = ji.dag_version_id and jo.job_id = ji.job_id and n.head_commit = 0)
        or exists (select 1 from job_inputs b
                    where b.dag_version_id = $2 and b.job_id = ji.job_id and b.dataset_id = ji.dataset_id
                      and coalesce(b.generation_id, ds.current_generation_id) <> g.generation_id));

-- name: partitioningOf
-- params: org_id, names
-- notnull: partitioning
-- How datasets of other DAGs are partitioned.
select ds.name, coalesce(g.definition ->> 'partitioning', 'none') as partitioning
  from datasets ds join generations g on g.generation_id = ds.current_generation_id
 where ds.org_id = $1 and ds.name = any ($2::text[]);
