// Generated from the .sql files beside it by 'npm run generate'. Do not edit.
import type { Statement } from "@trace/kit";

export interface FindTokenParams {
  readonly token_sha256: Buffer;
}
export interface FindTokenRow {
  readonly org_id: number;
  readonly name: string;
}
export const findToken: Statement<FindTokenParams, FindTokenRow> = {
  name: "findToken",
  params: ["token_sha256"],
  text: "select t.org_id, t.name from api_tokens t\n where t.token_sha256 = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > clock_timestamp())",
};

export interface SetOwnerTokenParams {
  readonly token_sha256: Buffer;
}
export type SetOwnerTokenRow = Readonly<Record<never, never>>;
export const setOwnerToken: Statement<SetOwnerTokenParams, SetOwnerTokenRow> = {
  name: "setOwnerToken",
  params: ["token_sha256"],
  text: "with gone as (\n  update api_tokens set revoked_at = clock_timestamp()\n   where name = 'owner' and token_sha256 <> $1 and revoked_at is null\n)\ninsert into api_tokens (org_id, name, token_sha256) select org_id, 'owner', $1 from orgs where name = 'main'\non conflict (token_sha256) do update set revoked_at = null",
};

export type MainOrgParams = Readonly<Record<never, never>>;
export interface MainOrgRow {
  readonly org_id: number;
}
export const mainOrg: Statement<MainOrgParams, MainOrgRow> = {
  name: "mainOrg",
  params: [],
  text: "select org_id from orgs where name = 'main'",
};

export interface SetInstallationParams {
  readonly installation: string;
}
export interface SetInstallationRow {
  readonly installation: string;
}
export const setInstallation: Statement<SetInstallationParams, SetInstallationRow> = {
  name: "setInstallation",
  params: ["installation"],
  text: "with named as (\n  insert into installation (name) values ($1) on conflict (singleton) do nothing returning name\n)\nselect coalesce((select name from named), (select name from installation)) as installation",
};

export interface PlacesOfTasksParams {
  readonly org_id: number;
  readonly public_ids: readonly string[];
}
export interface PlacesOfTasksRow {
  readonly task_id: number;
  readonly public_id: string;
  readonly org_id: number;
  readonly job_id: number;
  readonly queue_id: number;
  readonly priority: number;
  readonly output_partition: string | null;
  readonly limited: boolean;
  readonly failures_max: number;
  readonly lease_losses_max: number;
  readonly place: string;
}
export const placesOfTasks: Statement<PlacesOfTasksParams, PlacesOfTasksRow> = {
  name: "placesOfTasks",
  params: ["org_id", "public_ids"],
  text: "select t.task_id, t.public_id, t.org_id, t.job_id, t.queue_id, t.priority, t.output_partition, t.limited, t.failures_max, t.lease_losses_max,\n       case when o.task_id is not null then o.state\n            when l.task_id is not null then 'running'\n            when r.task_id is not null then 'ready'\n            when w.task_id is not null then 'waiting'\n            else 'moving' end as place\n  from tasks t\n  left join lateral (select x.task_id, x.state from outcomes x where x.task_id = t.task_id offset 0) o on true\n  left join lateral (select x.task_id from leases x where x.task_id = t.task_id offset 0) l on true\n  left join lateral (select x.task_id from ready x where x.task_id = t.task_id offset 0) r on true\n  left join lateral (select x.task_id from waiting x where x.task_id = t.task_id offset 0) w on true\n where t.org_id = $1 and t.public_id = any ($2::uuid[])",
};

export interface CancelQueuedParams {
  readonly task_ids: readonly number[];
  readonly error: string;
}
export interface CancelQueuedRow {
  readonly task_id: number;
  readonly attempt: number;
}
export const cancelQueued: Statement<CancelQueuedParams, CancelQueuedRow> = {
  name: "cancelQueued",
  params: ["task_ids", "error"],
  text: "with from_ready as (\n  delete from ready where task_id = any ($1::bigint[]) returning task_id, attempt, failures, lease_losses\n), from_waiting as (\n  delete from waiting where task_id = any ($1::bigint[]) returning task_id, attempt, failures, lease_losses\n), over as materialized (\n  select * from from_ready union all select * from from_waiting\n), freed as (\n  delete from live_outputs where task_id = any (array(select task_id from over))\n), vacated as (\n  delete from job_slots where task_id = any (array(select task_id from over))\n)\ninsert into outcomes (task_id, state, attempt, failures, lease_losses, error)\nselect task_id, 'canceled', attempt, failures, lease_losses, $2::json from over\nreturning task_id, attempt",
};

export interface HurryTasksParams {
  readonly task_ids: readonly number[];
}
export interface HurryTasksRow {
  readonly task_ids: readonly number[];
  readonly wakeups: unknown;
}
export const hurryTasks: Statement<HurryTasksParams, HurryTasksRow> = {
  name: "hurryTasks",
  params: ["task_ids"],
  text: "with ready_now as (\n  update ready set run_at = least(run_at, clock_timestamp()) where task_id = any ($1::bigint[]) returning task_id, queue_id\n), waiting_now as (\n  update waiting set run_at = least(run_at, clock_timestamp()) where task_id = any ($1::bigint[]) returning task_id\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', clock_timestamp() + interval '500 ms', r.queue_id, array_agg(t.public_id)\n    from (select x.*, (row_number() over (partition by x.queue_id) - 1) / 1000 as part from ready_now x) r\n   cross join lateral (select x.public_id from tasks x where x.task_id = r.task_id offset 0) t\n   group by r.queue_id, r.part\n  returning outbox_id, queue_id, task_ids\n)\nselect coalesce((select array_agg(task_id) from (select task_id from ready_now union all select task_id from waiting_now) h), '{}') as task_ids,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups",
};

export interface ReplayTasksParams {
  readonly task_ids: readonly number[];
}
export interface ReplayTasksRow {
  readonly task_ids: readonly number[];
  readonly wakeups: unknown;
}
export const replayTasks: Statement<ReplayTasksParams, ReplayTasksRow> = {
  name: "replayTasks",
  params: ["task_ids"],
  text: "with gone as (\n  delete from outcomes where task_id = any ($1::bigint[]) and state <> 'completed' returning task_id, attempt\n), again as materialized (\n  select g.task_id, g.attempt, t.public_id, t.job_id, t.queue_id, t.priority, t.output_partition, t.limited\n    from gone g cross join lateral (select * from tasks x where x.task_id = g.task_id offset 0) t\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at, attempt)\n  select task_id, queue_id, priority, clock_timestamp(), attempt from again where not limited\n), parked as (\n  insert into waiting (task_id, job_id, priority, run_at, attempt)\n  select task_id, job_id, priority, clock_timestamp(), attempt from again where limited\n), live as (\n  insert into live_outputs (job_id, output_partition, task_id)\n  select job_id, output_partition, task_id from again where output_partition is not null\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', clock_timestamp() + interval '500 ms', queue_id, array_agg(public_id)\n    from (select queue_id, public_id, (row_number() over (partition by queue_id) - 1) / 1000 as part from again where not limited) a\n   group by queue_id, part\n  returning outbox_id, queue_id, task_ids\n)\nselect coalesce((select array_agg(task_id) from again), '{}') as task_ids,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups",
};

export interface AddAuditParams {
  readonly org_id: number;
  readonly actor: string;
  readonly action: string;
  readonly task_ids: readonly string[];
}
export type AddAuditRow = Readonly<Record<never, never>>;
export const addAudit: Statement<AddAuditParams, AddAuditRow> = {
  name: "addAudit",
  params: ["org_id", "actor", "action", "task_ids"],
  text: "insert into audit_log (org_id, actor, action, task_ids) values ($1, $2, $3, $4::uuid[])",
};

export interface ClaimTasksParams {
  readonly session_public_id: string;
  readonly queue_id: number;
  readonly task_public_ids: readonly string[];
  readonly priorities: readonly number[];
  readonly run_ats: readonly string[];
  readonly task_ids: readonly number[];
  readonly limit: number;
  readonly secrets: Buffer;
}
export interface ClaimTasksRow {
  readonly session_id: number;
  readonly payloads: string;
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
  readonly public_ids: string;
  readonly attempts: readonly number[];
  readonly job_ids: readonly number[];
  readonly dag_version_ids: readonly number[];
  readonly others: readonly number[] | null;
  readonly runs: unknown;
  readonly onward: unknown;
  readonly waited_ms: number;
}
export const claimTasks: Statement<ClaimTasksParams, ClaimTasksRow> = {
  name: "claimTasks",
  params: ["session_public_id", "queue_id", "task_public_ids", "priorities", "run_ats", "task_ids", "limit", "secrets"],
  text: "with session as materialized (\n  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for key share\n), live as materialized (\n  select session_id from session where expires_at > clock_timestamp()\n), named as (\n  delete from ready where ctid = any (array(\n    select n.ctid\n      from unnest(case when cardinality($3::uuid[]) <= $7\n                       then array(select t.task_id from tasks t where t.public_id = any ($3))\n                       else array(select x.task_id\n                                    from (select t.task_id from tasks t where t.public_id = any ($3) offset 0) t\n                                   cross join lateral (\n                                     select r.priority, r.run_at, r.task_id from ready r\n                                      where r.task_id = t.task_id and r.queue_id + 0 = $2 and r.run_at + interval '0' <= now() offset 0) x\n                                   order by x.priority, x.run_at, x.task_id limit $7) end) as w (task_id)\n     cross join lateral (\n       select r.ctid from ready r where r.task_id = w.task_id and r.queue_id + 0 = $2 and r.run_at + interval '0' <= now()\n          for update skip locked) n\n     where exists (select 1 from live)))\n  returning task_id, priority, run_at, attempt, failures, lease_losses\n), next as (\n  delete from ready where ctid = any (array(\n    select n.ctid\n      from unnest($4::smallint[], $5::text[], $6::bigint[]) as p (priority, run_at, task_id)\n     cross join lateral (\n       select r.ctid\n         from ready r\n        where r.queue_id = $2 and r.priority = p.priority and (r.run_at, r.task_id) >= (p.run_at::timestamptz, p.task_id) and r.run_at <= now()\n        order by r.run_at, r.task_id\n        limit $7\n          for update skip locked) n\n     where exists (select 1 from live)\n     limit greatest($7 - (select count(*) from named), 0)))\n  returning task_id, priority, run_at, attempt, failures, lease_losses\n), claimed as materialized (\n  select c.*, (select int8send(session_id) from live) || int8send(c.lease_no) || int8send(c.task_id) || substr($8::bytea, c.place * 16 - 15, 16) as token\n    from (select u.task_id, u.priority, u.run_at, u.attempt + 1 as attempt, u.failures, u.lease_losses,\n                 nextval('lease_numbers') as lease_no, row_number() over ()::int as place,\n                 t.public_id, t.run_id, t.job_id, t.dag_version_id, t.timeout_ms, t.payload, t.plain\n            from (select * from named union all select * from next) u\n           cross join lateral (\n             select x.public_id, x.run_id, x.job_id, x.dag_version_id, x.timeout_ms, x.payload, x.output_partition is null and not x.limited as plain\n               from tasks x where x.task_id = u.task_id offset 0) t) c\n), leased as (\n  insert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, plain, deadline)\n  select token, lease_no, task_id, (select session_id from live), $2, priority, attempt, failures, lease_losses, plain,\n         clock_timestamp() + (timeout_ms + 10000) * interval '1 ms'\n    from claimed\n)\nselect (select session_id from live) as session_id,\n       '[' || string_agg(c.payload::text, ',') || ']' as payloads,\n       array_agg(c.lease_no) as lease_nos, array_agg(c.task_id) as task_ids, string_agg(c.public_id::text, ',') as public_ids,\n       array_agg(c.attempt) as attempts, array_agg(c.job_id) as job_ids, array_agg(c.dag_version_id) as dag_version_ids,\n       array_agg(c.place) filter (where not c.plain) as others,\n       json_agg(json_build_array(c.place, (select r.public_id from runs r where r.run_id = c.run_id))) filter (where c.run_id is not null) as runs,\n       (select json_agg(json_build_array(l.priority, l.run_at::text, (select max(n.task_id) from next n where n.priority = l.priority and n.run_at = l.run_at)))\n          from (select priority, max(run_at) as run_at from next group by priority) l) as onward,\n       (extract(epoch from clock_timestamp() - min(c.run_at)) * 1000)::float8 as waited_ms\n  from claimed c\nhaving count(*) > 0",
};

