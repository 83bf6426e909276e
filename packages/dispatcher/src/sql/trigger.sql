-- name: lockTriggeredJobs
-- params: job_ids, generation_ids
-- Locks, in id order, the jobs named; those downstream of them, at any distance, in the current versions of their DAGs, one of which
-- may be waiting for the task that is about to end; and the jobs of current versions that read these datasets, whichever
-- generation: a commit may make another one current, and of every dataset that is switched together with these.
with concerned as materialized (
  select o.job_id from unnest($1::bigint[]) o (job_id)
  union
  select jv.job_id
    from (select distinct x.dag_id from jobs x where x.job_id = any ($1::bigint[])) o
    join dags d on d.dag_id = o.dag_id
    join job_versions jv on jv.dag_version_id = d.current_version_id
   where jv.ancestors && $1::bigint[]
  union
  select ji.job_id
    from (select g.dataset_id from generations g where g.generation_id = any ($2::bigint[])
          union
          select s.dataset_id
            from generation_switches mine join generation_switches s on s.dag_id = mine.dag_id
           where mine.generation_id = any ($2::bigint[])) w
    join job_inputs ji on ji.dataset_id = w.dataset_id
    join dags d on d.current_version_id = ji.dag_version_id
)
select job_id from jobs where job_id = any (array(select c.job_id from concerned c)) order by job_id for no key update;

-- name: addInvalidations
-- params: commits, job_ids, run_id?
-- Tells the readers of these commits, of the jobs that the caller holds. `commits`: generation_id, commit_no, partitions (the keys
-- that it touched; null: whatever there is), elsewhere (readers in other DAGs alone). A job that runs as a whole gets one row. One that
-- runs per partition gets a row for each key that was touched, so that a commit of one key costs the same beside a million others;
-- what touches every partition of a job is one sweep.
with done as materialized (
  select c.generation_id, c.commit_no, c.partitions, c.elsewhere, g.dataset_id, ds.current_generation_id
    from json_to_recordset($1::json) as c (generation_id bigint, commit_no bigint, partitions json, elsewhere boolean)
    join generations g on g.generation_id = c.generation_id
    join datasets ds on ds.dataset_id = g.dataset_id
), reader as materialized (
  select ji.job_id, c.generation_id, c.commit_no, c.partitions, jv.per_partition,
         jv.partition_keys is not null
           or (jv.per_partition and (c.partitions is null or exists (select 1 from json_array_elements_text(c.partitions) k (partition_key) where k.partition_key = ''))) as every
    from done c
    join job_inputs ji on ji.dataset_id = c.dataset_id
    join dags d on d.current_version_id = ji.dag_version_id
    join job_versions jv on jv.dag_version_id = ji.dag_version_id and jv.job_id = ji.job_id
   where ji.job_id = any ($2::bigint[])
     and coalesce(ji.generation_id, c.current_generation_id) = c.generation_id and (ji.generation_id is null or not c.elsewhere)
), swept as (
  insert into invalidation_sweeps (job_id, generation_id, commit_no, run_id)
  select job_id, generation_id, commit_no, $3 from reader where every order by job_id, generation_id
  on conflict (job_id, generation_id) do update
     set commit_no = greatest(invalidation_sweeps.commit_no, excluded.commit_no), run_id = excluded.run_id
)
insert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)
select r.job_id, k.partition_key, r.generation_id, r.commit_no, $3
  from reader r
 cross join lateral (select distinct x.partition_key from json_array_elements_text(case when r.per_partition then r.partitions else '[""]'::json end) x (partition_key)) k
 where not r.every
 order by r.job_id, k.partition_key, r.generation_id
on conflict (job_id, output_partition, generation_id) do update
   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id;