export interface FirstReadyParams {
  readonly queue_id: number;
  readonly lag_ms: number;
}
export interface FirstReadyRow {
  readonly priority: number;
  readonly run_at: string;
  readonly task_id: number;
}
export const firstReady: Statement<FirstReadyParams, FirstReadyRow> = {
  name: "firstReady",
  params: ["queue_id", "lag_ms"],
  text: "with recursive first as (\n  (select priority, run_at, task_id from ready where queue_id = $1 order by priority, run_at, task_id limit 1)\n  union all\n  select n.priority, n.run_at, n.task_id\n    from first f\n   cross join lateral (\n     select r.priority, r.run_at, r.task_id from ready r\n      where r.queue_id = $1 and r.priority > f.priority\n      order by r.priority, r.run_at, r.task_id limit 1) n\n)\nselect f.priority::int as priority, least(f.run_at, p.latest)::text as run_at, case when f.run_at <= p.latest then f.task_id else 0 end as task_id\n  from first f cross join (select now() - $2::bigint * interval '1 ms' as latest) p",
};

export interface JobsOfVersionsParams {
  readonly dag_version_ids: readonly number[];
  readonly job_ids: readonly number[];
}
export interface JobsOfVersionsRow {
  readonly dag_version_id: number;
  readonly job_id: number;
  readonly dag: string;
  readonly definition: unknown;
  readonly timeout_ms: number;
}
export const jobsOfVersions: Statement<JobsOfVersionsParams, JobsOfVersionsRow> = {
  name: "jobsOfVersions",
  params: ["dag_version_ids", "job_ids"],
  text: "select jv.dag_version_id, jv.job_id, d.name as dag, jv.definition, jv.timeout_ms\n  from unnest($1::bigint[], $2::bigint[]) as w (dag_version_id, job_id)\n  join job_versions jv on jv.dag_version_id = w.dag_version_id and jv.job_id = w.job_id\n  join dag_versions v on v.dag_version_id = jv.dag_version_id\n  join dags d on d.dag_id = v.dag_id",
};

export interface SessionIsLiveParams {
  readonly session_public_id: string;
}
export interface SessionIsLiveRow {
  readonly session_id: number;
}
export const sessionIsLive: Statement<SessionIsLiveParams, SessionIsLiveRow> = {
  name: "sessionIsLive",
  params: ["session_public_id"],
  text: "select session_id from sessions where public_id = $1 and closed_at is null and expires_at > clock_timestamp()",
};

export interface PinInputsParams {
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
}
export type PinInputsRow = Readonly<Record<never, never>>;
export const pinInputs: Statement<PinInputsParams, PinInputsRow> = {
  name: "pinInputs",
  params: ["lease_nos", "task_ids"],
  text: "insert into attempt_inputs (lease_no, generation_id, commit_no)\nselect c.lease_no, g.generation_id, g.head_commit\n  from unnest($1::bigint[], $2::bigint[]) as c (lease_no, task_id)\n cross join lateral (select x.dag_version_id, x.job_id from tasks x where x.task_id = c.task_id offset 0) t\n  join job_inputs ji on ji.dag_version_id = t.dag_version_id and ji.job_id = t.job_id\n  join datasets d on d.dataset_id = ji.dataset_id\n  join generations g on g.generation_id = d.current_generation_id\non conflict do nothing",
};

export interface DescribeLeasesParams {
  readonly tokens: readonly Buffer[];
}
export interface DescribeLeasesRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly session_id: number;
  readonly attempt: number;
  readonly claimed_at: Date;
  readonly public_id: string;
  readonly org_id: number;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly payload: unknown;
  readonly timeout_ms: number;
  readonly run_public_id: string | null;
  readonly dag: string;
  readonly definition: unknown;
  readonly live: boolean;
  readonly inputs: unknown;
  readonly outputs: unknown;
}
export const describeLeases: Statement<DescribeLeasesParams, DescribeLeasesRow> = {
  name: "describeLeases",
  params: ["tokens"],
  text: "select l.token, l.lease_no, l.task_id, l.session_id, l.attempt, l.claimed_at, t.public_id, t.org_id, t.job_id, t.dag_version_id, t.payload,\n       t.timeout_ms, r.public_id as run_public_id, d.name as dag, jv.definition,\n       (l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', ai.commit_no, 'generation_id', g.generation_id) order by ds.name)\n                   from attempt_inputs ai\n                   join generations g on g.generation_id = ai.generation_id\n                   join datasets ds on ds.dataset_id = g.dataset_id\n                  where ai.lease_no = l.lease_no), '[]'::json) as inputs,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation_id', g.generation_id, 'storage_id', g.storage_id) order by ds.name)\n                   from job_outputs jo\n                   join datasets ds on ds.dataset_id = jo.dataset_id\n                   join generations g on g.generation_id = ds.current_generation_id\n                  where jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id), '[]'::json) as outputs\n  from (select * from leases where token = any ($1::bytea[]) offset 0) l\n  join sessions s on s.session_id = l.session_id\n cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t\n  join dag_versions v on v.dag_version_id = t.dag_version_id\n  join dags d on d.dag_id = v.dag_id\n  join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id\n  left join runs r on r.run_id = t.run_id\n order by l.lease_no",
};

export interface LockDeploysParams {
  readonly org_id: number;
}
export interface LockDeploysRow {
  readonly org_id: number;
}
export const lockDeploys: Statement<LockDeploysParams, LockDeploysRow> = {
  name: "lockDeploys",
  params: ["org_id"],
  text: "select org_id from orgs where org_id = $1 for no key update",
};

export interface LockDagParams {
  readonly org_id: number;
  readonly name: string;
}
export interface LockDagRow {
  readonly dag_id: number;
  readonly current_version_id: number | null;
}
export const lockDag: Statement<LockDagParams, LockDagRow> = {
  name: "lockDag",
  params: ["org_id", "name"],
  text: "insert into dags (org_id, name) values ($1, $2)\non conflict (org_id, name) do update set name = excluded.name\nreturning dag_id, current_version_id",
};

export interface FindDagVersionParams {
  readonly dag_id: number;
  readonly content_sha256: string;
}
export interface FindDagVersionRow {
  readonly dag_version_id: number;
  readonly number: number;
}
export const findDagVersion: Statement<FindDagVersionParams, FindDagVersionRow> = {
  name: "findDagVersion",
  params: ["dag_id", "content_sha256"],
  text: "select dag_version_id, number from dag_versions where dag_id = $1 and content_sha256 = $2",
};

export interface AddDagVersionParams {
  readonly org_id: number;
  readonly dag_id: number;
  readonly content_sha256: string;
  readonly definition: string;
  readonly file_name: string;
  readonly source: string;
}
export interface AddDagVersionRow {
  readonly dag_version_id: number;
  readonly number: number;
}
export const addDagVersion: Statement<AddDagVersionParams, AddDagVersionRow> = {
  name: "addDagVersion",
  params: ["org_id", "dag_id", "content_sha256", "definition", "file_name", "source"],
  text: "insert into dag_versions (org_id, dag_id, number, content_sha256, definition, file_name, source)\nselect $1, $2, coalesce(max(number), 0) + 1, $3, $4::json, $5, $6 from dag_versions where dag_id = $2\nreturning dag_version_id, number",
};

export interface SetCurrentVersionParams {
  readonly dag_id: number;
  readonly dag_version_id: number;
}
export type SetCurrentVersionRow = Readonly<Record<never, never>>;
export const setCurrentVersion: Statement<SetCurrentVersionParams, SetCurrentVersionRow> = {
  name: "setCurrentVersion",
  params: ["dag_id", "dag_version_id"],
  text: "update dags set current_version_id = $2 where dag_id = $1 and current_version_id is distinct from $2",
};

export interface AddJobsParams {
  readonly org_id: number;
  readonly dag_id: number;
  readonly names: readonly string[];
}
export interface AddJobsRow {
  readonly job_id: number;
  readonly name: string;
}
export const addJobs: Statement<AddJobsParams, AddJobsRow> = {
  name: "addJobs",
  params: ["org_id", "dag_id", "names"],
  text: "insert into jobs (org_id, dag_id, name) select $1, $2, n from unnest($3::text[]) as n\non conflict (dag_id, name) do update set name = excluded.name\nreturning job_id, name",
};

export interface AddJobVersionsParams {
  readonly dag_version_id: number;
  readonly org_id: number;
  readonly jobs: string;
}
export type AddJobVersionsRow = Readonly<Record<never, never>>;
export const addJobVersions: Statement<AddJobVersionsParams, AddJobVersionsRow> = {
  name: "addJobVersions",
  params: ["dag_version_id", "org_id", "jobs"],
  text: "insert into job_versions (dag_version_id, job_id, org_id, queue_id, definition, failures_max, timeout_ms, ancestors, max_concurrency, tracked)\nselect $1, j.job_id, $2, j.queue_id, j.definition, j.failures_max, j.timeout_ms, array(select json_array_elements_text(j.ancestors)::bigint),\n       j.max_concurrency, j.tracked\n  from json_to_recordset($3::json) as j (job_id bigint, queue_id int, definition json, failures_max int, timeout_ms bigint, ancestors json,\n       max_concurrency int, tracked boolean)",
};

export interface AddJobInputsParams {
  readonly dag_version_id: number;
  readonly inputs: string;
}
export type AddJobInputsRow = Readonly<Record<never, never>>;
export const addJobInputs: Statement<AddJobInputsParams, AddJobInputsRow> = {
  name: "addJobInputs",
  params: ["dag_version_id", "inputs"],
  text: "insert into job_inputs (dag_version_id, job_id, dataset_id, position)\nselect $1, i.job_id, i.dataset_id, i.position from json_to_recordset($2::json) as i (job_id bigint, dataset_id bigint, position int)",
};

export interface AddJobOutputsParams {
  readonly dag_version_id: number;
  readonly outputs: string;
}
export type AddJobOutputsRow = Readonly<Record<never, never>>;
export const addJobOutputs: Statement<AddJobOutputsParams, AddJobOutputsRow> = {
  name: "addJobOutputs",
  params: ["dag_version_id", "outputs"],
  text: "insert into job_outputs (dag_version_id, job_id, dataset_id, strategy)\nselect $1, o.job_id, o.dataset_id, o.strategy from json_to_recordset($2::json) as o (job_id bigint, dataset_id bigint, strategy text)",
};

export interface FindDatasetsParams {
  readonly org_id: number;
  readonly names: readonly string[];
}
export interface FindDatasetsRow {
  readonly dataset_id: number;
  readonly name: string;
  readonly producer_job_id: number | null;
  readonly producer_dag: string | null;
  readonly producer_job: string | null;
}
export const findDatasets: Statement<FindDatasetsParams, FindDatasetsRow> = {
  name: "findDatasets",
  params: ["org_id", "names"],
  text: "select d.dataset_id, d.name, d.producer_job_id, p.name as producer_dag, j.name as producer_job\n  from datasets d left join jobs j on j.job_id = d.producer_job_id left join dags p on p.dag_id = j.dag_id\n where d.org_id = $1 and d.name = any ($2::text[])\n order by d.dataset_id\n   for update of d",
};

export interface AddDatasetParams {
  readonly public_id: string;
  readonly org_id: number;
  readonly name: string;
  readonly storage_id: string;
}
export interface AddDatasetRow {
  readonly dataset_id: number;
  readonly generation_id: number;
}
export const addDataset: Statement<AddDatasetParams, AddDatasetRow> = {
  name: "addDataset",
  params: ["public_id", "org_id", "name", "storage_id"],
  text: "with made as (\n  insert into datasets (public_id, org_id, name) values ($1, $2, $3) returning dataset_id, org_id\n)\ninsert into generations (org_id, dataset_id, number, storage_id, strategy) select org_id, dataset_id, 1, $4, 'replace' from made\nreturning dataset_id, generation_id",
};

export interface SetDatasetParams {
  readonly dataset_id: number;
  readonly generation_id: number | null;
  readonly producer_job_id: number | null;
}
export type SetDatasetRow = Readonly<Record<never, never>>;
export const setDataset: Statement<SetDatasetParams, SetDatasetRow> = {
  name: "setDataset",
  params: ["dataset_id", "generation_id", "producer_job_id"],
  text: "update datasets set current_generation_id = coalesce($2, current_generation_id), producer_job_id = $3 where dataset_id = $1",
};

export interface ReleaseDatasetsParams {
  readonly dag_id: number;
  readonly kept_dataset_ids: readonly number[];
}
export type ReleaseDatasetsRow = Readonly<Record<never, never>>;
export const releaseDatasets: Statement<ReleaseDatasetsParams, ReleaseDatasetsRow> = {
  name: "releaseDatasets",
  params: ["dag_id", "kept_dataset_ids"],
  text: "update datasets set producer_job_id = null\n where producer_job_id in (select job_id from jobs where dag_id = $1) and not (dataset_id = any ($2::bigint[]))",
};

export interface FindDagByNameParams {
  readonly org_id: number;
  readonly name: string;
}
export interface FindDagByNameRow {
  readonly dag_id: number;
  readonly current_version_id: number | null;
  readonly definition: unknown;
  readonly content_sha256: string;
  readonly number: number;
  readonly deployed_at: Date;
}
export const findDagByName: Statement<FindDagByNameParams, FindDagByNameRow> = {
  name: "findDagByName",
  params: ["org_id", "name"],
  text: "select d.dag_id, d.current_version_id, v.definition, v.content_sha256, v.number, v.deployed_at\n  from dags d join dag_versions v on v.dag_version_id = d.current_version_id\n where d.org_id = $1 and d.name = $2",
};

export interface ListDagsParams {
  readonly org_id: number;
}
export interface ListDagsRow {
  readonly name: string;
  readonly definition: unknown;
  readonly content_sha256: string;
  readonly number: number;
  readonly deployed_at: Date;
}
export const listDags: Statement<ListDagsParams, ListDagsRow> = {
  name: "listDags",
  params: ["org_id"],
  text: "select d.name, v.definition, v.content_sha256, v.number, v.deployed_at\n  from dags d join dag_versions v on v.dag_version_id = d.current_version_id\n where d.org_id = $1\n order by d.name\n limit 1000",
};

export interface LockGenerationsParams {
  readonly generation_ids: readonly number[];
}
export interface LockGenerationsRow {
  readonly heads: unknown;
  readonly committed_at: string;
}
export const lockGenerations: Statement<LockGenerationsParams, LockGenerationsRow> = {
  name: "lockGenerations",
  params: ["generation_ids"],
  text: "with held as materialized (\n  select generation_id, number, head_commit, head_committed_at from generations\n   where generation_id = any ($1::bigint[]) order by generation_id for no key update\n)\nselect coalesce(json_agg(json_build_object('generation_id', generation_id, 'number', number, 'head_commit', head_commit)), '[]'::json) as heads,\n       greatest(clock_timestamp(), max(head_committed_at) + interval '1 microsecond')::text as committed_at\n  from held",
};

export interface CommitReplaceParams {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly partition_key: string;
  readonly committed_at: string;
  readonly org_id: number;
  readonly task_id: number;
  readonly lease_no: number;
  readonly dag_version_id: number;
  readonly schema: string;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly files: string;
}
export interface CommitReplaceRow {
  readonly commit_no: number;
}
export const commitReplace: Statement<CommitReplaceParams, CommitReplaceRow> = {
  name: "commitReplace",
  params: ["generation_id", "commit_no", "partition_key", "committed_at", "org_id", "task_id", "lease_no", "dag_version_id", "schema", "row_count", "byte_count", "file_count", "files"],
  text: "with head as (\n  update generations set head_commit = $2, head_committed_at = $4::text::timestamptz where generation_id = $1 and head_commit = $2 - 1\n  returning generation_id\n), made as (\n  insert into commits (generation_id, commit_no, org_id, kind, partition_key, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count)\n  select generation_id, $2, $5, 'replace', $3, $4::text::timestamptz, $6, $7, $8, $9::json, $10, $11, $12 from head\n  returning generation_id, commit_no\n), removed as (\n  update commit_files set removed_commit = $2\n   where generation_id = $1 and partition_key = $3 and removed_commit is null and exists (select 1 from head)\n), added as (\n  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns)\n  select m.generation_id, $3, m.commit_no, f.key, f.bytes, f.rows, f.sha256, f.columns\n    from made m, json_to_recordset($13::json) as f (key text, bytes bigint, rows bigint, sha256 text, columns json)\n), placed as (\n  insert into partitions (generation_id, partition_key, head_commit) select generation_id, $3, commit_no from made\n  on conflict (generation_id, partition_key) do update set head_commit = excluded.head_commit\n)\nselect commit_no from made",
};

export interface ResolveByNameParams {
  readonly org_id: number;
  readonly names: readonly string[];
}
export interface ResolveByNameRow {
  readonly name: string;
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
  readonly head_committed_at: Date | null;
  readonly schema: unknown;
  readonly files: unknown;
}
export const resolveByName: Statement<ResolveByNameParams, ResolveByNameRow> = {
  name: "resolveByName",
  params: ["org_id", "names"],
  text: "select d.name, g.generation_id, g.number, g.head_commit, g.head_committed_at, c.schema,\n       coalesce((select json_agg(json_build_object('key', f.object_key, 'bytes', f.byte_count, 'rows', f.row_count, 'sha256', f.sha256) order by f.partition_key, f.file_id)\n                   from commit_files f\n                  where f.generation_id = g.generation_id and f.added_commit <= g.head_commit\n                    and (f.removed_commit is null or f.removed_commit > g.head_commit)), '[]'::json) as files\n  from datasets d\n  join generations g on g.generation_id = d.current_generation_id\n  left join commits c on c.generation_id = g.generation_id and c.commit_no = g.head_commit\n where d.org_id = $1 and d.name = any ($2::text[])",
};

export interface ResolveByLeaseParams {
  readonly lease_no: number;
}
export interface ResolveByLeaseRow {
  readonly name: string;
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
  readonly head_committed_at: Date | null;
  readonly schema: unknown;
  readonly files: unknown;
}
export const resolveByLease: Statement<ResolveByLeaseParams, ResolveByLeaseRow> = {
  name: "resolveByLease",
  params: ["lease_no"],
  text: "select d.name, g.generation_id, g.number, ai.commit_no as head_commit, c.committed_at as head_committed_at, c.schema,\n       coalesce((select json_agg(json_build_object('key', f.object_key, 'bytes', f.byte_count, 'rows', f.row_count, 'sha256', f.sha256) order by f.partition_key, f.file_id)\n                   from commit_files f\n                  where f.generation_id = g.generation_id and f.added_commit <= ai.commit_no\n                    and (f.removed_commit is null or f.removed_commit > ai.commit_no)), '[]'::json) as files\n  from attempt_inputs ai\n  join generations g on g.generation_id = ai.generation_id\n  join datasets d on d.dataset_id = g.dataset_id\n  left join commits c on c.generation_id = g.generation_id and c.commit_no = ai.commit_no\n where ai.lease_no = $1\n order by d.name",
};

export interface ListDatasetsParams {
  readonly org_id: number;
  readonly name: string | null;
}
export interface ListDatasetsRow {
  readonly dataset_id: number;
  readonly public_id: string;
  readonly name: string;
  readonly generation_id: number;
  readonly number: number;
  readonly head_commit: number;
  readonly head_committed_at: Date | null;
  readonly schema: unknown;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly producer_dag: string | null;
  readonly producer_job: string | null;
}
export const listDatasets: Statement<ListDatasetsParams, ListDatasetsRow> = {
  name: "listDatasets",
  params: ["org_id", "name"],
  text: "select d.dataset_id, d.public_id, d.name, g.generation_id, g.number, g.head_commit, g.head_committed_at, coalesce(c.schema, '[]'::json) as schema,\n       coalesce(f.row_count, 0) as row_count, coalesce(f.byte_count, 0) as byte_count, coalesce(f.file_count, 0) as file_count,\n       pd.name as producer_dag, pj.name as producer_job\n  from datasets d\n  join generations g on g.generation_id = d.current_generation_id\n  left join commits c on c.generation_id = g.generation_id and c.commit_no = g.head_commit\n  left join lateral (select sum(row_count)::bigint as row_count, sum(byte_count)::bigint as byte_count, count(*)::int as file_count\n                       from commit_files where generation_id = g.generation_id and removed_commit is null) f on true\n  left join jobs pj on pj.job_id = d.producer_job_id\n  left join dags pd on pd.dag_id = pj.dag_id\n where d.org_id = $1 and ($2::text is null or d.name = $2)\n order by d.name\n limit 1000",
};

export interface CommitsOfGenerationParams {
  readonly generation_id: number;
  readonly limit: number;
}
export interface CommitsOfGenerationRow {
  readonly commit_no: number;
  readonly number: number;
  readonly kind: string;
  readonly committed_at: Date;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly task_public_id: string;
  readonly lease_no: number;
  readonly content_sha256: string;
  readonly inputs: unknown;
}
export const commitsOfGeneration: Statement<CommitsOfGenerationParams, CommitsOfGenerationRow> = {
  name: "commitsOfGeneration",
  params: ["generation_id", "limit"],
  text: "select c.commit_no, g.number, c.kind, c.committed_at, c.row_count, c.byte_count, c.file_count, t.public_id as task_public_id, c.lease_no, v.content_sha256,\n       coalesce((select json_agg(json_build_object('dataset', d.name, 'generation', ig.number, 'commit', ai.commit_no) order by d.name)\n                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets d on d.dataset_id = ig.dataset_id\n                  where ai.lease_no = c.lease_no), '[]'::json) as inputs\n  from commits c\n  join generations g on g.generation_id = c.generation_id\n cross join lateral (select x.public_id from tasks x where x.task_id = c.task_id offset 0) t\n  join dag_versions v on v.dag_version_id = c.dag_version_id\n where c.generation_id = $1\n order by c.commit_no desc\n limit $2",
};

export interface AddHistoryPartitionsParams {
  readonly ahead: number;
}
export interface AddHistoryPartitionsRow {
  readonly made: number;
}
export const addHistoryPartitions: Statement<AddHistoryPartitionsParams, AddHistoryPartitionsRow> = {
  name: "addHistoryPartitions",
  params: ["ahead"],
  text: "select add_history_partitions($1) as made",
};