-- name: wakeInvalidations
-- params: job_ids, ended
-- notnull: news
-- Tasks are over: `ended` has their job_id, output_partition and, if an attempt ended them, its lease_no. What that attempt has read,
-- or newer, is done with, unless it wrote generations that the job does not write any more since a deploy: what the new ones are to be
-- made from has yet to be read; only what came later asks for another task. What waited for a task of that partition, of the jobs that
-- the caller holds, is looked at again. `news`: whether any of these jobs may have something to read at all.
with ended as materialized (
  select e.job_id, e.output_partition, e.lease_no, e.dag_version_id
    from json_to_recordset($2::json) as e (job_id bigint, output_partition text, lease_no bigint, dag_version_id bigint)
), covered as materialized (
  select i.place
    from ended e
   cross join lateral (
     select x.ctid as place, x.generation_id, x.commit_no from invalidations x
      where x.job_id = e.job_id and x.output_partition = e.output_partition offset 0) i
   cross join lateral (
     select x.commit_no from attempt_inputs x where x.lease_no = e.lease_no and x.generation_id = i.generation_id offset 0) ai
   where i.commit_no <= ai.commit_no
     and not exists (
       select 1
         from jobs j
         join dags d on d.dag_id = j.dag_id
         join job_outputs now on now.dag_version_id = d.current_version_id and now.job_id = j.job_id
        where j.job_id = e.job_id and d.current_version_id <> e.dag_version_id
          and not exists (select 1 from job_outputs mine
                           where mine.dag_version_id = e.dag_version_id and mine.job_id = e.job_id and mine.dataset_id = now.dataset_id
                             and mine.generation_id is not distinct from now.generation_id))
), woken as materialized (
  select i.place
    from unnest($1::bigint[]) j (job_id)
   cross join (select distinct output_partition from ended) e
   cross join lateral (
     select x.ctid as place from invalidations x where x.job_id = j.job_id and x.output_partition = e.output_partition and x.parked offset 0) i
), dropped as (
  delete from invalidations where ctid = any (array(select place from covered))
), looked as (
  update invalidations set parked = false where ctid = any (array(select place from woken except select place from covered))
)
select exists (select 1 from unnest($1::bigint[]) j (job_id) cross join lateral (select 1 from invalidations x where x.job_id = j.job_id limit 1) i)
       or exists (select 1 from unnest($1::bigint[]) j (job_id) cross join lateral (select 1 from invalidation_sweeps x where x.job_id = j.job_id limit 1) s) as news;

-- name: fitInvalidations
-- params: dag_id
-- After a deploy: what was told to a job that ran as a whole, and runs in partitions now, is told to all of these, and the other way
-- round. Partitions that the job does not have any more are told nothing. The caller holds the jobs.
with job as materialized (
  select jv.job_id, jv.per_partition, jv.partition_keys, jv.per_partition or jv.partition_keys is not null as in_partitions
    from dags d join job_versions jv on jv.dag_version_id = d.current_version_id
   where d.dag_id = $1
), unfit as materialized (
  select i.place, j.job_id, j.in_partitions, i.generation_id, i.commit_no, i.run_id, i.output_partition
    from job j
   cross join lateral (
     select x.ctid as place, x.generation_id, x.commit_no, x.run_id, x.output_partition from invalidations x where x.job_id = j.job_id offset 0) i
   where not case when j.partition_keys is not null then i.output_partition = any (j.partition_keys) else j.per_partition = (i.output_partition <> '') end
), unswept as materialized (
  select s.place, j.job_id, s.generation_id, s.commit_no, s.run_id
    from job j
   cross join lateral (select x.ctid as place, x.generation_id, x.commit_no, x.run_id from invalidation_sweeps x where x.job_id = j.job_id offset 0) s
   where not j.in_partitions
), gone as (
  delete from invalidations where ctid = any (array(select place from unfit))
), over as (
  delete from invalidation_sweeps where ctid = any (array(select place from unswept))
), swept as (
  insert into invalidation_sweeps (job_id, generation_id, commit_no, run_id)
  select job_id, generation_id, commit_no, run_id from unfit where in_partitions and output_partition = '' order by job_id, generation_id
  on conflict (job_id, generation_id) do update set commit_no = greatest(invalidation_sweeps.commit_no, excluded.commit_no), run_id = excluded.run_id
)
insert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)
select w.job_id, '', w.generation_id, max(w.commit_no), max(w.run_id)
  from (select job_id, generation_id, commit_no, run_id from unfit where not in_partitions
        union all
        select job_id, generation_id, commit_no, run_id from unswept) w
 group by w.job_id, w.generation_id
 order by w.job_id, w.generation_id
on conflict (job_id, output_partition, generation_id) do update
   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id;