export interface LockLeasesParams {
  readonly tokens: readonly Buffer[];
}
export interface LockLeasesRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly attempt: number;
  readonly failures: number;
  readonly lease_losses: number;
  readonly queue_id: number;
  readonly priority: number;
  readonly claimed_at: Date;
  readonly worker: string;
  readonly public_id: string;
  readonly org_id: number;
  readonly run_id: number | null;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly failures_max: number;
  readonly lease_losses_max: number;
  readonly output_partition: string | null;
  readonly limited: boolean;
  readonly live: boolean;
}
export const lockLeases: Statement<LockLeasesParams, LockLeasesRow> = {
  name: "lockLeases",
  params: ["tokens"],
  text: "with held as materialized (\n  select * from leases where token = any ($1::bytea[]) order by token for update\n), session as materialized (\n  select session_id, worker, expires_at, closed_at from sessions\n   where session_id in (select session_id from held) order by session_id for key share\n)\nselect h.token, h.lease_no, h.task_id, h.attempt, h.failures, h.lease_losses, h.queue_id, h.priority, h.claimed_at,\n       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited,\n       (h.deadline > clock_timestamp()\n        and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true) as live\n  from held h\n cross join lateral (select x.worker from sessions x where x.session_id = h.session_id offset 0) s\n cross join lateral (select * from tasks x where x.task_id = h.task_id offset 0) t\n order by h.lease_no",
};

export interface CompletePlainParams {
  readonly tokens: Buffer;
  readonly tell: boolean;
}
export interface CompletePlainRow {
  readonly ended: number;
  readonly lease_nos: readonly number[] | null;
  readonly task_ids: readonly number[] | null;
}
export const completePlain: Statement<CompletePlainParams, CompletePlainRow> = {
  name: "completePlain",
  params: ["tokens", "tell"],
  text: "with held as materialized (\n  select ctid, session_id, plain, deadline from leases\n   where token = any (array(select substring($1::bytea from 40 * n + 1 for 40) from generate_series(0, octet_length($1::bytea) / 40 - 1) n))\n   order by token for update\n), session as materialized (\n  select session_id, worker, expires_at, closed_at from sessions\n   where session_id = any (array(select distinct session_id from held)) order by session_id for key share\n), judged as materialized (\n  select h.ctid\n    from held h\n   where h.plain and h.deadline > clock_timestamp()\n     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true\n), ended as (\n  delete from leases where ctid = any (array(select ctid from judged))\n  returning token, lease_no, task_id, session_id, attempt, failures, lease_losses, claimed_at\n), outcome as (\n  insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, worker, token, started_at)\n  select e.task_id, 'completed', e.attempt, e.failures, e.lease_losses, e.lease_no,\n         case when (select count(*) from session) <= 4\n              then (select s.worker from session s where s.session_id = e.session_id)\n              else (select x.worker from sessions x where x.session_id = e.session_id) end,\n         e.token, e.claimed_at\n    from ended e\n)\nselect e.ended,\n       case when e.ended < octet_length($1::bytea) / 40 then (select coalesce(array_agg(lease_no), '{}') from ended) end as lease_nos,\n       case when $2::boolean then (select coalesce(array_agg(task_id), '{}') from ended) end as task_ids\n  from (select count(*)::int as ended from ended) e",
};

export interface StartAttemptsParams {
  readonly tokens: readonly Buffer[];
  readonly nonces: readonly string[];
}
export interface StartAttemptsRow {
  readonly token: Buffer;
  readonly bound: boolean;
}
export const startAttempts: Statement<StartAttemptsParams, StartAttemptsRow> = {
  name: "startAttempts",
  params: ["tokens", "nonces"],
  text: "with held as materialized (\n  select l.*, w.nonce as wanted\n    from unnest($1::bytea[], $2::uuid[]) as w (token, nonce)\n   cross join lateral (\n     select x.token, x.session_id, x.deadline, x.nonce from leases x where x.token = w.token for update) l\n), session as materialized (\n  select session_id, expires_at, closed_at from sessions\n   where session_id in (select session_id from held) order by session_id for key share\n), judged as materialized (\n  select h.token, h.wanted as nonce, h.nonce is null as first, h.nonce is null or h.nonce = h.wanted as bound\n    from held h\n   where h.deadline > clock_timestamp()\n     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true\n), started as (\n  update leases l\n     set nonce = ((select json_object_agg(encode(j.token, 'hex'), j.nonce)::jsonb from judged j where j.first) ->> encode(l.token, 'hex'))::uuid,\n         deadline = clock_timestamp() + ((select t.timeout_ms from tasks t where t.task_id = l.task_id) + 10000) * interval '1 ms'\n   where l.token = any (array(select j.token from judged j where j.first))\n)\nselect token, bound from judged",
};

export interface LockLeasesOfTasksParams {
  readonly task_ids: readonly number[];
}
export interface LockLeasesOfTasksRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly attempt: number;
  readonly failures: number;
  readonly lease_losses: number;
  readonly queue_id: number;
  readonly priority: number;
  readonly claimed_at: Date;
  readonly worker: string;
  readonly public_id: string;
  readonly org_id: number;
  readonly run_id: number | null;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly failures_max: number;
  readonly lease_losses_max: number;
  readonly output_partition: string | null;
  readonly limited: boolean;
}
export const lockLeasesOfTasks: Statement<LockLeasesOfTasksParams, LockLeasesOfTasksRow> = {
  name: "lockLeasesOfTasks",
  params: ["task_ids"],
  text: "with held as materialized (\n  select * from leases where token = any (array(select x.token from leases x where x.task_id = any ($1::bigint[]))) order by token for update\n)\nselect l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,\n       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited\n  from held l\n  join sessions s on s.session_id = l.session_id\n cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t\n order by l.lease_no",
};

export interface LockExpiredLeasesParams {
  readonly limit: number;
  readonly overdue: boolean;
}
export interface LockExpiredLeasesRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly attempt: number;
  readonly failures: number;
  readonly lease_losses: number;
  readonly queue_id: number;
  readonly priority: number;
  readonly claimed_at: Date;
  readonly worker: string;
  readonly public_id: string;
  readonly org_id: number;
  readonly run_id: number | null;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly failures_max: number;
  readonly lease_losses_max: number;
  readonly output_partition: string | null;
  readonly limited: boolean;
  readonly past_deadline: boolean;
}
export const lockExpiredLeases: Statement<LockExpiredLeasesParams, LockExpiredLeasesRow> = {
  name: "lockExpiredLeases",
  params: ["limit", "overdue"],
  text: "with held as materialized (\n  select * from leases where token = any (array(\n         (select o.token from sessions c cross join lateral (\n             select x.token from leases x\n              where x.token >= int8send(c.session_id) and x.token < int8send(c.session_id + 1) limit $1) o\n           where c.closed_at is not null limit $1)\n         union all\n         (select o.token from sessions c cross join lateral (\n             select x.token from leases x\n              where x.token >= int8send(c.session_id) and x.token < int8send(c.session_id + 1) and x.deadline <= now() limit $1) o\n           where c.closed_at is null and $2::boolean limit $1)))\n   order by token limit $1 for update skip locked\n)\nselect l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,\n       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition, t.limited,\n       (l.deadline <= now() and s.closed_at is null) as past_deadline\n  from held l\n  join sessions s on s.session_id = l.session_id\n cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t\n where l.deadline <= now() or s.closed_at is not null\n order by l.lease_no",
};

export interface EndAttemptsParams {
  readonly tokens: readonly Buffer[];
  readonly history: string;
  readonly outcomes: string;
  readonly again: string;
  readonly freed_task_ids: readonly number[];
  readonly freed_slot_task_ids: readonly number[];
  readonly wakeups: string;
}
export interface EndAttemptsRow {
  readonly ended: number;
  readonly wakeups: unknown;
}
export const endAttempts: Statement<EndAttemptsParams, EndAttemptsRow> = {
  name: "endAttempts",
  params: ["tokens", "history", "outcomes", "again", "freed_task_ids", "freed_slot_task_ids", "wakeups"],
  text: "with ended as (\n  delete from leases where token = any ($1::bytea[]) returning lease_no\n), history as (\n  insert into attempts (lease_no, task_id, attempt, state, worker, token, call_sha256, answer, error, started_at)\n  select h.lease_no, h.task_id, h.attempt, h.state, h.worker, decode(h.token, 'hex'), decode(h.call_sha256, 'hex'), h.answer, h.error, h.started_at\n    from json_to_recordset($2::json) as h (lease_no bigint, task_id bigint, attempt int, state text, worker text, token text,\n         call_sha256 text, answer json, error json, started_at timestamptz)\n), outcome as (\n  insert into outcomes (task_id, state, attempt, failures, lease_losses, lease_no, error)\n  select o.task_id, o.state, o.attempt, o.failures, o.lease_losses, o.lease_no, o.error\n    from json_to_recordset($3::json) as o (task_id bigint, state text, attempt int, failures int, lease_losses int, lease_no bigint, error json)\n), again as materialized (\n  select a.task_id, a.job_id, a.queue_id, a.priority, clock_timestamp() + a.delay_ms * interval '1 ms' as run_at, a.attempt, a.failures, a.lease_losses, a.limited\n    from json_to_recordset($4::json) as a (task_id bigint, job_id bigint, queue_id int, priority smallint, delay_ms bigint, attempt int, failures int,\n         lease_losses int, limited boolean)\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)\n  select task_id, queue_id, priority, run_at, attempt, failures, lease_losses from again where not limited\n), parked as (\n  insert into waiting (task_id, job_id, priority, run_at, attempt, failures, lease_losses)\n  select task_id, job_id, priority, run_at, attempt, failures, lease_losses from again where limited\n), freed as (\n  delete from live_outputs where task_id = any ($5::bigint[])\n), vacated as (\n  delete from job_slots where task_id = any ($6::bigint[])\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', case when w.delay_ms = 0 then now() + interval '500 ms' else clock_timestamp() + w.delay_ms * interval '1 ms' end, w.queue_id, array(select json_array_elements_text(w.task_ids)::uuid)\n    from json_to_recordset($7::json) as w (queue_id int, delay_ms bigint, task_ids json)\n  returning outbox_id, due_at, queue_id, task_ids\n)\nselect (select count(*)::int from ended) as ended,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))\n                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups",
};

export interface FindAttemptsParams {
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
}
export interface FindAttemptsRow {
  readonly lease_no: number;
  readonly state: string;
  readonly token: Buffer;
  readonly call_sha256: Buffer | null;
  readonly answer: unknown;
}
export const findAttempts: Statement<FindAttemptsParams, FindAttemptsRow> = {
  name: "findAttempts",
  params: ["lease_nos", "task_ids"],
  text: "select a.lease_no, a.state, a.token, a.call_sha256, a.answer\n  from unnest($1::bigint[], $2::bigint[]) as w (lease_no, task_id)\n cross join lateral (\n   select x.lease_no, x.state, x.token, x.call_sha256, x.answer from attempts x where x.task_id = w.task_id and x.lease_no = w.lease_no\n   union all\n   select o.lease_no, 'succeeded', o.token, null, null from outcomes o\n    where o.task_id = w.task_id and o.lease_no = w.lease_no and o.token is not null) a",
};

export interface AdmitWaitingParams {
  readonly job_ids: readonly number[];
}
export interface AdmitWaitingRow {
  readonly admitted: number;
  readonly wakeups: unknown;
}
export const admitWaiting: Statement<AdmitWaitingParams, AdmitWaitingRow> = {
  name: "admitWaiting",
  params: ["job_ids"],
  text: "with limits as materialized (\n  select j.job_id,\n         coalesce((select coalesce(jv.max_concurrency, 1000000000) from job_versions jv join dags d on d.dag_id = j.dag_id\n                    where jv.job_id = j.job_id order by (jv.dag_version_id = d.current_version_id) desc, jv.dag_version_id desc limit 1), 1)\n           - (select count(*) from job_slots s where s.job_id = j.job_id) as free\n    from jobs j where j.job_id = any ($1::bigint[])\n), picked as materialized (\n  select w.task_id, w.job_id, w.priority, w.run_at, w.attempt, w.failures, w.lease_losses, t.queue_id, t.public_id\n    from limits l\n   cross join lateral (\n     select * from waiting x where x.job_id = l.job_id and x.run_at <= clock_timestamp()\n      order by x.priority, x.run_at, x.task_id limit least(greatest(l.free, 0), 1000)) w\n   cross join lateral (select x.queue_id, x.public_id from tasks x where x.task_id = w.task_id offset 0) t\n), left_waiting as (\n  delete from waiting where task_id = any (array(select task_id from picked))\n), slots as (\n  insert into job_slots (task_id, job_id) select task_id, job_id from picked\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)\n  select task_id, queue_id, priority, clock_timestamp(), attempt, failures, lease_losses from picked\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', clock_timestamp() + interval '500 ms', queue_id, array_agg(public_id)\n    from (select queue_id, public_id, (row_number() over (partition by queue_id) - 1) / 1000 as part from picked) p\n   group by queue_id, part\n  returning outbox_id, queue_id, task_ids\n)\nselect (select count(*)::int from picked) as admitted,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups",
};