-- name: unparkInvalidations
-- params: job_ids
-- After a deploy: what these jobs waited for may be no ancestor of theirs any more.
update invalidations set parked = false where job_id = any ($1::bigint[]) and parked;

-- name: startableTasks
-- params: job_ids, keys_max
-- notnull: jobs full sweeping
-- What these jobs have not read and can start with now, a bounded number of partitions of each: every input has a commit, no
-- task of the partition is live, and nothing upstream of it in the same run is still at work (that will commit, and start the task
-- once instead of twice). Where only single partitions lead from an ancestor to the job, only that partition is waited for. Whether a
-- run is still at work upstream is asked once for each run, and not for each row; a row that waits for a partition is parked until
-- that one ends. The caller holds the job rows; whoever ends a task holds those of its descendants too, so nothing is left waiting
-- for a task that ended. `full`: there may be more to look at at once; `sweeping`: some have a sweep.
with recursive line as (
  (select j.job_id, f.run
     from unnest($1::bigint[]) j (job_id)
    cross join lateral (
      select coalesce(x.run_id, 0) as run from invalidations x where x.job_id + 0 = j.job_id and not x.parked order by coalesce(x.run_id, 0) limit 1) f)
  union all
  select l.job_id, n.run
    from line l
   cross join lateral (
     select coalesce(x.run_id, 0) as run from invalidations x
      where x.job_id + 0 = l.job_id and not x.parked and coalesce(x.run_id, 0) > l.run order by coalesce(x.run_id, 0) limit 1) n
), open as materialized (
  select l.job_id, l.run, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.max_concurrency is not null as limited,
         jv.ancestors, jv.key_ancestors
    from line l
   cross join lateral (select x.org_id, x.dag_id from jobs x where x.job_id = l.job_id offset 0) j
   cross join lateral (select x.current_version_id from dags x where x.dag_id = j.dag_id offset 0) d
   cross join lateral (select * from job_versions x where x.dag_version_id = d.current_version_id and x.job_id = l.job_id offset 0) jv
   where not exists (select 1 from (select 1 from live_outputs lo
                                     where lo.run_id = l.run and lo.job_id + 0 = any (array(select a from unnest(jv.ancestors) a where a <> all (jv.key_ancestors))) limit 1) b)
     and not exists (select 1 from job_inputs ji
                       join datasets ds on ds.dataset_id = ji.dataset_id
                       join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
                      where ji.dag_version_id = jv.dag_version_id and ji.job_id = l.job_id and g.head_commit = 0)
), picked as materialized (
  select o.job_id, o.run, o.key_ancestors, i.place, i.output_partition, i.run_id, i.created_at
    from open o
   cross join lateral (
     select x.ctid as place, x.output_partition, x.run_id, x.created_at from invalidations x
      where x.job_id + 0 = o.job_id and coalesce(x.run_id, 0) = o.run and not x.parked limit $2) i
), judged as materialized (
  select p.*,
         exists (select 1 from (select 1 from live_outputs lo where lo.job_id = p.job_id and lo.output_partition = p.output_partition offset 0) b)
         or (p.run <> 0 and exists (select 1 from unnest(p.key_ancestors) a (job_id)
                                     cross join lateral (select lo.run_id from live_outputs lo where lo.job_id = a.job_id and lo.output_partition = p.output_partition offset 0) lo
                                     where lo.run_id = p.run)) as busy
    from picked p
), parked as (
  update invalidations set parked = true where ctid = any (array(select place from judged where busy))
), startable as (
  select job_id, output_partition, (array_agg(run_id order by created_at desc))[1] as run_id from judged where not busy group by job_id, output_partition
)
select coalesce((select json_agg(json_build_object(
                          'job_id', o.job_id, 'org_id', o.org_id, 'dag_version_id', o.dag_version_id, 'queue_id', o.queue_id, 'failures_max', o.failures_max,
                          'timeout_ms', o.timeout_ms, 'limited', o.limited, 'ancestors', o.ancestors, 'key_ancestors', o.key_ancestors,
                          'tasks', (select json_agg(json_build_array(s.output_partition, s.run_id) order by s.output_partition) from startable s where s.job_id = o.job_id))
                          order by o.job_id)
                   from (select distinct on (x.job_id) x.* from open x where x.job_id in (select s.job_id from startable s) order by x.job_id) o), '[]'::json) as jobs,
       exists (select 1 from picked group by job_id, run having count(*) >= $2) as full,
       exists (select 1 from invalidation_sweeps s where s.job_id = any ($1::bigint[])) as sweeping;