export interface JobsWithWaitingParams {
  readonly limit: number;
}
export interface JobsWithWaitingRow {
  readonly job_id: number;
}
export const jobsWithWaiting: Statement<JobsWithWaitingParams, JobsWithWaitingRow> = {
  name: "jobsWithWaiting",
  params: ["limit"],
  text: "with recursive job as (\n  (select job_id from waiting order by job_id limit 1)\n  union all\n  select n.job_id from job cross join lateral (select w.job_id from waiting w where w.job_id > job.job_id order by w.job_id limit 1) n\n)\nselect job_id from job limit $1",
};

export type StrayedSlotsParams = Readonly<Record<never, never>>;
export interface StrayedSlotsRow {
  readonly task_id: number;
  readonly job_id: number;
}
export const strayedSlots: Statement<StrayedSlotsParams, StrayedSlotsRow> = {
  name: "strayedSlots",
  params: [],
  text: "select s.task_id, s.job_id from job_slots s\n where not exists (select 1 from ready r where r.task_id = s.task_id) and not exists (select 1 from leases l where l.task_id = s.task_id)",
};

export interface TryOutboxLockParams {
  readonly lane: string;
}
export interface TryOutboxLockRow {
  readonly locked: boolean;
}
export const tryOutboxLock: Statement<TryOutboxLockParams, TryOutboxLockRow> = {
  name: "tryOutboxLock",
  params: ["lane"],
  text: "select pg_try_advisory_lock(hashtext('trace outbox'), hashtext($1)) as locked",
};

export interface FreeOutboxLockParams {
  readonly lane: string;
}
export interface FreeOutboxLockRow {
  readonly unlocked: boolean | null;
}
export const freeOutboxLock: Statement<FreeOutboxLockParams, FreeOutboxLockRow> = {
  name: "freeOutboxLock",
  params: ["lane"],
  text: "select pg_advisory_unlock(hashtext('trace outbox'), hashtext($1)) as unlocked",
};

export interface ReadWakeupsParams {
  readonly from_due_at: string | null;
  readonly from_outbox_id: number;
  readonly lag_ms: number;
  readonly late_ms: number;
  readonly limit: number;
}
export interface ReadWakeupsRow {
  readonly outbox_id: number;
  readonly due_at: string;
  readonly queue_id: number;
  readonly task_ids: readonly string[];
}
export const readWakeups: Statement<ReadWakeupsParams, ReadWakeupsRow> = {
  name: "readWakeups",
  params: ["from_due_at", "from_outbox_id", "lag_ms", "late_ms", "limit"],
  text: "select o.outbox_id, o.due_at::text as due_at, o.queue_id,\n       case when o.due_at > now() - $4::bigint * interval '1 ms' then o.task_ids\n            else array(select t.public_id from tasks t where t.public_id = any (o.task_ids) and (select true from ready r where r.task_id = t.task_id))\n       end as task_ids\n  from outbox o\n where o.lane = 'sqs' and o.due_at <= now()\n   and (o.due_at, o.outbox_id) > (coalesce($1::text::timestamptz, now() - $3::bigint * interval '1 ms'), $2::bigint)\n order by o.due_at, o.outbox_id\n limit $5",
};

export interface ReadEventsParams {
  readonly from_due_at: string | null;
  readonly from_outbox_id: number;
  readonly lag_ms: number;
  readonly limit: number;
}
export interface ReadEventsRow {
  readonly outbox_id: number;
  readonly due_at: string;
  readonly events: unknown;
}
export const readEvents: Statement<ReadEventsParams, ReadEventsRow> = {
  name: "readEvents",
  params: ["from_due_at", "from_outbox_id", "lag_ms", "limit"],
  text: "select o.outbox_id, o.due_at::text as due_at, o.events\n  from outbox o\n where o.lane = 'events' and o.due_at <= now()\n   and (o.due_at, o.outbox_id) > (coalesce($1::text::timestamptz, now() - $3::bigint * interval '1 ms'), $2::bigint)\n order by o.due_at, o.outbox_id\n limit $4",
};

export interface DeleteOutboxParams {
  readonly outbox_ids: readonly number[];
}
export type DeleteOutboxRow = Readonly<Record<never, never>>;
export const deleteOutbox: Statement<DeleteOutboxParams, DeleteOutboxRow> = {
  name: "deleteOutbox",
  params: ["outbox_ids"],
  text: "with sent as (\n  delete from outbox where outbox_id = any ($1::bigint[])\n)\ndelete from outbox_tries where outbox_id = any ($1::bigint[])",
};

export interface KeepOfOutboxParams {
  readonly outbox_id: number;
  readonly task_ids: readonly string[] | null;
  readonly events: string | null;
}
export type KeepOfOutboxRow = Readonly<Record<never, never>>;
export const keepOfOutbox: Statement<KeepOfOutboxParams, KeepOfOutboxRow> = {
  name: "keepOfOutbox",
  params: ["outbox_id", "task_ids", "events"],
  text: "update outbox set task_ids = $2::uuid[], events = $3::json where outbox_id = $1",
};

export interface BlameOutboxParams {
  readonly outbox_id: number;
  readonly task_ids: readonly string[] | null;
  readonly events: string | null;
  readonly error: string;
  readonly tries_max: number;
  readonly retry_base_ms: number;
  readonly retry_max_ms: number;
}
export interface BlameOutboxRow {
  readonly tries: number;
  readonly failed: boolean;
}
export const blameOutbox: Statement<BlameOutboxParams, BlameOutboxRow> = {
  name: "blameOutbox",
  params: ["outbox_id", "task_ids", "events", "error", "tries_max", "retry_base_ms", "retry_max_ms"],
  text: "with tried as (\n  insert into outbox_tries (outbox_id, lane, queue_id, task_ids, events, tries, last_error)\n  select outbox_id, lane, queue_id, $2::uuid[], $3::json, 1, $4 from outbox where outbox_id = $1\n  on conflict (outbox_id) do update set task_ids = excluded.task_ids, events = excluded.events, tries = outbox_tries.tries + 1,\n     last_error = excluded.last_error, last_tried_at = clock_timestamp(), failed = outbox_tries.tries + 1 >= $5\n  returning outbox_id, tries, failed\n), gone as (\n  delete from outbox where outbox_id = any (array(select outbox_id from tried where failed))\n), again as (\n  update outbox o set task_ids = $2::uuid[], events = $3::json,\n         due_at = clock_timestamp() + least($7::bigint, $6::bigint * 2 ^ least((select tries from tried) - 1, 30)) * interval '1 ms'\n   where o.outbox_id = any (array(select outbox_id from tried where not failed))\n)\nselect tries, failed from tried",
};

export interface FailedOutboxParams {
  readonly limit: number;
}
export interface FailedOutboxRow {
  readonly outbox_id: number;
  readonly lane: string;
  readonly queue: string | null;
  readonly entries: number;
  readonly event_types: readonly string[];
  readonly tries: number;
  readonly last_error: string;
  readonly last_tried_at: Date;
}
export const failedOutbox: Statement<FailedOutboxParams, FailedOutboxRow> = {
  name: "failedOutbox",
  params: ["limit"],
  text: "select t.outbox_id, t.lane, q.name as queue, coalesce(cardinality(t.task_ids), json_array_length(t.events)) as entries,\n       array(select distinct e ->> 'type' from json_array_elements(t.events) e order by 1) as event_types, t.tries,\n       t.last_error, t.last_tried_at\n  from outbox_tries t left join queues q on q.queue_id = t.queue_id\n where t.failed\n order by t.outbox_id desc\n limit $1",
};

export interface RequeueOutboxParams {
  readonly outbox_ids: readonly number[];
}
export interface RequeueOutboxRow {
  readonly outbox_id: number;
}
export const requeueOutbox: Statement<RequeueOutboxParams, RequeueOutboxRow> = {
  name: "requeueOutbox",
  params: ["outbox_ids"],
  text: "with again as (\n  delete from outbox_tries where outbox_id = any ($1::bigint[]) and failed returning outbox_id, lane, queue_id, task_ids, events\n), back as (\n  insert into outbox (lane, due_at, queue_id, task_ids, events)\n  select lane, clock_timestamp(), queue_id, task_ids, events from again\n)\nselect outbox_id from again",
};

export interface ForgetFailedOutboxParams {
  readonly older_than_ms: number;
  readonly limit: number;
}
export interface ForgetFailedOutboxRow {
  readonly outbox_id: number;
}
export const forgetFailedOutbox: Statement<ForgetFailedOutboxParams, ForgetFailedOutboxRow> = {
  name: "forgetFailedOutbox",
  params: ["older_than_ms", "limit"],
  text: "delete from outbox_tries where outbox_id = any (array(\n  select outbox_id from outbox_tries where failed and last_tried_at < clock_timestamp() - $1::bigint * interval '1 ms' order by outbox_id limit $2))\nreturning outbox_id",
};

export interface AddEventsParams {
  readonly events: string;
}
export type AddEventsRow = Readonly<Record<never, never>>;
export const addEvents: Statement<AddEventsParams, AddEventsRow> = {
  name: "addEvents",
  params: ["events"],
  text: "insert into outbox (lane, due_at, events)\nselect 'events', clock_timestamp(), json_agg(json_build_object('type', type, 'time', clock_timestamp(), 'detail', detail) order by place)\n  from (select e.type, row_number() over () as place,\n               json_strip_nulls(json_build_object('org', o.name, 'dag', d.name, 'job', j.name, 'task_id', e.task_id, 'attempt', e.attempt,\n                 'dataset', e.dataset, 'generation', e.generation, 'commit', e.commit)) as detail\n          from json_to_recordset($1::json) as e (type text, org_id bigint, job_id bigint, task_id uuid, attempt int, dataset text, generation int, commit bigint)\n          join orgs o on o.org_id = e.org_id\n          join jobs j on j.job_id = e.job_id\n          join dags d on d.dag_id = j.dag_id) e\n group by (place - 1) / 100",
};

export interface AddCompletedEventsParams {
  readonly task_ids: readonly number[];
}
export type AddCompletedEventsRow = Readonly<Record<never, never>>;
export const addCompletedEvents: Statement<AddCompletedEventsParams, AddCompletedEventsRow> = {
  name: "addCompletedEvents",
  params: ["task_ids"],
  text: "insert into outbox (lane, due_at, events)\nselect 'events', clock_timestamp(), json_agg(json_build_object('type', 'task.completed', 'time', clock_timestamp(), 'detail', detail) order by place)\n  from (select row_number() over (order by e.lease_no) as place,\n               json_build_object('org', o.name, 'dag', d.name, 'job', j.name, 'task_id', t.public_id, 'attempt', e.attempt) as detail\n          from unnest($1::bigint[]) as w (task_id)\n         cross join lateral (select x.attempt, x.lease_no from outcomes x where x.task_id = w.task_id and x.state = 'completed' offset 0) e\n         cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t\n          join orgs o on o.org_id = t.org_id\n          join jobs j on j.job_id = t.job_id\n          join dags d on d.dag_id = j.dag_id) e\n group by (place - 1) / 100",
};

export type OutboxLanesParams = Readonly<Record<never, never>>;
export interface OutboxLanesRow {
  readonly lane: string;
  readonly pending: number;
  readonly oldest_ms: number | null;
  readonly failed: number;
}
export const outboxLanes: Statement<OutboxLanesParams, OutboxLanesRow> = {
  name: "outboxLanes",
  params: [],
  text: "select l.lane,\n       (select count(*)::int from (select 1 from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at limit 100000) o) as pending,\n       (select (extract(epoch from clock_timestamp() - o.due_at) * 1000)::float8\n          from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at, o.outbox_id limit 1) as oldest_ms,\n       (select count(*)::int from (select 1 from outbox_tries t where t.lane = l.lane and t.failed limit 100000) t) as failed\n  from (values ('sqs'), ('events')) as l (lane)",
};

export type OutboxStatusParams = Readonly<Record<never, never>>;
export interface OutboxStatusRow {
  readonly pending: number;
  readonly oldest_ms: number | null;
  readonly failed: number;
}
export const outboxStatus: Statement<OutboxStatusParams, OutboxStatusRow> = {
  name: "outboxStatus",
  params: [],
  text: "select (select count(*)::int\n          from (select 1 from (values ('sqs'), ('events')) as l (lane)\n                 cross join lateral (select 1 from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at limit 100000) o\n                 limit 100000) o) as pending,\n       (select (extract(epoch from clock_timestamp() - min(first.due_at)) * 1000)::float8\n          from (values ('sqs'), ('events')) as l (lane)\n         cross join lateral (select o.due_at from outbox o where o.lane = l.lane and o.due_at <= now() order by o.due_at, o.outbox_id limit 1) first) as oldest_ms,\n       (select count(*)::int from (select 1 from outbox_tries t where t.failed limit 100000) t) as failed",
};

export interface QueueStatusParams {
  readonly org_id: number;
}
export interface QueueStatusRow {
  readonly queue_id: number;
  readonly name: string;
  readonly ready: number;
  readonly leased: number;
  readonly oldest_ready_ms: number | null;
}
export const queueStatus: Statement<QueueStatusParams, QueueStatusRow> = {
  name: "queueStatus",
  params: ["org_id"],
  text: "select q.queue_id, q.name,\n       (select count(*)::int from (select 1 from ready r where r.queue_id = q.queue_id order by r.priority, r.run_at, r.task_id limit 100000) r) as ready,\n       (select count(*)::int\n          from (select 1 from sessions s\n                 cross join lateral (\n                   select 1 from leases l\n                    where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1) and l.queue_id = q.queue_id limit 100000) l\n                 limit 100000) l) as leased,\n       (with recursive first as (\n          (select r.priority, r.run_at, r.ready_at from ready r where r.queue_id = q.queue_id order by r.priority, r.run_at, r.task_id limit 1)\n          union all\n          select n.priority, n.run_at, n.ready_at\n            from first f\n           cross join lateral (\n             select r.priority, r.run_at, r.ready_at from ready r\n              where r.queue_id = q.queue_id and r.priority > f.priority\n              order by r.priority, r.run_at, r.task_id limit 1) n)\n        select (extract(epoch from clock_timestamp() - min(greatest(run_at, ready_at))) * 1000)::float8 from first where run_at <= now()) as oldest_ready_ms\n  from queues q where q.org_id = $1 order by q.name",
};

export interface TellClaimsParams {
  readonly queue_ids: readonly number[];
  readonly ages_ms: readonly number[];
}
export type TellClaimsRow = Readonly<Record<never, never>>;
export const tellClaims: Statement<TellClaimsParams, TellClaimsRow> = {
  name: "tellClaims",
  params: ["queue_ids", "ages_ms"],
  text: "insert into queue_pulses (queue_id, claimed_at)\nselect queue_id, clock_timestamp() - age_ms * interval '1 ms'\n  from unnest($1::int[], $2::float8[]) as c (queue_id, age_ms)\n order by queue_id\non conflict (queue_id) do update set claimed_at = greatest(queue_pulses.claimed_at, excluded.claimed_at), spoken = 0",
};

export interface WakeForgottenParams {
  readonly queue_id: number;
  readonly after_ms: number;
  readonly at_once: boolean;
  readonly every_ms: number;
  readonly quiet_max_ms: number;
  readonly tasks_max: number;
}
export interface WakeForgottenRow {
  readonly outbox_id: number;
  readonly queue_id: number;
  readonly task_ids: readonly string[];
}
export const wakeForgotten: Statement<WakeForgottenParams, WakeForgottenRow> = {
  name: "wakeForgotten",
  params: ["queue_id", "after_ms", "at_once", "every_ms", "quiet_max_ms", "tasks_max"],
  text: "with recursive quiet as materialized (\n  select 1 from (values (1)) v\n   where not exists (select 1 from queue_pulses p where p.queue_id = $1 and not $3::boolean\n           and (p.claimed_at > clock_timestamp() - $2::bigint * interval '1 ms'\n                or p.spoken_at > clock_timestamp() - least($5::bigint, $4::bigint * 2 ^ least(p.spoken, 30)) * interval '1 ms'))\n     and not exists (select 1 from outbox o where o.lane = 'sqs' and o.due_at <= now() - interval '1 s')\n), free as materialized (\n  select least(coalesce(sum(greatest(s.slots - held.leases, 0)), 0), $6::bigint)::bigint as slots\n    from sessions s\n   cross join lateral (\n     select count(*) as leases\n       from (select 1 from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1) limit s.slots) l) held\n   where s.closed_at is null and s.expires_at > now() and exists (select 1 from quiet)\n), line as (\n  (select r.priority from ready r where r.queue_id = $1 and (select slots from free) > 0 order by r.priority, r.run_at, r.task_id limit 1)\n  union all\n  select n.priority\n    from line\n   cross join lateral (select r.priority from ready r where r.queue_id = $1 and r.priority > line.priority order by r.priority, r.run_at, r.task_id limit 1) n\n), forgotten as materialized (\n  select f.task_id, row_number() over (order by f.priority, f.run_at, f.task_id) as place\n    from line\n   cross join lateral (\n     select r.task_id, r.priority, r.run_at, r.ready_at from ready r\n      where r.queue_id = $1 and r.priority = line.priority and r.run_at <= now() - $2::bigint * interval '1 ms'\n      order by r.run_at, r.task_id\n      limit (select slots from free)) f\n   where f.ready_at <= now() - $2::bigint * interval '1 ms'\n   order by f.priority, f.run_at, f.task_id\n   limit (select slots from free)\n), mine as (\n  insert into queue_pulses (queue_id, spoken_at, spoken)\n  select $1, clock_timestamp(), 1 where exists (select 1 from forgotten)\n  on conflict (queue_id) do update set spoken_at = excluded.spoken_at, spoken = queue_pulses.spoken + 1\n   where $3::boolean\n      or ((queue_pulses.claimed_at is null or queue_pulses.claimed_at <= clock_timestamp() - $2::bigint * interval '1 ms')\n          and (queue_pulses.spoken_at is null\n               or queue_pulses.spoken_at <= clock_timestamp() - least($5::bigint, $4::bigint * 2 ^ least(queue_pulses.spoken, 30)) * interval '1 ms'))\n  returning queue_id\n)\ninsert into outbox (lane, due_at, queue_id, task_ids)\nselect 'sqs', clock_timestamp() + interval '500 ms', $1, array_agg((select t.public_id from tasks t where t.task_id = f.task_id) order by f.place)\n  from forgotten f\n where exists (select 1 from mine)\nhaving count(*) > 0\nreturning outbox_id, queue_id, task_ids",
};

export interface OpenSessionParams {
  readonly public_id: string;
  readonly worker: string;
  readonly host: string;
  readonly pid: number;
  readonly slots: number;
  readonly ttl_ms: number;
}
export interface OpenSessionRow {
  readonly session_id: number;
}
export const openSession: Statement<OpenSessionParams, OpenSessionRow> = {
  name: "openSession",
  params: ["public_id", "worker", "host", "pid", "slots", "ttl_ms"],
  text: "insert into sessions (public_id, worker, host, pid, slots, expires_at)\nvalues ($1, $2, $3, $4, $5, clock_timestamp() + $6::bigint * interval '1 ms')\nreturning session_id",
};

export interface BeatSessionParams {
  readonly public_id: string;
  readonly ttl_ms: number;
}
export interface BeatSessionRow {
  readonly session_id: number;
}
export const beatSession: Statement<BeatSessionParams, BeatSessionRow> = {
  name: "beatSession",
  params: ["public_id", "ttl_ms"],
  text: "with held as materialized (\n  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for no key update\n)\nupdate sessions s set expires_at = clock_timestamp() + $2::bigint * interval '1 ms'\n  from held\n where s.session_id = held.session_id and held.expires_at > clock_timestamp()\nreturning s.session_id",
};

export interface LiveLeasesParams {
  readonly session_id: number;
  readonly lease_nos: readonly number[];
}
export interface LiveLeasesRow {
  readonly lease_no: number;
}
export const liveLeases: Statement<LiveLeasesParams, LiveLeasesRow> = {
  name: "liveLeases",
  params: ["session_id", "lease_nos"],
  text: "select l.lease_no\n  from unnest($2::bigint[]) as n (lease_no)\n cross join lateral (\n   select x.lease_no from leases x\n    where x.token >= int8send($1) || int8send(n.lease_no) and x.token < int8send($1) || int8send(n.lease_no + 1) and x.deadline > clock_timestamp()) l",
};

export interface SaveProgressParams {
  readonly session_id: number;
  readonly progress: string;
}
export interface SaveProgressRow {
  readonly lease_no: number;
}
export const saveProgress: Statement<SaveProgressParams, SaveProgressRow> = {
  name: "saveProgress",
  params: ["session_id", "progress"],
  text: "update leases l set progress = p.progress\n  from json_to_recordset($2::json) as p (lease_no bigint, progress json)\n where l.token >= int8send($1) || int8send(p.lease_no) and l.token < int8send($1) || int8send(p.lease_no + 1)\nreturning l.lease_no",
};

export interface CloseSessionParams {
  readonly public_id: string;
}
export interface CloseSessionRow {
  readonly session_id: number;
}
export const closeSession: Statement<CloseSessionParams, CloseSessionRow> = {
  name: "closeSession",
  params: ["public_id"],
  text: "with held as materialized (\n  select session_id from sessions where public_id = $1 and closed_at is null for update\n)\nupdate sessions s set closed_at = clock_timestamp() from held where s.session_id = held.session_id\nreturning s.session_id",
};

export type ExpireSessionsParams = Readonly<Record<never, never>>;
export interface ExpireSessionsRow {
  readonly session_id: number;
  readonly worker: string;
}
export const expireSessions: Statement<ExpireSessionsParams, ExpireSessionsRow> = {
  name: "expireSessions",
  params: [],
  text: "with due as materialized (\n  select session_id from sessions where closed_at is null and expires_at <= clock_timestamp() order by session_id for update\n)\nupdate sessions s set closed_at = clock_timestamp() from due where s.session_id = due.session_id\nreturning s.session_id, s.worker",
};

export interface ForgetSessionsParams {
  readonly older_than_ms: number;
}
export type ForgetSessionsRow = Readonly<Record<never, never>>;
export const forgetSessions: Statement<ForgetSessionsParams, ForgetSessionsRow> = {
  name: "forgetSessions",
  params: ["older_than_ms"],
  text: "delete from sessions s\n where s.closed_at < clock_timestamp() - $1::bigint * interval '1 ms'\n   and not exists (select 1 from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1))",
};