-- name: expandSweeps
-- params: job_ids, keys_max
-- notnull: keys
-- Makes the next keys of sweeps rows of invalidations, under the conditions of startableTasks: those of the job's own set, or those
-- of its partitioned inputs. A sweep begins again, when newer commits came meanwhile, once what it told before was begun with: so
-- however many commits there are, it costs no more than the tasks that come of it.
with sweep as materialized (
  select s.ctid as place, s.job_id, s.generation_id, s.commit_no, s.run_id, jv.dag_version_id, jv.partition_keys, jv.per_partition,
         coalesce(s.sweeping_commit_no, s.commit_no) as told_commit_no, case when s.sweeping_commit_no is null then '' else s.after_key end as after_key
    from invalidation_sweeps s
   cross join lateral (select x.dag_id from jobs x where x.job_id = s.job_id offset 0) j
   cross join lateral (select x.current_version_id from dags x where x.dag_id = j.dag_id offset 0) d
   cross join lateral (select * from job_versions x where x.dag_version_id = d.current_version_id and x.job_id = s.job_id offset 0) jv
   where s.job_id = any ($1::bigint[])
     and (s.sweeping_commit_no is not null or not exists (select 1 from (select 1 from invalidations i where i.job_id - 0 = s.job_id and i.generation_id + 0 = s.generation_id limit 1) b))
     and not exists (select 1 from (select 1 from live_outputs lo where lo.run_id = s.run_id and lo.job_id + 0 = any (jv.ancestors) limit 1) b)
     and not exists (select 1 from job_inputs ji
                       join datasets ds on ds.dataset_id = ji.dataset_id
                       join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
                      where ji.dag_version_id = jv.dag_version_id and ji.job_id = s.job_id and g.head_commit = 0)
), key as materialized (
  select s.job_id, s.generation_id, s.told_commit_no, s.run_id, k.partition_key
    from sweep s
   cross join lateral (
     select u.partition_key
       from (select a.partition_key from unnest(s.partition_keys) a (partition_key) where a.partition_key > s.after_key
             union
             select p.partition_key
               from job_inputs ji
               join datasets ds on ds.dataset_id = ji.dataset_id
               join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)
              cross join lateral (
                select x.partition_key from partitions x
                 where x.generation_id = g.generation_id and x.partition_key > s.after_key order by x.partition_key limit $2) p
              where s.per_partition and g.partitioned and ji.dag_version_id = s.dag_version_id and ji.job_id = s.job_id) u
      order by u.partition_key limit $2) k
), told as (
  insert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)
  select job_id, partition_key, generation_id, told_commit_no, run_id from key order by job_id, partition_key, generation_id
  on conflict (job_id, output_partition, generation_id) do update
     set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id
), reach as materialized (
  select s.place, s.commit_no, s.told_commit_no, k.last_key, k.keys = $2 as more
    from sweep s
   cross join lateral (select max(x.partition_key) as last_key, count(*) as keys from key x where x.job_id = s.job_id and x.generation_id = s.generation_id) k
), over as (
  delete from invalidation_sweeps where ctid = any (array(select place from reach where not more and told_commit_no = commit_no))
), moved as (
  update invalidation_sweeps s
     set (sweeping_commit_no, after_key) = (select case when r.more then r.told_commit_no end, case when r.more then r.last_key else '' end from reach r where r.place = s.ctid)
   where s.ctid = any (array(select place from reach where more or told_commit_no <> commit_no))
)
select count(*)::int as keys from key;

-- name: dropInvalidations
-- params: job_ids, output_partitions
-- Those that tasks are created for, one pair for each.
delete from invalidations where ctid = any (array(
  select i.place
    from unnest($1::bigint[], $2::text[]) as w (job_id, output_partition)
   cross join lateral (select x.ctid as place from invalidations x where x.job_id = w.job_id and x.output_partition = w.output_partition offset 0) i));