export interface ListWorkersParams {
  readonly org_id: number;
}
export interface ListWorkersRow {
  readonly worker: string;
  readonly host: string;
  readonly started_at: Date;
  readonly leases: number;
}
export const listWorkers: Statement<ListWorkersParams, ListWorkersRow> = {
  name: "listWorkers",
  params: ["org_id"],
  text: "select s.worker, s.host, s.started_at,\n       (select count(*) from leases l where l.token >= int8send(s.session_id) and l.token < int8send(s.session_id + 1))::int as leases\n  from sessions s\n where s.closed_at is null and s.expires_at > clock_timestamp() and $1::bigint is not null\n order by s.started_at",
};

export interface QueueByNameParams {
  readonly org_id: number;
  readonly name: string;
}
export interface QueueByNameRow {
  readonly queue_id: number;
}
export const queueByName: Statement<QueueByNameParams, QueueByNameRow> = {
  name: "queueByName",
  params: ["org_id", "name"],
  text: "select queue_id from queues where org_id = $1 and name = $2",
};

export type QueueNamesParams = Readonly<Record<never, never>>;
export interface QueueNamesRow {
  readonly queue_id: number;
  readonly name: string;
}
export const queueNames: Statement<QueueNamesParams, QueueNamesRow> = {
  name: "queueNames",
  params: [],
  text: "select queue_id, name from queues order by queue_id",
};

export interface FindJobsParams {
  readonly org_id: number;
  readonly dags: readonly string[];
  readonly jobs: readonly string[];
}
export interface FindJobsRow {
  readonly dag: string;
  readonly job: string;
  readonly job_id: number;
  readonly dag_version_id: number;
  readonly queue_id: number;
  readonly failures_max: number;
  readonly timeout_ms: number;
  readonly tracked: boolean;
  readonly limited: boolean;
}
export const findJobs: Statement<FindJobsParams, FindJobsRow> = {
  name: "findJobs",
  params: ["org_id", "dags", "jobs"],
  text: "select d.name as dag, j.name as job, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.tracked,\n       jv.max_concurrency is not null as limited\n  from (select distinct * from unnest($2::text[], $3::text[]) as w (dag, job)) w\n  join dags d on d.org_id = $1 and d.name = w.dag\n  join jobs j on j.dag_id = d.dag_id and j.name = w.job\n  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id",
};

export interface LockJobsParams {
  readonly job_ids: readonly number[];
}
export interface LockJobsRow {
  readonly job_id: number;
}
export const lockJobs: Statement<LockJobsParams, LockJobsRow> = {
  name: "lockJobs",
  params: ["job_ids"],
  text: "select job_id from jobs where job_id = any ($1::bigint[]) order by job_id for no key update",
};

export interface LiveTasksOfJobsParams {
  readonly job_ids: readonly number[];
}
export interface LiveTasksOfJobsRow {
  readonly job_id: number;
  readonly public_id: string;
}
export const liveTasksOfJobs: Statement<LiveTasksOfJobsParams, LiveTasksOfJobsRow> = {
  name: "liveTasksOfJobs",
  params: ["job_ids"],
  text: "select lo.job_id, t.public_id\n  from live_outputs lo cross join lateral (select x.public_id from tasks x where x.task_id = lo.task_id offset 0) t\n where lo.job_id = any ($1::bigint[])",
};

export interface AddTaskKeysParams {
  readonly keys: string;
}
export interface AddTaskKeysRow {
  readonly task_public_id: string;
}
export const addTaskKeys: Statement<AddTaskKeysParams, AddTaskKeysRow> = {
  name: "addTaskKeys",
  params: ["keys"],
  text: "insert into task_keys (job_id, dedupe_key, task_public_id)\nselect k.job_id, k.dedupe_key, k.task_public_id\n  from json_to_recordset($1::json) as k (job_id bigint, dedupe_key text, task_public_id uuid)\n order by k.job_id, k.dedupe_key\non conflict do nothing\nreturning task_public_id",
};

export interface FindTaskKeysParams {
  readonly job_ids: readonly number[];
  readonly dedupe_keys: readonly string[];
}
export interface FindTaskKeysRow {
  readonly job_id: number;
  readonly dedupe_key: string;
  readonly task_public_id: string;
}
export const findTaskKeys: Statement<FindTaskKeysParams, FindTaskKeysRow> = {
  name: "findTaskKeys",
  params: ["job_ids", "dedupe_keys"],
  text: "select k.job_id, k.dedupe_key, k.task_public_id\n  from unnest($1::bigint[], $2::text[]) as w (job_id, dedupe_key)\n  join task_keys k on k.job_id = w.job_id and k.dedupe_key = w.dedupe_key",
};

export interface DropTaskKeysParams {
  readonly task_public_ids: readonly string[];
  readonly job_ids: readonly number[];
}
export type DropTaskKeysRow = Readonly<Record<never, never>>;
export const dropTaskKeys: Statement<DropTaskKeysParams, DropTaskKeysRow> = {
  name: "dropTaskKeys",
  params: ["task_public_ids", "job_ids"],
  text: "delete from task_keys where job_id = any ($2::bigint[]) and task_public_id = any ($1::uuid[])",
};

export interface CreatePlainTasksParams {
  readonly org_id: number;
  readonly dags: readonly string[];
  readonly jobs: readonly string[];
  readonly lease_losses_max: number;
  readonly public_ids: readonly string[];
  readonly job_places: readonly number[];
  readonly priorities: readonly number[];
  readonly run_ats: readonly string[];
  readonly payloads: string;
}
export interface CreatePlainTasksRow {
  readonly places: readonly number[];
  readonly wakeups: unknown;
}
export const createPlainTasks: Statement<CreatePlainTasksParams, CreatePlainTasksRow> = {
  name: "createPlainTasks",
  params: ["org_id", "dags", "jobs", "lease_losses_max", "public_ids", "job_places", "priorities", "run_ats", "payloads"],
  text: "with job as materialized (\n  select w.place, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms\n    from unnest($2::text[], $3::text[]) with ordinality as w (dag, job, place)\n    join dags d on d.org_id = $1 and d.name = w.dag\n    join jobs j on j.dag_id = d.dag_id and j.name = w.job\n    join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id\n   where not jv.tracked and jv.max_concurrency is null\n), created as (\n  insert into tasks (public_id, org_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, payload)\n  select n.public_id, $1, j.job_id, j.dag_version_id, j.queue_id, n.priority, j.failures_max, $4, j.timeout_ms, coalesce(nullif(n.run_at, '')::timestamptz, now()), n.payload\n    from rows from (unnest($5::uuid[]), unnest($6::int[]), unnest($7::smallint[]), unnest($8::text[]), json_array_elements($9::json))\n         as n (public_id, place, priority, run_at, payload)\n    join job j on j.place = n.place\n  returning task_id, public_id, queue_id, priority, run_at\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', case when run_at <= now() then now() + interval '500 ms' else run_at end, queue_id, array_agg(public_id)\n    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created) c\n   group by run_at, queue_id, part\n  returning outbox_id, due_at, queue_id, task_ids\n)\nselect (select coalesce(array_agg(place::int), '{}') from job) as places,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))\n                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups",
};

export interface CreateTasksParams {
  readonly tasks: string;
}
export interface CreateTasksRow {
  readonly wakeups: unknown;
}
export const createTasks: Statement<CreateTasksParams, CreateTasksRow> = {
  name: "createTasks",
  params: ["tasks"],
  text: "with created as (\n  insert into tasks (public_id, org_id, run_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload, limited)\n  select n.public_id, n.org_id, n.run_id, n.job_id, n.dag_version_id, n.queue_id, n.priority, n.failures_max, n.lease_losses_max, n.timeout_ms,\n         coalesce(n.run_at, now()), n.output_partition, n.payload, n.limited\n    from json_to_recordset($1::json) as n (public_id uuid, org_id bigint, run_id bigint, job_id bigint, dag_version_id bigint, queue_id int,\n         priority smallint, failures_max int, lease_losses_max int, timeout_ms bigint, run_at timestamptz, output_partition text, payload json, limited boolean)\n  returning task_id, public_id, job_id, queue_id, priority, run_at, output_partition, limited\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created where not limited\n), parked as (\n  insert into waiting (task_id, job_id, priority, run_at) select task_id, job_id, priority, run_at from created where limited\n), live as (\n  insert into live_outputs (job_id, output_partition, task_id)\n  select job_id, output_partition, task_id from created where output_partition is not null\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', case when run_at <= now() then now() + interval '500 ms' else run_at end, queue_id, array_agg(public_id)\n    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created where not limited) c\n   group by run_at, queue_id, part\n  returning outbox_id, due_at, queue_id, task_ids\n)\nselect coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))\n                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups",
};

export interface CreateRunParams {
  readonly public_id: string;
  readonly org_id: number;
  readonly dag_id: number;
  readonly dag_version_id: number;
}
export interface CreateRunRow {
  readonly run_id: number;
  readonly created_at: Date;
}
export const createRun: Statement<CreateRunParams, CreateRunRow> = {
  name: "createRun",
  params: ["public_id", "org_id", "dag_id", "dag_version_id"],
  text: "insert into runs (public_id, org_id, dag_id, dag_version_id) values ($1, $2, $3, $4) returning run_id, created_at",
};

export interface FindRunParams {
  readonly org_id: number;
  readonly public_id: string;
}
export interface FindRunRow {
  readonly run_id: number;
  readonly public_id: string;
  readonly dag_version_id: number;
  readonly created_at: Date;
  readonly dag: string;
  readonly content_sha256: string;
  readonly definition: unknown;
}
export const findRun: Statement<FindRunParams, FindRunRow> = {
  name: "findRun",
  params: ["org_id", "public_id"],
  text: "select r.run_id, r.public_id, r.dag_version_id, r.created_at, d.name as dag, v.content_sha256, v.definition\n  from runs r join dags d on d.dag_id = r.dag_id join dag_versions v on v.dag_version_id = r.dag_version_id\n where r.org_id = $1 and r.public_id = $2",
};

export interface JobsWaitingInRunParams {
  readonly run_id: number;
}
export interface JobsWaitingInRunRow {
  readonly name: string;
}
export const jobsWaitingInRun: Statement<JobsWaitingInRunParams, JobsWaitingInRunRow> = {
  name: "jobsWaitingInRun",
  params: ["run_id"],
  text: "select distinct j.name from invalidations i join jobs j on j.job_id = i.job_id where i.run_id = $1 order by j.name",
};

export interface TasksOfRunParams {
  readonly run_id: number;
}
export interface TasksOfRunRow {
  readonly task_id: number;
  readonly public_id: string;
  readonly dag: string;
  readonly job: string;
  readonly operator: string;
  readonly queue: string;
  readonly state: string;
  readonly attempt: number;
  readonly failures: number;
  readonly failures_max: number;
  readonly lease_losses: number;
  readonly priority: number;
  readonly run_at: Date | null;
  readonly waiting_for: string | null;
  readonly created_at: Date;
  readonly claimed_at: Date | null;
  readonly last_started_at: Date | null;
  readonly ended_at: Date | null;
  readonly worker: string | null;
  readonly progress: unknown;
  readonly error: unknown;
  readonly commits: unknown;
  readonly job_id: number;
}
export const tasksOfRun: Statement<TasksOfRunParams, TasksOfRunRow> = {
  name: "tasksOfRun",
  params: ["run_id"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, job_id\n  from task_details where run_id = $1 order by task_id",
};

export interface JobIdsByNameParams {
  readonly org_id: number;
  readonly dag: string | null;
  readonly job: string | null;
}
export interface JobIdsByNameRow {
  readonly job_id: number;
}
export const jobIdsByName: Statement<JobIdsByNameParams, JobIdsByNameRow> = {
  name: "jobIdsByName",
  params: ["org_id", "dag", "job"],
  text: "select j.job_id from jobs j join dags d on d.dag_id = j.dag_id\n where d.org_id = $1 and ($2::text is null or d.name = $2) and ($3::text is null or j.name = $3)",
};

export interface PageOfTasksParams {
  readonly org_id: number;
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfTasksRow {
  readonly task_id: number;
}
export const pageOfTasks: Statement<PageOfTasksParams, PageOfTasksRow> = {
  name: "pageOfTasks",
  params: ["org_id", "before_task_id", "limit"],
  text: "select task_id from tasks where org_id = $1 and task_id < $2 order by task_id desc limit $3",
};

export interface PageOfJobsParams {
  readonly job_ids: readonly number[];
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfJobsRow {
  readonly task_id: number;
}
export const pageOfJobs: Statement<PageOfJobsParams, PageOfJobsRow> = {
  name: "pageOfJobs",
  params: ["job_ids", "before_task_id", "limit"],
  text: "select t.task_id\n  from unnest($1::bigint[]) as j (job_id)\n cross join lateral (select x.task_id from tasks x where x.job_id = j.job_id and x.task_id < $2 order by x.task_id desc limit $3) t\n order by t.task_id desc limit $3",
};

export interface PageOfQueuedParams {
  readonly org_id: number;
  readonly job_ids: readonly number[] | null;
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfQueuedRow {
  readonly task_id: number;
}
export const pageOfQueued: Statement<PageOfQueuedParams, PageOfQueuedRow> = {
  name: "pageOfQueued",
  params: ["org_id", "job_ids", "before_task_id", "limit"],
  text: "select t.task_id\n  from ((select r.task_id from ready r cross join lateral (select * from tasks x where x.task_id = r.task_id offset 0) t\n          where r.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by r.task_id desc limit $4)\n        union all\n        (select w.task_id from waiting w cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t\n          where w.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by w.task_id desc limit $4)) t\n order by t.task_id desc limit $4",
};

export interface PageOfRunningParams {
  readonly org_id: number;
  readonly job_ids: readonly number[] | null;
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfRunningRow {
  readonly task_id: number;
}
export const pageOfRunning: Statement<PageOfRunningParams, PageOfRunningRow> = {
  name: "pageOfRunning",
  params: ["org_id", "job_ids", "before_task_id", "limit"],
  text: "select l.task_id from leases l cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t\n where l.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) order by l.task_id desc limit $4",
};

export interface PageOfUnfinishedParams {
  readonly org_id: number;
  readonly state: string;
  readonly job_ids: readonly number[] | null;
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfUnfinishedRow {
  readonly task_id: number;
}
export const pageOfUnfinished: Statement<PageOfUnfinishedParams, PageOfUnfinishedRow> = {
  name: "pageOfUnfinished",
  params: ["org_id", "state", "job_ids", "before_task_id", "limit"],
  text: "select o.task_id from outcomes o cross join lateral (select * from tasks x where x.task_id = o.task_id offset 0) t\n where o.state = $2 and o.state <> 'completed' and o.task_id < $4 and t.org_id = $1 and ($3::bigint[] is null or t.job_id = any ($3::bigint[]))\n order by o.task_id desc limit $5",
};

export interface PageOfCompletedParams {
  readonly org_id: number;
  readonly job_ids: readonly number[] | null;
  readonly before_task_id: number;
  readonly limit: number;
}
export interface PageOfCompletedRow {
  readonly task_id: number;
}
export const pageOfCompleted: Statement<PageOfCompletedParams, PageOfCompletedRow> = {
  name: "pageOfCompleted",
  params: ["org_id", "job_ids", "before_task_id", "limit"],
  text: "select t.task_id from tasks t cross join lateral (select o.state from outcomes o where o.task_id = t.task_id offset 0) o\n where t.task_id < $3 and t.org_id = $1 and ($2::bigint[] is null or t.job_id = any ($2::bigint[])) and o.state = 'completed'\n order by t.task_id desc limit $4",
};

export interface TasksByIdsParams {
  readonly task_ids: readonly number[];
}
export interface TasksByIdsRow {
  readonly task_id: number;
  readonly public_id: string;
  readonly dag: string;
  readonly job: string;
  readonly operator: string;
  readonly queue: string;
  readonly state: string;
  readonly attempt: number;
  readonly failures: number;
  readonly failures_max: number;
  readonly lease_losses: number;
  readonly priority: number;
  readonly run_at: Date | null;
  readonly waiting_for: string | null;
  readonly created_at: Date;
  readonly claimed_at: Date | null;
  readonly last_started_at: Date | null;
  readonly ended_at: Date | null;
  readonly worker: string | null;
  readonly progress: unknown;
  readonly error: unknown;
  readonly commits: unknown;
}
export const tasksByIds: Statement<TasksByIdsParams, TasksByIdsRow> = {
  name: "tasksByIds",
  params: ["task_ids"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits\n  from task_details where task_id = any ($1::bigint[]) order by task_id desc",
};

export interface FindTaskParams {
  readonly org_id: number;
  readonly public_id: string;
}
export interface FindTaskRow {
  readonly task_id: number;
  readonly public_id: string;
  readonly dag: string;
  readonly job: string;
  readonly operator: string;
  readonly queue: string;
  readonly state: string;
  readonly attempt: number;
  readonly failures: number;
  readonly failures_max: number;
  readonly lease_losses: number;
  readonly priority: number;
  readonly run_at: Date | null;
  readonly waiting_for: string | null;
  readonly created_at: Date;
  readonly claimed_at: Date | null;
  readonly last_started_at: Date | null;
  readonly ended_at: Date | null;
  readonly worker: string | null;
  readonly progress: unknown;
  readonly error: unknown;
  readonly commits: unknown;
}
export const findTask: Statement<FindTaskParams, FindTaskRow> = {
  name: "findTask",
  params: ["org_id", "public_id"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits\n  from task_details where org_id = $1 and public_id = $2",
};

export interface AttemptsOfTaskParams {
  readonly task_id: number;
}
export interface AttemptsOfTaskRow {
  readonly lease_no: number;
  readonly attempt: number;
  readonly state: string;
  readonly worker: string;
  readonly error: unknown;
  readonly started_at: Date;
  readonly ended_at: Date | null;
}
export const attemptsOfTask: Statement<AttemptsOfTaskParams, AttemptsOfTaskRow> = {
  name: "attemptsOfTask",
  params: ["task_id"],
  text: "select lease_no, attempt, state, worker, error, started_at, ended_at from attempts where task_id = $1\nunion all\nselect lease_no, attempt, 'succeeded', worker, null, started_at, ended_at from outcomes where task_id = $1 and token is not null\nunion all\nselect l.lease_no, l.attempt, 'running', s.worker, null, l.claimed_at, null\n  from leases l join sessions s on s.session_id = l.session_id where l.task_id = $1\n order by 1",
};

export interface ForgetTaskKeysParams {
  readonly older_than_ms: number;
  readonly limit: number;
}
export type ForgetTaskKeysRow = Readonly<Record<never, never>>;
export const forgetTaskKeys: Statement<ForgetTaskKeysParams, ForgetTaskKeysRow> = {
  name: "forgetTaskKeys",
  params: ["older_than_ms", "limit"],
  text: "delete from task_keys where ctid = any (array(\n  select k.ctid\n    from task_keys k\n   cross join lateral (select x.task_id from tasks x where x.public_id = k.task_public_id offset 0) t\n   cross join lateral (select x.ended_at from outcomes x where x.task_id = t.task_id offset 0) o\n   where k.created_at < clock_timestamp() - $1::bigint * interval '1 ms'\n     and o.ended_at < clock_timestamp() - $1::bigint * interval '1 ms'\n   limit $2))",
};

export interface ConsumersOfParams {
  readonly generation_ids: readonly number[];
}
export interface ConsumersOfRow {
  readonly job_id: number;
}
export const consumersOf: Statement<ConsumersOfParams, ConsumersOfRow> = {
  name: "consumersOf",
  params: ["generation_ids"],
  text: "select distinct ji.job_id\n  from generations g\n  join job_inputs ji on ji.dataset_id = g.dataset_id\n  join dags d on d.current_version_id = ji.dag_version_id\n where g.generation_id = any ($1::bigint[])",
};

export interface DescendantsOfParams {
  readonly job_ids: readonly number[];
}
export interface DescendantsOfRow {
  readonly job_id: number;
}
export const descendantsOf: Statement<DescendantsOfParams, DescendantsOfRow> = {
  name: "descendantsOf",
  params: ["job_ids"],
  text: "select jv.job_id\n  from (select distinct dag_id from jobs where job_id = any ($1::bigint[])) o\n  join dags d on d.dag_id = o.dag_id\n  join job_versions jv on jv.dag_version_id = d.current_version_id\n where jv.ancestors && $1::bigint[]",
};

export interface AddInvalidationsParams {
  readonly job_ids: readonly number[];
  readonly generation_id: number;
  readonly commit_no: number;
  readonly run_id: number | null;
}
export type AddInvalidationsRow = Readonly<Record<never, never>>;
export const addInvalidations: Statement<AddInvalidationsParams, AddInvalidationsRow> = {
  name: "addInvalidations",
  params: ["job_ids", "generation_id", "commit_no", "run_id"],
  text: "insert into invalidations (job_id, generation_id, commit_no, run_id)\nselect j, $2, $3, $4 from unnest($1::bigint[]) as j order by j\non conflict (job_id, generation_id) do update\n   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id",
};

export interface DropCoveredInvalidationsParams {
  readonly job_id: number;
  readonly lease_no: number;
}
export type DropCoveredInvalidationsRow = Readonly<Record<never, never>>;
export const dropCoveredInvalidations: Statement<DropCoveredInvalidationsParams, DropCoveredInvalidationsRow> = {
  name: "dropCoveredInvalidations",
  params: ["job_id", "lease_no"],
  text: "delete from invalidations i using attempt_inputs ai\n where i.job_id = $1 and ai.lease_no = $2 and ai.generation_id = i.generation_id and i.commit_no <= ai.commit_no",
};

export interface StartableJobsParams {
  readonly job_ids: readonly number[];
}
export interface StartableJobsRow {
  readonly job_id: number;
  readonly run_id: number | null;
  readonly org_id: number;
  readonly dag_version_id: number;
  readonly queue_id: number;
  readonly failures_max: number;
  readonly timeout_ms: number;
  readonly limited: boolean;
}
export const startableJobs: Statement<StartableJobsParams, StartableJobsRow> = {
  name: "startableJobs",
  params: ["job_ids"],
  text: "select i.job_id, (array_agg(i.run_id order by i.created_at desc))[1] as run_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms,\n       jv.max_concurrency is not null as limited\n  from invalidations i\n  join jobs j on j.job_id = i.job_id\n  join dags d on d.dag_id = j.dag_id\n  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = i.job_id\n where i.job_id = any ($1::bigint[])\n   and not exists (select 1 from live_outputs lo where lo.job_id = i.job_id)\n   and not exists (select 1 from live_outputs lo\n                    where lo.job_id = any (jv.ancestors) and (select t.run_id from tasks t where t.task_id = lo.task_id) = i.run_id)\n   and not exists (select 1 from job_inputs ji join datasets ds on ds.dataset_id = ji.dataset_id join generations g on g.generation_id = ds.current_generation_id\n                    where ji.dag_version_id = jv.dag_version_id and ji.job_id = i.job_id and g.head_commit = 0)\n group by i.job_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.max_concurrency\n order by i.job_id",
};

export interface DropInvalidationsParams {
  readonly job_ids: readonly number[];
}
export type DropInvalidationsRow = Readonly<Record<never, never>>;
export const dropInvalidations: Statement<DropInvalidationsParams, DropInvalidationsRow> = {
  name: "dropInvalidations",
  params: ["job_ids"],
  text: "delete from invalidations where job_id = any ($1::bigint[])",
};
