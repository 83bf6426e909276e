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
  text: "with gone as (\n  delete from outcomes where task_id = any ($1::bigint[]) and state <> 'completed' returning task_id, attempt\n), again as materialized (\n  select g.task_id, g.attempt, t.public_id, t.run_id, t.job_id, t.queue_id, t.priority, t.output_partition, t.limited\n    from gone g cross join lateral (select * from tasks x where x.task_id = g.task_id offset 0) t\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at, attempt)\n  select task_id, queue_id, priority, clock_timestamp(), attempt from again where not limited\n), parked as (\n  insert into waiting (task_id, job_id, priority, run_at, attempt)\n  select task_id, job_id, priority, clock_timestamp(), attempt from again where limited\n), live as (\n  insert into live_outputs (job_id, output_partition, task_id, run_id)\n  select job_id, output_partition, task_id, run_id from again where output_partition is not null\n), asked as (\n  -- Whoever replays by hand wants the slice, also when it was reverted since.\n  update task_slices set head_commit = null where task_id = any (array(select task_id from again))\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', clock_timestamp() + interval '500 ms', queue_id, array_agg(public_id)\n    from (select queue_id, public_id, (row_number() over (partition by queue_id) - 1) / 1000 as part from again where not limited) a\n   group by queue_id, part\n  returning outbox_id, queue_id, task_ids\n)\nselect coalesce((select array_agg(task_id) from again), '{}') as task_ids,\n       coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids)) from woken), '[]'::json) as wakeups",
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

export interface HoldInputsParams {
  readonly task_ids: readonly number[];
}
export interface HoldInputsRow {
  readonly generation_id: number;
}
export const holdInputs: Statement<HoldInputsParams, HoldInputsRow> = {
  name: "holdInputs",
  params: ["task_ids"],
  text: "select g.generation_id from generations g\n where g.generation_id = any (array(\n   select coalesce(ji.generation_id, x.generation_id)\n     from unnest($1::bigint[]) as c (task_id)\n    cross join lateral (select t.dag_version_id, t.job_id from tasks t where t.task_id = c.task_id offset 0) t\n     join job_inputs ji on ji.dag_version_id = t.dag_version_id and ji.job_id = t.job_id\n     join datasets d on d.dataset_id = ji.dataset_id\n    cross join lateral (\n      select d.current_generation_id as generation_id\n      union all select s.generation_id from generation_switches s where s.dataset_id = d.dataset_id) x))\n order by g.generation_id for key share",
};

export interface PinInputsParams {
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
  readonly folders: readonly string[];
}
export type PinInputsRow = Readonly<Record<never, never>>;
export const pinInputs: Statement<PinInputsParams, PinInputsRow> = {
  name: "pinInputs",
  params: ["lease_nos", "task_ids", "folders"],
  text: "with claimed as materialized (\n  select c.lease_no, c.task_id, c.folder, t.public_id, t.dag_version_id, t.job_id, t.output_partition, t.payload, l.deadline\n    from unnest($1::bigint[], $2::bigint[], $3::text[]) as c (lease_no, task_id, folder)\n   cross join lateral (select * from tasks x where x.task_id = c.task_id offset 0) t\n   cross join lateral (select x.deadline from leases x where x.task_id = c.task_id and x.lease_no = c.lease_no offset 0) l\n), input as materialized (\n  select c.lease_no, c.task_id, d.name, g.generation_id, g.number, g.head_commit, ji.read, case when jv.per_partition and g.partitioned then c.output_partition end as partition_key,\n         least(coalesce(r.from_commit, k.position::bigint, 0), g.head_commit) as from_commit, coalesce(r.to_commit, g.head_commit) as to_commit,\n         r.task_id is not null as fixed\n    from claimed c\n    join job_versions jv on jv.dag_version_id = c.dag_version_id and jv.job_id = c.job_id\n    join job_inputs ji on ji.dag_version_id = c.dag_version_id and ji.job_id = c.job_id\n    join datasets d on d.dataset_id = ji.dataset_id\n    join generations g on g.generation_id = coalesce(ji.generation_id, d.current_generation_id)\n    left join task_ranges r on ji.read = 'new' and r.task_id = c.task_id and r.generation_id = g.generation_id\n    left join cursors k on ji.read = 'new' and k.job_id = c.job_id and k.output_partition = coalesce(c.output_partition, '') \n         and k.name = format('input:%s>%s', g.generation_id, (select min(jo.generation_id) from job_outputs jo where jo.dag_version_id = c.dag_version_id and jo.job_id = c.job_id))\n), range as (\n  insert into task_ranges (task_id, generation_id, from_commit, to_commit)\n  select task_id, generation_id, from_commit, to_commit from input where read = 'new' and not fixed\n), pinned as (\n  insert into attempt_inputs (lease_no, generation_id, commit_no, from_commit, partition_key)\n  select lease_no, generation_id, case read when 'new' then to_commit else head_commit end, case read when 'new' then from_commit end, partition_key from input\n  on conflict do nothing\n), output as materialized (\n  select c.lease_no, c.task_id, c.folder, c.public_id, c.payload ->> 'append_key' as asked_key, c.deadline, g.generation_id, g.storage_id, g.head_commit, g.strategy\n    from claimed c\n    join job_outputs jo on jo.dag_version_id = c.dag_version_id and jo.job_id = c.job_id\n    join datasets d on d.dataset_id = jo.dataset_id\n    join generations g on g.generation_id = coalesce(jo.generation_id, d.current_generation_id)\n), named as materialized (\n  select o.task_id, min(o.head_commit) as head_commit,\n         coalesce(nullif(concat_ws(' ', nullif(o.asked_key, ''),\n                                   (select string_agg(format('%s.%s:%s-%s', i.name, i.number, i.from_commit, i.to_commit), ',' order by i.name) from input i where i.lease_no = o.lease_no and i.read = 'new')), ''),\n                  o.public_id::text) as key\n    from output o where o.strategy = 'append'\n   group by o.task_id, o.lease_no, o.public_id, o.asked_key\n), slice as (\n  -- A key that was cut could be that of another slice.\n  insert into task_slices (task_id, append_key, head_commit)\n  select n.task_id, case when length(n.key) <= 1024 then n.key else left(n.key, 900) || ' ' || encode(sha256(convert_to(n.key, 'UTF8')), 'hex') end, n.head_commit\n    from named n\n  on conflict (task_id) do update set head_commit = excluded.head_commit where task_slices.head_commit is null\n)\ninsert into staging (lease_no, generation_id, prefix, head_commit, write_until)\nselect lease_no, generation_id, 'd/' || storage_id || '/a/' || folder || '/', head_commit, deadline + interval '15 minutes' from output\non conflict do nothing",
};

export interface DescribeStagingParams {
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
}
export interface DescribeStagingRow {
  readonly lease_no: number;
  readonly generation_id: number;
  readonly write_until: Date;
  readonly last_field_id: number;
  readonly schema: unknown;
  readonly filled: boolean;
  readonly fingerprint: string | null;
  readonly source: unknown;
}
export const describeStaging: Statement<DescribeStagingParams, DescribeStagingRow> = {
  name: "describeStaging",
  params: ["lease_nos", "task_ids"],
  text: "select st.lease_no, st.generation_id, st.write_until, g.last_field_id, h.schema,\n       (select x.commit_no from commits x where x.generation_id = g.generation_id and x.row_count > 0 limit 1) is not null as filled, p.fingerprint, p.source\n  from unnest($1::bigint[], $2::bigint[]) as w (lease_no, task_id)\n cross join lateral (select * from tasks x where x.task_id = w.task_id offset 0) t\n cross join lateral (select * from staging x where x.lease_no = w.lease_no offset 0) st\n  join generations g on g.generation_id = st.generation_id\n  left join job_outputs jo on jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id and jo.dataset_id = g.dataset_id\n  left join lateral (select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) h on true\n  left join lateral (\n    select c.fingerprint, c.source from commits c\n     where c.generation_id = g.generation_id and c.fingerprint is not null and (jo.partition_by is null or g.strategy = 'replace')\n       and c.commit_no = case when jo.partition_by is not null then g.head_commit\n                              else (select x.head_commit from partitions x where x.generation_id = g.generation_id and x.partition_key = coalesce(t.output_partition, '')) end\n    offset 0) p on true",
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
  readonly output_partition: string | null;
  readonly run_public_id: string | null;
  readonly dag: string;
  readonly operator: string;
  readonly live: boolean;
  readonly inputs: unknown;
  readonly outputs: unknown;
}
export const describeLeases: Statement<DescribeLeasesParams, DescribeLeasesRow> = {
  name: "describeLeases",
  params: ["tokens"],
  text: "select l.token, l.lease_no, l.task_id, l.session_id, l.attempt, l.claimed_at, t.public_id, t.org_id, t.job_id, t.dag_version_id, t.payload,\n       t.timeout_ms, t.output_partition, r.public_id as run_public_id, d.name as dag, jv.operator,\n       (l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', ai.commit_no, 'from', ai.from_commit, 'generation_id', g.generation_id) order by ds.name)\n                   from attempt_inputs ai\n                   join generations g on g.generation_id = ai.generation_id\n                   join datasets ds on ds.dataset_id = g.dataset_id\n                  where ai.lease_no = l.lease_no), '[]'::json) as inputs,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation_id', g.generation_id, 'storage_id', g.storage_id,\n                                                   'strategy', g.strategy, 'partition_by', jo.partition_by) order by ds.name)\n                   from staging st\n                   join generations g on g.generation_id = st.generation_id\n                   join datasets ds on ds.dataset_id = g.dataset_id\n                   left join job_outputs jo on jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id and jo.dataset_id = ds.dataset_id\n                  where st.lease_no = l.lease_no), '[]'::json) as outputs\n  from (select * from leases where token = any ($1::bytea[]) offset 0) l\n  join sessions s on s.session_id = l.session_id\n cross join lateral (select * from tasks x where x.task_id = l.task_id offset 0) t\n  join dag_versions v on v.dag_version_id = t.dag_version_id\n  join dags d on d.dag_id = v.dag_id\n  join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id\n  left join runs r on r.run_id = t.run_id\n order by l.lease_no",
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
  text: "with held as materialized (\n  select generation_id, number, head_commit, head_committed_at, last_field_id, reverted_commit from generations\n   where generation_id = any ($1::bigint[]) order by generation_id for no key update\n)\nselect coalesce(json_agg(json_build_object('generation_id', generation_id, 'number', number, 'head_commit', head_commit,\n                                           'last_field_id', last_field_id, 'reverted_commit', reverted_commit)), '[]'::json) as heads,\n       greatest(clock_timestamp(), max(head_committed_at) + interval '1 microsecond')::text as committed_at\n  from held",
};

export interface JudgeOutputsParams {
  readonly outputs: string;
}
export interface JudgeOutputsRow {
  readonly place: number;
  readonly schema: unknown;
  readonly filled: boolean;
  readonly claimed_head: number;
  readonly reverted_commit: number | null;
  readonly slice_key: string | null;
  readonly slice_head: number | null;
  readonly append: unknown;
  readonly same_fingerprint: number | null;
  readonly ours: unknown;
  readonly lasts: unknown;
}
export const judgeOutputs: Statement<JudgeOutputsParams, JudgeOutputsRow> = {
  name: "judgeOutputs",
  params: ["outputs"],
  text: "with wanted as materialized (\n  select o.place, o.lease_no, o.task_id, o.generation_id, o.keys, o.whole, o.fingerprint\n    from json_to_recordset($1::json) as o (place int, lease_no bigint, task_id bigint, generation_id bigint, keys text[], whole boolean, fingerprint text)\n), reads as materialized (\n  select t.task_id, coalesce(ji.generation_id, ds.current_generation_id) as generation_id\n    from (select distinct task_id from wanted) w\n   cross join lateral (select x.task_id, x.job_id from tasks x where x.task_id = w.task_id offset 0) t\n    join jobs j on j.job_id = t.job_id\n    join dags d on d.dag_id = j.dag_id\n    join job_inputs ji on ji.dag_version_id = d.current_version_id and ji.job_id = j.job_id\n    join datasets ds on ds.dataset_id = ji.dataset_id\n), touched as materialized (\n  select w.place, p.lease_no\n    from wanted w\n   cross join lateral unnest(case when w.whole then array(select x.partition_key from partitions x where x.generation_id = w.generation_id) else w.keys end) k (partition_key)\n   cross join lateral (select x.lease_no from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p\n)\nselect w.place, c.schema, (select x.commit_no from commits x where x.generation_id = g.generation_id and x.row_count > 0 limit 1) is not null as filled, st.head_commit as claimed_head,\n       case when w.whole then g.reverted_commit\n            else (select max(coalesce(p.reverted_commit, g.reverted_commit))\n                    from unnest(w.keys) k (partition_key)\n                    left join lateral (select x.reverted_commit from partitions x where x.generation_id = w.generation_id and x.partition_key = k.partition_key offset 0) p on true)\n       end as reverted_commit,\n       s.append_key as slice_key, s.head_commit as slice_head,\n       case when g.strategy = 'append' then\n         (select json_build_object('commit_no', a.commit_no, 'lease_no', a.lease_no, 'reverted_commit', a.reverted_commit, 'fingerprint', a.fingerprint)\n            from append_keys a where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key) end as append,\n       case when w.fingerprint is null then null\n            when g.strategy = 'append' then\n         (select a.commit_no from append_keys a\n           where a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.fingerprint = w.fingerprint and a.reverted_commit is null limit 1)\n       else (select hc.commit_no from commits hc\n              where hc.generation_id = w.generation_id and hc.fingerprint = w.fingerprint\n                and hc.commit_no = coalesce((select p.head_commit from partitions p where not w.whole and p.generation_id = w.generation_id and p.partition_key = w.keys[1]),\n                                            case when w.whole then g.head_commit end)) end as same_fingerprint,\n       coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when exists (select 1 from reads r where r.task_id = w.task_id and r.generation_id = ig.generation_id) then 2147483647 else ig.number end, 'commit', ai.commit_no))\n                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = w.lease_no), '[]'::json) as ours,\n       coalesce((select json_agg(coalesce((select json_agg(json_build_object('dataset_id', ig.dataset_id, 'generation', case when exists (select 1 from reads r where r.task_id = w.task_id and r.generation_id = ig.generation_id) then 2147483647 else ig.number end, 'commit', ai.commit_no))\n                                             from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id where ai.lease_no = l.lease_no), '[]'::json))\n                   from (select distinct t.lease_no from touched t where t.place = w.place and t.lease_no is not null and g.strategy = 'replace'\n                         union select a.lease_no from append_keys a\n                                where g.strategy = 'append' and a.generation_id = w.generation_id and a.partition_key = w.keys[1] and a.append_key = s.append_key\n                                  and a.lease_no is not null) l), '[]'::json) as lasts\n  from wanted w\n  join generations g on g.generation_id = w.generation_id\n cross join lateral (select x.head_commit from staging x where x.lease_no = w.lease_no and x.generation_id = w.generation_id offset 0) st\n  left join lateral (select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) c on true\n  left join lateral (select x.append_key, x.head_commit from task_slices x where x.task_id = w.task_id offset 0) s on true",
};

export interface CommitOutputsParams {
  readonly committed_at: string;
  readonly commits: string;
}
export interface CommitOutputsRow {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly partitions: readonly string[];
}
export const commitOutputs: Statement<CommitOutputsParams, CommitOutputsRow> = {
  name: "commitOutputs",
  params: ["committed_at", "commits"],
  text: "with wanted as materialized (\n  select o.*\n    from json_to_recordset($2::json) as o (generation_id bigint, commit_no bigint, kind text, keys text[], whole boolean, append_key text, org_id bigint, task_id bigint,\n                                           lease_no bigint, dag_version_id bigint, schema json, last_field_id int, row_count bigint, byte_count bigint, file_count int,\n                                           fingerprint text, source json, files json, after_us int)\n), step as materialized (\n  select generation_id, min(commit_no) - 1 as before, max(commit_no) as head, max(last_field_id) as last_field_id, max(after_us) as after_us from wanted group by generation_id\n), head as (\n  update generations g\n     set head_commit = (select s.head from step s where s.generation_id = g.generation_id), head_committed_at = $1::text::timestamptz + (select s.after_us from step s where s.generation_id = g.generation_id) * interval '1 microsecond',\n         last_field_id = (select s.last_field_id from step s where s.generation_id = g.generation_id)\n   where g.generation_id = any (array(select s.generation_id from step s))\n     and g.head_commit = (select s.before from step s where s.generation_id = g.generation_id)\n  returning g.generation_id\n), going as materialized (\n  select w.* from wanted w where w.generation_id in (select h.generation_id from head h)\n), made as (\n  insert into commits (generation_id, commit_no, org_id, kind, append_key, committed_at, task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, fingerprint, source)\n  select generation_id, commit_no, org_id, kind, append_key, $1::text::timestamptz + after_us * interval '1 microsecond', task_id, lease_no, dag_version_id, schema, row_count, byte_count, file_count, fingerprint, source\n    from going order by generation_id, commit_no\n), touched as materialized (\n  select w.generation_id, w.commit_no, w.kind, w.append_key, k.partition_key\n    from going w\n   cross join lateral (select unnest(w.keys) as partition_key union select p.partition_key from partitions p where w.whole and p.generation_id = w.generation_id) k\n), removed as (\n  update commit_files f\n     set removed_commit = (select case when s.head = s.before + 1 then s.head\n                                       else (select t.commit_no from touched t where t.generation_id = f.generation_id and t.partition_key = f.partition_key) end\n                             from step s where s.generation_id = f.generation_id)\n   where f.file_id = any (array(\n     select y.file_id\n       from touched t\n      cross join lateral (\n        select z.file_id from commit_files z\n         where z.generation_id = t.generation_id and z.partition_key = t.partition_key and z.removed_commit is null\n           and (t.kind = 'replace' or z.append_key = t.append_key) offset 0) y))\n), added as (\n  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns, append_key)\n  select w.generation_id, f.partition, w.commit_no, f.key, f.bytes, f.rows, f.sha256, f.columns, w.append_key\n    from going w\n   cross join lateral json_to_recordset(w.files) as f (partition text, key text, bytes bigint, rows bigint, sha256 text, columns json)\n), placed as (\n  insert into partitions (generation_id, partition_key, head_commit, lease_no)\n  select w.generation_id, k.partition_key, w.commit_no, w.lease_no from going w cross join lateral unnest(w.keys) k (partition_key)\n  on conflict (generation_id, partition_key) do update set head_commit = excluded.head_commit, lease_no = excluded.lease_no\n), emptied as (\n  delete from partitions where ctid = any (array(\n    select x.ctid\n      from (select t.generation_id, t.partition_key from touched t join going w on w.generation_id = t.generation_id and w.commit_no = t.commit_no and w.whole\n            except select w.generation_id, unnest(w.keys) from going w) e\n     cross join lateral (select p.ctid from partitions p where p.generation_id = e.generation_id and p.partition_key = e.partition_key offset 0) x))\n), listed as (\n  insert into commit_partitions (generation_id, commit_no, partition_key) select generation_id, commit_no, partition_key from touched\n), slice as (\n  insert into append_keys (generation_id, partition_key, append_key, commit_no, lease_no, fingerprint)\n  select generation_id, keys[1], append_key, commit_no, lease_no, fingerprint from going where kind = 'append'\n  on conflict (generation_id, partition_key, append_key) do update\n     set commit_no = excluded.commit_no, lease_no = excluded.lease_no, fingerprint = excluded.fingerprint, reverted_commit = null\n), published as (\n  delete from staging where ctid = any (array(\n    select x.ctid from going w\n     cross join lateral (select s.ctid from staging s where s.lease_no = w.lease_no and s.generation_id = w.generation_id offset 0) x\n     where w.file_count > 0))\n)\nselect w.generation_id, w.commit_no, coalesce(t.partitions, '{}') as partitions\n  from going w\n  left join (select generation_id, commit_no, array_agg(partition_key) as partitions from touched group by generation_id, commit_no) t\n    on t.generation_id = w.generation_id and t.commit_no = w.commit_no",
};

export interface ConfirmOutputsParams {
  readonly outputs: string;
}
export interface ConfirmOutputsRow {
  readonly confirmed: number;
}
export const confirmOutputs: Statement<ConfirmOutputsParams, ConfirmOutputsRow> = {
  name: "confirmOutputs",
  params: ["outputs"],
  text: "with wanted as materialized (\n  select o.generation_id, o.keys, o.whole, o.append_key, o.lease_no\n    from json_to_recordset($1::json) as o (generation_id bigint, keys text[], whole boolean, append_key text, lease_no bigint)\n), partition as (\n  update partitions p\n     set lease_no = (select w.lease_no from wanted w where w.generation_id = p.generation_id and (w.whole or p.partition_key = any (w.keys)) limit 1)\n   where p.ctid = any (array(\n     select x.place\n       from wanted w\n      cross join lateral unnest(case when w.whole then array(select y.partition_key from partitions y where y.generation_id = w.generation_id) else w.keys end) k (partition_key)\n      cross join lateral (select y.ctid as place from partitions y where y.generation_id = w.generation_id and y.partition_key = k.partition_key offset 0) x\n      where w.append_key is null))\n  returning p.partition_key\n), slice as (\n  update append_keys a\n     set lease_no = (select w.lease_no from wanted w where w.generation_id = a.generation_id and a.partition_key = any (w.keys) and w.append_key = a.append_key limit 1)\n   where a.ctid = any (array(\n     select x.place\n       from wanted w\n      cross join lateral unnest(w.keys) k (partition_key)\n      cross join lateral (\n        select y.ctid as place from append_keys y\n         where y.generation_id = w.generation_id and y.partition_key = k.partition_key and y.append_key = w.append_key offset 0) x))\n  returning a.partition_key\n)\nselect (select count(*)::int from partition) + (select count(*)::int from slice) as confirmed",
};

export interface MoveCursorsParams {
  readonly job_id: number;
  readonly output_partition: string;
  readonly moves: string;
}
export interface MoveCursorsRow {
  readonly moved: number;
}
export const moveCursors: Statement<MoveCursorsParams, MoveCursorsRow> = {
  name: "moveCursors",
  params: ["job_id", "output_partition", "moves"],
  text: "with wanted as materialized (\n  select w.name, w.begin, w.position, k.position as stands\n    from json_to_recordset($3::json) as w (name text, begin text, position text)\n    left join lateral (select x.position from cursors x where x.job_id = $1 and x.output_partition = $2 and x.name = w.name offset 0) k on true\n), agreed as materialized (\n  select w.name, w.position from wanted w\n   where not exists (select 1 from wanted x where x.begin is distinct from x.stands)\n     and (select count(*) = count(distinct x.name) from wanted x)\n), moved as (\n  insert into cursors (job_id, output_partition, name, position) select $1, $2, name, position from agreed\n  on conflict (job_id, output_partition, name) do update set position = excluded.position, moved_at = clock_timestamp()\n  returning name\n)\nselect count(*)::int as moved from moved",
};

export interface NewsOfAttemptParams {
  readonly lease_no: number;
  readonly job_id: number;
  readonly output_partition: string;
  readonly dag_version_id: number;
}
export interface NewsOfAttemptRow {
  readonly from_commit: number;
  readonly commit_no: number;
  readonly name: string;
  readonly position: string | null;
}
export const newsOfAttempt: Statement<NewsOfAttemptParams, NewsOfAttemptRow> = {
  name: "newsOfAttempt",
  params: ["lease_no", "job_id", "output_partition", "dag_version_id"],
  text: "select ai.from_commit, ai.commit_no, n.name, k.position\n  from attempt_inputs ai\n cross join lateral (\n   select format('input:%s>%s', ai.generation_id, (select min(jo.generation_id) from job_outputs jo where jo.dag_version_id = $4 and jo.job_id = $2)) as name) n\n  left join cursors k on k.job_id = $2 and k.output_partition = $3 and k.name = n.name\n where ai.lease_no = $1 and ai.from_commit is not null",
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
  text: "insert into job_versions (dag_version_id, job_id, org_id, queue_id, definition, failures_max, timeout_ms, ancestors, key_ancestors, max_concurrency, tracked, partition_keys, per_partition)\nselect $1, j.job_id, $2, j.queue_id, j.definition, j.failures_max, j.timeout_ms, array(select json_array_elements_text(j.ancestors)::bigint),\n       array(select json_array_elements_text(j.key_ancestors)::bigint), j.max_concurrency, j.tracked, j.partition_keys, j.per_partition\n  from json_to_recordset($3::json) as j (job_id bigint, queue_id int, definition json, failures_max int, timeout_ms bigint, ancestors json,\n       key_ancestors json, max_concurrency int, tracked boolean, partition_keys text[], per_partition boolean)",
};

export interface AddJobInputsParams {
  readonly dag_version_id: number;
  readonly inputs: string;
}
export type AddJobInputsRow = Readonly<Record<never, never>>;
export const addJobInputs: Statement<AddJobInputsParams, AddJobInputsRow> = {
  name: "addJobInputs",
  params: ["dag_version_id", "inputs"],
  text: "insert into job_inputs (dag_version_id, job_id, dataset_id, position, read, generation_id)\nselect $1, i.job_id, i.dataset_id, i.position, i.read, i.generation_id\n  from json_to_recordset($2::json) as i (job_id bigint, dataset_id bigint, position int, read text, generation_id bigint)",
};

export interface AddJobOutputsParams {
  readonly dag_version_id: number;
  readonly outputs: string;
}
export type AddJobOutputsRow = Readonly<Record<never, never>>;
export const addJobOutputs: Statement<AddJobOutputsParams, AddJobOutputsRow> = {
  name: "addJobOutputs",
  params: ["dag_version_id", "outputs"],
  text: "insert into job_outputs (dag_version_id, job_id, dataset_id, strategy, partition_by, generation_id)\nselect $1, o.job_id, o.dataset_id, o.strategy, o.partition_by, o.generation_id\n  from json_to_recordset($2::json) as o (job_id bigint, dataset_id bigint, strategy text, partition_by text, generation_id bigint)",
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
  readonly strategy: string;
  readonly definition: string;
  readonly partitioned: boolean;
}
export interface AddDatasetRow {
  readonly dataset_id: number;
  readonly generation_id: number;
}
export const addDataset: Statement<AddDatasetParams, AddDatasetRow> = {
  name: "addDataset",
  params: ["public_id", "org_id", "name", "storage_id", "strategy", "definition", "partitioned"],
  text: "with made as (\n  insert into datasets (public_id, org_id, name) values ($1, $2, $3) returning dataset_id, org_id\n)\ninsert into generations (org_id, dataset_id, number, storage_id, strategy, definition, partitioned)\nselect org_id, dataset_id, 1, $4, $5, $6::json, $7 from made\nreturning dataset_id, generation_id",
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

export interface JobIdOfParams {
  readonly dag_id: number;
  readonly name: string;
}
export interface JobIdOfRow {
  readonly job_id: number;
}
export const jobIdOf: Statement<JobIdOfParams, JobIdOfRow> = {
  name: "jobIdOf",
  params: ["dag_id", "name"],
  text: "select job_id from jobs where dag_id = $1 and name = $2",
};

export interface LockForPurgeParams {
  readonly generation_id: number;
}
export interface LockForPurgeRow {
  readonly generation_id: number;
  readonly head_commit: number;
  readonly is_current: boolean;
  readonly in_use: boolean;
}
export const lockForPurge: Statement<LockForPurgeParams, LockForPurgeRow> = {
  name: "lockForPurge",
  params: ["generation_id"],
  text: "select g.generation_id, g.head_commit, g.generation_id = d.current_generation_id as is_current,\n       g.generation_id = d.current_generation_id or exists (select 1 from generation_switches s where s.generation_id = g.generation_id) as in_use\n  from generations g join datasets d on d.dataset_id = g.dataset_id\n where g.generation_id = $1 for update of g",
};

export interface HeldCommitsParams {
  readonly generation_id: number;
  readonly before_commit: number;
}
export interface HeldCommitsRow {
  readonly commit_no: number;
}
export const heldCommits: Statement<HeldCommitsParams, HeldCommitsRow> = {
  name: "heldCommits",
  params: ["generation_id", "before_commit"],
  text: "select p.commit_no from pins p\n where p.generation_id = $1 and p.commit_no < $2 and (p.expires_at is null or p.expires_at > clock_timestamp())\nunion\nselect ai.commit_no\n  from leases l\n cross join lateral (select x.commit_no from attempt_inputs x where x.lease_no = l.lease_no and x.generation_id = $1 and x.commit_no + 0 < $2 offset 0) ai\n where not l.plain\nunion\nselect r.to_commit\n  from (select distinct ji.job_id from generations g join job_inputs ji on ji.dataset_id = g.dataset_id where g.generation_id = $1 and ji.read = 'new') j\n cross join lateral (select x.task_id from live_outputs x where x.job_id = j.job_id offset 0) lo\n cross join lateral (select x.to_commit from task_ranges x where x.task_id = lo.task_id and x.generation_id = $1 and x.to_commit < $2 offset 0) r",
};

export interface PurgeableCommitsParams {
  readonly generation_id: number;
  readonly before_commit: number;
  readonly held: readonly number[];
}
export interface PurgeableCommitsRow {
  readonly commits: number;
  readonly kept: number;
}
export const purgeableCommits: Statement<PurgeableCommitsParams, PurgeableCommitsRow> = {
  name: "purgeableCommits",
  params: ["generation_id", "before_commit", "held"],
  text: "select count(*) filter (where c.commit_no <> all ($3::bigint[]))::int as commits,\n       count(*) filter (where c.commit_no = any ($3::bigint[]))::int as kept\n  from commits c where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null",
};

export interface MarkPurgedParams {
  readonly generation_id: number;
  readonly before_commit: number;
  readonly held: readonly number[];
  readonly limit: number;
}
export interface MarkPurgedRow {
  readonly commits: number;
}
export const markPurged: Statement<MarkPurgedParams, MarkPurgedRow> = {
  name: "markPurged",
  params: ["generation_id", "before_commit", "held", "limit"],
  text: "with marked as (\n  update commits set purged_at = clock_timestamp()\n   where generation_id = $1 and commit_no = any (array(\n     select c.commit_no from commits c\n      where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null and c.commit_no <> all ($3::bigint[])\n      order by c.commit_no limit $4))\n  returning commit_no\n)\nselect count(*)::int as commits from marked",
};

export interface KeptBelowParams {
  readonly generation_id: number;
  readonly before_commit: number;
}
export interface KeptBelowRow {
  readonly kept: readonly number[];
}
export const keptBelow: Statement<KeptBelowParams, KeptBelowRow> = {
  name: "keptBelow",
  params: ["generation_id", "before_commit"],
  text: "select coalesce(array_agg(c.commit_no order by c.commit_no), '{}') as kept\n  from commits c where c.generation_id = $1 and c.commit_no < $2 and c.purged_at is null",
};

export interface PurgeableFilesParams {
  readonly generation_id: number;
  readonly before_commit: number;
  readonly kept: readonly number[];
  readonly whole: boolean;
}
export interface PurgeableFilesRow {
  readonly files: number;
  readonly bytes: number;
}
export const purgeableFiles: Statement<PurgeableFilesParams, PurgeableFilesRow> = {
  name: "purgeableFiles",
  params: ["generation_id", "before_commit", "kept", "whole"],
  text: "with dying as materialized (\n  select f.file_id, f.object_key, f.byte_count\n    from (select x.file_id, x.object_key, x.byte_count, x.added_commit, x.removed_commit from commit_files x where x.generation_id = $1 and x.removed_commit <= $2\n          union all\n          select x.file_id, x.object_key, x.byte_count, x.added_commit, x.removed_commit from commit_files x where $4::boolean and x.generation_id = $1 and x.removed_commit is null) f\n   where not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= f.added_commit and (f.removed_commit is null or k.commit_no < f.removed_commit))\n)\nselect count(*)::int as files, coalesce(sum(o.byte_count), 0)::bigint as bytes\n  from (select object_key, max(byte_count) as byte_count, count(*) as named from dying group by object_key) o\n cross join lateral (select count(*) as named from commit_files x where x.object_key = o.object_key offset 0) x\n where x.named = o.named",
};

export interface LockMovesParams {
  readonly generation_id: number;
}
export interface LockMovesRow {
  readonly held: boolean | null;
}
export const lockMoves: Statement<LockMovesParams, LockMovesRow> = {
  name: "lockMoves",
  params: ["generation_id"],
  text: "select pg_advisory_xact_lock(hashtextextended('trace purge', $1)) is not null as held",
};

export interface MovePurgedFilesParams {
  readonly generation_id: number;
  readonly before_commit: number;
  readonly kept: readonly number[];
  readonly whole: boolean;
  readonly grace_ms: number;
  readonly limit: number;
}
export interface MovePurgedFilesRow {
  readonly moved: number;
  readonly files: number;
  readonly bytes: number;
}
export const movePurgedFiles: Statement<MovePurgedFilesParams, MovePurgedFilesRow> = {
  name: "movePurgedFiles",
  params: ["generation_id", "before_commit", "kept", "whole", "grace_ms", "limit"],
  text: "with gone as (\n  delete from commit_files where file_id = any (array(\n    select f.file_id\n      from ((select x.file_id, x.added_commit, x.removed_commit from commit_files x\n              where x.generation_id = $1 and x.removed_commit <= $2\n                and not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= x.added_commit and k.commit_no < x.removed_commit)\n              limit $6)\n            union all\n            (select x.file_id, x.added_commit, x.removed_commit from commit_files x\n              where $4::boolean and x.generation_id = $1 and x.removed_commit is null\n                and not exists (select 1 from unnest($3::bigint[]) k (commit_no) where k.commit_no >= x.added_commit)\n              limit $6)) f\n     limit $6))\n  returning file_id, object_key, byte_count\n), garbage as (\n  insert into garbage_files (object_key, byte_count, not_before)\n  select g.object_key, max(g.byte_count), clock_timestamp() + $5::bigint * interval '1 ms'\n    from (select object_key, max(byte_count) as byte_count, count(*) as named from gone group by object_key) g\n   cross join lateral (select count(*) as named from commit_files x where x.object_key = g.object_key offset 0) x\n   where x.named = g.named\n   group by g.object_key\n  on conflict (object_key) do nothing\n  returning byte_count\n)\nselect (select count(*)::int from gone) as moved, (select count(*)::int from garbage) as files, (select coalesce(sum(byte_count), 0)::bigint from garbage) as bytes",
};

export interface TakeAbandonedParams {
  readonly grace_ms: number;
  readonly retry_ms: number;
  readonly limit: number;
}
export interface TakeAbandonedRow {
  readonly lease_no: number;
  readonly generation_id: number;
  readonly prefix: string;
}
export const takeAbandoned: Statement<TakeAbandonedParams, TakeAbandonedRow> = {
  name: "takeAbandoned",
  params: ["grace_ms", "retry_ms", "limit"],
  text: "update staging s set deleting_since = clock_timestamp()\n where s.ctid = any (array(\n         select x.ctid from staging x\n         where x.write_until < now() - $1::bigint * interval '1 ms'\n           and (x.deleting_since is null or x.deleting_since < now() - $2::bigint * interval '1 ms')\n           and (select a.lease_no from attempts a where a.lease_no = x.lease_no) is not null\n           and (select c.commit_no from commits c where c.lease_no = x.lease_no and c.generation_id = x.generation_id and c.file_count > 0) is null\n         order by x.write_until limit $3 for update skip locked))\nreturning s.lease_no, s.generation_id, s.prefix",
};

export interface ReleaseAbandonedParams {
  readonly lease_nos: readonly number[];
  readonly generation_ids: readonly number[];
}
export type ReleaseAbandonedRow = Readonly<Record<never, never>>;
export const releaseAbandoned: Statement<ReleaseAbandonedParams, ReleaseAbandonedRow> = {
  name: "releaseAbandoned",
  params: ["lease_nos", "generation_ids"],
  text: "update staging s set deleting_since = null\n where s.lease_no = any ($1::bigint[]) and s.generation_id = any ($2::bigint[]) and s.deleting_since is not null",
};

export interface DropAbandonedParams {
  readonly lease_no: number;
  readonly generation_id: number;
}
export type DropAbandonedRow = Readonly<Record<never, never>>;
export const dropAbandoned: Statement<DropAbandonedParams, DropAbandonedRow> = {
  name: "dropAbandoned",
  params: ["lease_no", "generation_id"],
  text: "delete from staging where lease_no = $1 and generation_id = $2 and deleting_since is not null",
};

export interface NamedObjectsParams {
  readonly object_keys: readonly string[];
}
export interface NamedObjectsRow {
  readonly object_key: string;
}
export const namedObjects: Statement<NamedObjectsParams, NamedObjectsRow> = {
  name: "namedObjects",
  params: ["object_keys"],
  text: "select distinct f.object_key\n  from unnest($1::text[]) as w (object_key)\n cross join lateral (select x.object_key from commit_files x where x.object_key = w.object_key limit 1) f",
};

export interface DueGarbageParams {
  readonly limit: number;
}
export interface DueGarbageRow {
  readonly object_key: string;
  readonly byte_count: number;
}
export const dueGarbage: Statement<DueGarbageParams, DueGarbageRow> = {
  name: "dueGarbage",
  params: ["limit"],
  text: "select object_key, byte_count from garbage_files where not_before <= now() order by not_before limit $1",
};

export interface DropGarbageParams {
  readonly object_keys: readonly string[];
}
export interface DropGarbageRow {
  readonly files: number;
  readonly bytes: number;
}
export const dropGarbage: Statement<DropGarbageParams, DropGarbageRow> = {
  name: "dropGarbage",
  params: ["object_keys"],
  text: "with gone as (\n  delete from garbage_files where object_key = any ($1::text[]) returning byte_count\n)\nselect count(*)::int as files, coalesce(sum(byte_count), 0)::bigint as bytes from gone",
};

export interface WaitingObjectsParams {
  readonly object_keys: readonly string[];
}
export interface WaitingObjectsRow {
  readonly object_key: string;
}
export const waitingObjects: Statement<WaitingObjectsParams, WaitingObjectsRow> = {
  name: "waitingObjects",
  params: ["object_keys"],
  text: "select object_key from garbage_files where object_key = any ($1::text[])",
};

export type GarbageStatusParams = Readonly<Record<never, never>>;
export interface GarbageStatusRow {
  readonly files: number;
  readonly places: number;
  readonly overdue_ms: number | null;
}
export const garbageStatus: Statement<GarbageStatusParams, GarbageStatusRow> = {
  name: "garbageStatus",
  params: [],
  text: "select (select count(*)::int from (select 1 from garbage_files limit 100000) f) as files,\n       (select count(*)::int from (select 1 from staging where write_until < now() limit 100000) s) as places,\n       (extract(epoch from clock_timestamp() - (select not_before from garbage_files order by not_before limit 1)) * 1000)::float8 as overdue_ms",
};

export interface UnsettledTasksParams {
  readonly public_ids: readonly string[];
}
export interface UnsettledTasksRow {
  readonly public_id: string;
}
export const unsettledTasks: Statement<UnsettledTasksParams, UnsettledTasksRow> = {
  name: "unsettledTasks",
  params: ["public_ids"],
  text: "select t.public_id\n  from unnest($1::uuid[]) as w (public_id)\n cross join lateral (select x.task_id, x.public_id from tasks x where x.public_id = w.public_id offset 0) t\n where (select o.task_id from outcomes o where o.task_id = t.task_id) is null",
};

export interface ExtendStagingParams {
  readonly token: Buffer;
  readonly seconds: number;
}
export interface ExtendStagingRow {
  readonly prefix: string;
  readonly seconds: number;
}
export const extendStaging: Statement<ExtendStagingParams, ExtendStagingRow> = {
  name: "extendStaging",
  params: ["token", "seconds"],
  text: "with held as materialized (\n  select l.lease_no, l.deadline from leases l join sessions s on s.session_id = l.session_id\n   where l.token = $1 and l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()\n     for share of l\n), extended as (\n  update staging s\n     set write_until = greatest(s.write_until, least(clock_timestamp() + $2::int * interval '1 second', (select h.deadline from held h) + interval '15 minutes'))\n   where s.lease_no = (select h.lease_no from held h)\n  returning s.lease_no, s.generation_id, s.prefix, s.write_until\n)\nselect e.prefix, extract(epoch from e.write_until - clock_timestamp())::float8 as seconds from extended e order by e.generation_id",
};

export interface LockJobsOfDeployParams {
  readonly dag_id: number;
  readonly datasets: readonly string[];
}
export interface LockJobsOfDeployRow {
  readonly job_id: number;
}
export const lockJobsOfDeploy: Statement<LockJobsOfDeployParams, LockJobsOfDeployRow> = {
  name: "lockJobsOfDeploy",
  params: ["dag_id", "datasets"],
  text: "select job_id from jobs\n where job_id in (\n   select j.job_id from jobs j where j.dag_id = $1\n   union\n   select ji.job_id\n     from datasets ds\n     join job_inputs ji on ji.dataset_id = ds.dataset_id\n     join dags d on d.current_version_id = ji.dag_version_id\n    where ds.name = any ($2::text[]) and ds.org_id = (select x.org_id from dags x where x.dag_id = $1))\n order by job_id for no key update",
};

export interface GenerationsOfParams {
  readonly dataset_ids: readonly number[];
  readonly dag_id: number;
}
export interface GenerationsOfRow {
  readonly dataset_id: number;
  readonly name: string;
  readonly current_id: number;
  readonly current_definition: unknown;
  readonly written_id: number | null;
  readonly written_definition: unknown;
}
export const generationsOf: Statement<GenerationsOfParams, GenerationsOfRow> = {
  name: "generationsOf",
  params: ["dataset_ids", "dag_id"],
  text: "select ds.dataset_id, ds.name, g.generation_id as current_id, g.definition as current_definition,\n       w.generation_id as written_id, w.definition as written_definition\n  from unnest($1::bigint[]) as k (dataset_id)\n  join datasets ds on ds.dataset_id = k.dataset_id\n  join generations g on g.generation_id = ds.current_generation_id\n  left join lateral (\n    select x.generation_id, x.definition\n      from dags d\n      join job_outputs jo on jo.dag_version_id = d.current_version_id and jo.dataset_id = ds.dataset_id\n      join generations x on x.generation_id = jo.generation_id\n     where d.dag_id = $2 offset 0) w on true",
};

export interface GenerationsOfVersionParams {
  readonly dag_version_id: number;
}
export interface GenerationsOfVersionRow {
  readonly dataset_id: number;
  readonly generation_id: number;
  readonly current_id: number;
}
export const generationsOfVersion: Statement<GenerationsOfVersionParams, GenerationsOfVersionRow> = {
  name: "generationsOfVersion",
  params: ["dag_version_id"],
  text: "select jo.dataset_id, coalesce(jo.generation_id, ds.current_generation_id) as generation_id, ds.current_generation_id as current_id\n  from job_outputs jo join datasets ds on ds.dataset_id = jo.dataset_id where jo.dag_version_id = $1",
};

export interface AddGenerationParams {
  readonly dataset_id: number;
  readonly storage_id: string;
  readonly strategy: string;
  readonly definition: string;
  readonly partitioned: boolean;
}
export interface AddGenerationRow {
  readonly generation_id: number;
  readonly number: number;
}
export const addGeneration: Statement<AddGenerationParams, AddGenerationRow> = {
  name: "addGeneration",
  params: ["dataset_id", "storage_id", "strategy", "definition", "partitioned"],
  text: "insert into generations (org_id, dataset_id, number, storage_id, strategy, definition, partitioned)\nselect ds.org_id, ds.dataset_id, (select max(g.number) + 1 from generations g where g.dataset_id = ds.dataset_id), $2, $3, $4::json, $5\n  from datasets ds where ds.dataset_id = $1\nreturning generation_id, number",
};

export interface SetSwitchesParams {
  readonly dag_id: number;
  readonly generation_ids: readonly number[];
}
export type SetSwitchesRow = Readonly<Record<never, never>>;
export const setSwitches: Statement<SetSwitchesParams, SetSwitchesRow> = {
  name: "setSwitches",
  params: ["dag_id", "generation_ids"],
  text: "with gone as (\n  delete from generation_switches where dag_id = $1 and dataset_id not in (select g.dataset_id from generations g where g.generation_id = any ($2::bigint[]))\n)\ninsert into generation_switches (dag_id, dataset_id, generation_id)\nselect $1, g.dataset_id, g.generation_id\n  from generations g where g.generation_id = any ($2::bigint[])\n order by g.dataset_id\non conflict (dag_id, dataset_id) do update set generation_id = excluded.generation_id",
};

export interface LockSwitchesParams {
  readonly generation_ids: readonly number[];
}
export interface LockSwitchesRow {
  readonly dag_id: number;
  readonly generation_id: number;
}
export const lockSwitches: Statement<LockSwitchesParams, LockSwitchesRow> = {
  name: "lockSwitches",
  params: ["generation_ids"],
  text: "select s.dag_id, s.generation_id\n  from generation_switches s\n where s.dag_id in (select x.dag_id from generation_switches x where x.generation_id = any ($1::bigint[]))\n order by s.dag_id, s.dataset_id for update",
};

export interface SwitchDatasetsParams {
  readonly dag_ids: readonly number[];
}
export interface SwitchDatasetsRow {
  readonly generation_id: number;
  readonly head_commit: number;
}
export const switchDatasets: Statement<SwitchDatasetsParams, SwitchDatasetsRow> = {
  name: "switchDatasets",
  params: ["dag_ids"],
  text: "with done as materialized (\n  select d.dag_id from unnest($1::bigint[]) as d (dag_id)\n   where not exists (select 1 from generation_switches s join generations g on g.generation_id = s.generation_id where s.dag_id = d.dag_id and g.head_commit = 0)\n), held as materialized (\n  select ds.dataset_id from datasets ds\n   where ds.dataset_id in (select s.dataset_id from generation_switches s where s.dag_id in (select dag_id from done))\n   order by ds.dataset_id for no key update\n), moved as (\n  update datasets ds set current_generation_id = s.generation_id\n    from generation_switches s\n   where s.dag_id in (select dag_id from done) and s.dataset_id = ds.dataset_id and ds.dataset_id in (select dataset_id from held)\n  returning s.generation_id\n), over as (\n  delete from generation_switches where dag_id in (select dag_id from done)\n)\nselect g.generation_id, g.head_commit from moved m join generations g on g.generation_id = m.generation_id",
};

export interface InputsUnreadParams {
  readonly dag_id: number;
  readonly before_version_id: number | null;
}
export interface InputsUnreadRow {
  readonly job_id: number;
  readonly generation_id: number;
  readonly head_commit: number;
}
export const inputsUnread: Statement<InputsUnreadParams, InputsUnreadRow> = {
  name: "inputsUnread",
  params: ["dag_id", "before_version_id"],
  text: "select distinct ji.job_id, g.generation_id, g.head_commit\n  from dags d\n  join job_inputs ji on ji.dag_version_id = d.current_version_id\n  join datasets ds on ds.dataset_id = ji.dataset_id\n  join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n where d.dag_id = $1 and g.head_commit > 0\n   and (exists (select 1\n                  from job_outputs jo\n                  join generation_switches s on s.dag_id = d.dag_id and s.dataset_id = jo.dataset_id\n                  join generations n on n.generation_id = s.generation_id\n                 where jo.dag_version_id = ji.dag_version_id and jo.job_id = ji.job_id and n.head_commit = 0)\n        or exists (select 1 from job_inputs b\n                    where b.dag_version_id = $2 and b.job_id = ji.job_id and b.dataset_id = ji.dataset_id\n                      and coalesce(b.generation_id, ds.current_generation_id) <> g.generation_id))",
};

export interface PartitioningOfParams {
  readonly org_id: number;
  readonly names: readonly string[];
}
export interface PartitioningOfRow {
  readonly name: string;
  readonly partitioning: string;
}
export const partitioningOf: Statement<PartitioningOfParams, PartitioningOfRow> = {
  name: "partitioningOf",
  params: ["org_id", "names"],
  text: "select ds.name, coalesce(g.definition ->> 'partitioning', 'none') as partitioning\n  from datasets ds join generations g on g.generation_id = ds.current_generation_id\n where ds.org_id = $1 and ds.name = any ($2::text[])",
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
  text: "with held as materialized (\n  select l.*, w.nonce as wanted\n    from unnest($1::bytea[], $2::uuid[]) as w (token, nonce)\n   cross join lateral (\n     select x.token, x.lease_no, x.session_id, x.deadline, x.nonce from leases x where x.token = w.token for update) l\n), session as materialized (\n  select session_id, expires_at, closed_at from sessions\n   where session_id in (select session_id from held) order by session_id for key share\n), judged as materialized (\n  select h.token, h.lease_no, h.wanted as nonce, h.nonce is null as first, h.nonce is null or h.nonce = h.wanted as bound\n    from held h\n   where h.deadline > clock_timestamp()\n     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true\n), started as (\n  update leases l\n     set nonce = ((select json_object_agg(encode(j.token, 'hex'), j.nonce)::jsonb from judged j where j.first) ->> encode(l.token, 'hex'))::uuid,\n         deadline = clock_timestamp() + ((select t.timeout_ms from tasks t where t.task_id = l.task_id) + 10000) * interval '1 ms'\n   where l.token = any (array(select j.token from judged j where j.first))\n  returning l.lease_no, l.deadline\n), writing as (\n  update staging s\n     set write_until = ((select json_object_agg(t.lease_no, t.deadline)::jsonb from started t) ->> s.lease_no::text)::timestamptz + interval '15 minutes'\n   where s.lease_no = any (array(select t.lease_no from started t))\n)\nselect token, bound from judged",
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

export interface KnownPartitionsParams {
  readonly dag_version_ids: readonly number[];
  readonly job_ids: readonly number[];
  readonly partition_keys: readonly string[];
}
export interface KnownPartitionsRow {
  readonly job_id: number;
  readonly partition_key: string;
}
export const knownPartitions: Statement<KnownPartitionsParams, KnownPartitionsRow> = {
  name: "knownPartitions",
  params: ["dag_version_ids", "job_ids", "partition_keys"],
  text: "select distinct w.job_id, w.partition_key\n  from unnest($1::bigint[], $2::bigint[], $3::text[]) as w (dag_version_id, job_id, partition_key)\n  join job_versions jv on jv.dag_version_id = w.dag_version_id and jv.job_id = w.job_id\n where w.partition_key = any (jv.partition_keys)\n    or (jv.per_partition and exists (\n         select 1\n           from job_inputs ji\n           join datasets ds on ds.dataset_id = ji.dataset_id\n           join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n          cross join lateral (select 1 from partitions x where x.generation_id = g.generation_id and x.partition_key = w.partition_key offset 0) p\n          where ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id and g.partitioned))",
};

export interface PartitionsOfJobParams {
  readonly dag_version_id: number;
  readonly job_id: number;
  readonly after_key: string;
  readonly limit: number;
}
export interface PartitionsOfJobRow {
  readonly partition_key: string;
}
export const partitionsOfJob: Statement<PartitionsOfJobParams, PartitionsOfJobRow> = {
  name: "partitionsOfJob",
  params: ["dag_version_id", "job_id", "after_key", "limit"],
  text: "select k.partition_key\n  from job_versions jv\n cross join lateral (\n   select u.partition_key\n     from (select a.partition_key from unnest(jv.partition_keys) a (partition_key) where a.partition_key > $3\n           union\n           select p.partition_key\n             from job_inputs ji\n             join datasets ds on ds.dataset_id = ji.dataset_id\n             join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n            cross join lateral (\n              select x.partition_key from partitions x\n               where x.generation_id = g.generation_id and x.partition_key > $3 order by x.partition_key limit $4) p\n            where jv.per_partition and g.partitioned and ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id) u\n    order by u.partition_key limit $4) k\n where jv.dag_version_id = $1 and jv.job_id = $2\n order by k.partition_key",
};

export interface ProducerOfParams {
  readonly org_id: number;
  readonly dataset: string;
}
export interface ProducerOfRow {
  readonly dataset_id: number;
  readonly current_id: number | null;
  readonly dag: string | null;
  readonly job: string | null;
  readonly job_id: number | null;
  readonly dag_version_id: number | null;
  readonly written_id: number | null;
  readonly in_partitions: boolean | null;
  readonly partition_by: string | null;
}
export const producerOf: Statement<ProducerOfParams, ProducerOfRow> = {
  name: "producerOf",
  params: ["org_id", "dataset"],
  text: "select ds.dataset_id, ds.current_generation_id as current_id, w.dag, w.job, w.job_id, w.dag_version_id, w.written_id, w.in_partitions, w.partition_by\n  from datasets ds\n  left join lateral (\n    select d.name as dag, j.name as job, j.job_id, jo.dag_version_id, coalesce(jo.generation_id, ds.current_generation_id) as written_id,\n           jv.partition_keys is not null or jv.per_partition as in_partitions, jo.partition_by\n      from jobs j\n      join dags d on d.dag_id = j.dag_id\n      join job_outputs jo on jo.dag_version_id = d.current_version_id and jo.job_id = j.job_id and jo.dataset_id = ds.dataset_id\n      join job_versions jv on jv.dag_version_id = jo.dag_version_id and jv.job_id = jo.job_id\n     where j.job_id = ds.producer_job_id offset 0) w on true\n where ds.org_id = $1 and ds.name = $2",
};

export interface PartitionsHeldParams {
  readonly generation_id: number;
  readonly job_id: number;
  readonly partition_keys: readonly string[];
}
export interface PartitionsHeldRow {
  readonly partition_key: string;
  readonly held: boolean;
  readonly task_public_id: string | null;
}
export const partitionsHeld: Statement<PartitionsHeldParams, PartitionsHeldRow> = {
  name: "partitionsHeld",
  params: ["generation_id", "job_id", "partition_keys"],
  text: "select w.partition_key,\n       exists (select 1 from (select 1 from partitions x where x.generation_id = $1 and x.partition_key = w.partition_key offset 0) p) as held,\n       l.public_id as task_public_id\n  from unnest($3::text[]) as w (partition_key)\n  left join lateral (\n    select t.public_id\n      from (select x.task_id from live_outputs x where x.job_id = $2 and x.output_partition = w.partition_key offset 0) lo\n     cross join lateral (select x.public_id from tasks x where x.task_id = lo.task_id offset 0) t offset 0) l on true\n order by w.partition_key",
};

export interface AddRepairAuditParams {
  readonly org_id: number;
  readonly actor: string;
  readonly task_ids: readonly string[];
  readonly detail: string;
}
export type AddRepairAuditRow = Readonly<Record<never, never>>;
export const addRepairAudit: Statement<AddRepairAuditParams, AddRepairAuditRow> = {
  name: "addRepairAudit",
  params: ["org_id", "actor", "task_ids", "detail"],
  text: "insert into audit_log (org_id, actor, action, task_ids, detail) values ($1, $2, 'dataset.repair', $3::uuid[], $4::json)",
};

export interface HoldGenerationParams {
  readonly generation_id: number;
}
export interface HoldGenerationRow {
  readonly generation_id: number;
  readonly head_commit: number;
}
export const holdGeneration: Statement<HoldGenerationParams, HoldGenerationRow> = {
  name: "holdGeneration",
  params: ["generation_id"],
  text: "select generation_id, head_commit from generations where generation_id = $1 for key share",
};

export interface FindCommitParams {
  readonly generation_id: number;
  readonly commit_no: number;
}
export interface FindCommitRow {
  readonly commit_no: number;
  readonly schema: unknown;
  readonly purged: boolean;
}
export const findCommit: Statement<FindCommitParams, FindCommitRow> = {
  name: "findCommit",
  params: ["generation_id", "commit_no"],
  text: "select commit_no, schema, purged_at is not null as purged from commits where generation_id = $1 and commit_no = $2",
};

export interface AddPinParams {
  readonly public_id: string;
  readonly org_id: number;
  readonly holder: string;
  readonly generation_id: number;
  readonly commit_no: number;
  readonly expires_at: string | null;
  readonly actor: string;
  readonly pins_max: number;
}
export interface AddPinRow {
  readonly public_id: string | null;
  readonly created_at: Date | null;
  readonly expires_at: Date | null;
  readonly over: boolean;
}
export const addPin: Statement<AddPinParams, AddPinRow> = {
  name: "addPin",
  params: ["public_id", "org_id", "holder", "generation_id", "commit_no", "expires_at", "actor", "pins_max"],
  text: "with made as (\n  insert into pins (public_id, org_id, holder, generation_id, commit_no, expires_at)\n  select $1, $2, $3, $4, $5, $6::text::timestamptz\n   where (select count(*) from (select 1 from pins where org_id = $2 limit $8) p) < $8\n     and coalesce($6::text::timestamptz > clock_timestamp(), true)\n  returning public_id, created_at, expires_at\n), audited as (\n  insert into audit_log (org_id, actor, action, task_ids, detail)\n  select $2, $7, 'dataset.pin', '{}', json_build_object('dataset', d.name, 'generation', g.number, 'commit', $5::bigint, 'pin_id', m.public_id, 'holder', $3::text)\n    from made m cross join generations g join datasets d on d.dataset_id = g.dataset_id\n   where g.generation_id = $4\n)\nselect m.public_id, m.created_at, m.expires_at, coalesce($6::text::timestamptz <= clock_timestamp(), false) as over\n  from (select 1) one left join made m on true",
};

export interface ListPinsParams {
  readonly org_id: number;
  readonly name: string | null;
  readonly limit: number;
}
export interface ListPinsRow {
  readonly public_id: string;
  readonly holder: string;
  readonly commit_no: number;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly number: number;
  readonly name: string;
}
export const listPins: Statement<ListPinsParams, ListPinsRow> = {
  name: "listPins",
  params: ["org_id", "name", "limit"],
  text: "select p.public_id, p.holder, p.commit_no, p.created_at, p.expires_at, g.number, d.name\n  from (select * from pins x where x.org_id = $1 order by x.pin_id desc) p\n  join generations g on g.generation_id = p.generation_id\n  join datasets d on d.dataset_id = g.dataset_id\n where ($2::text is null or d.name = $2) and (p.expires_at is null or p.expires_at > clock_timestamp())\n order by p.pin_id desc\n limit $3",
};

export interface DropPinParams {
  readonly org_id: number;
  readonly public_id: string;
  readonly actor: string;
}
export interface DropPinRow {
  readonly public_id: string;
}
export const dropPin: Statement<DropPinParams, DropPinRow> = {
  name: "dropPin",
  params: ["org_id", "public_id", "actor"],
  text: "with gone as (\n  delete from pins where org_id = $1 and public_id = $2 returning public_id, holder, generation_id, commit_no\n), audited as (\n  insert into audit_log (org_id, actor, action, task_ids, detail)\n  select $1, $3, 'dataset.unpin', '{}', json_build_object('dataset', d.name, 'generation', g.number, 'commit', n.commit_no, 'pin_id', n.public_id, 'holder', n.holder)\n    from gone n join generations g on g.generation_id = n.generation_id join datasets d on d.dataset_id = g.dataset_id\n)\nselect public_id from gone",
};

export interface DropExpiredPinsParams {
  readonly limit: number;
}
export interface DropExpiredPinsRow {
  readonly pins: number;
}
export const dropExpiredPins: Statement<DropExpiredPinsParams, DropExpiredPinsRow> = {
  name: "dropExpiredPins",
  params: ["limit"],
  text: "with gone as (\n  delete from pins where pin_id = any (array(\n    select x.pin_id from pins x where x.expires_at <= clock_timestamp() order by x.expires_at limit $1 for update skip locked))\n  returning pin_id\n)\nselect count(*)::int as pins from gone",
};

export interface WritersOfDatasetsParams {
  readonly org_id: number;
  readonly names: readonly string[];
}
export interface WritersOfDatasetsRow {
  readonly name: string;
  readonly producer_dag: string | null;
  readonly producer_job: string | null;
  readonly generation: number;
  readonly definition: unknown;
  readonly generation_id: number;
}
export const writersOfDatasets: Statement<WritersOfDatasetsParams, WritersOfDatasetsRow> = {
  name: "writersOfDatasets",
  params: ["org_id", "names"],
  text: "select d.name, p.name as producer_dag, j.name as producer_job, g.number as generation, g.definition, g.generation_id\n  from datasets d\n  join generations g on g.generation_id = d.current_generation_id\n  left join jobs j on j.job_id = d.producer_job_id\n  left join dags p on p.dag_id = j.dag_id\n where d.org_id = $1 and d.name = any ($2::text[])\n order by d.name",
};

export interface GenerationsWrittenParams {
  readonly dag_id: number;
}
export interface GenerationsWrittenRow {
  readonly name: string;
  readonly number: number;
  readonly definition: unknown;
  readonly current: boolean;
}
export const generationsWritten: Statement<GenerationsWrittenParams, GenerationsWrittenRow> = {
  name: "generationsWritten",
  params: ["dag_id"],
  text: "select ds.name, g.number, g.definition, g.generation_id is not distinct from ds.current_generation_id as current\n  from dags d\n  join job_outputs jo on jo.dag_version_id = d.current_version_id\n  join datasets ds on ds.dataset_id = jo.dataset_id\n  join generations g on g.generation_id = coalesce(jo.generation_id, ds.current_generation_id)\n where d.dag_id = $1",
};

export interface ReadersElsewhereParams {
  readonly org_id: number;
  readonly dag: string;
  readonly names: readonly string[];
}
export interface ReadersElsewhereRow {
  readonly name: string;
  readonly dag: string;
  readonly job: string;
}
export const readersElsewhere: Statement<ReadersElsewhereParams, ReadersElsewhereRow> = {
  name: "readersElsewhere",
  params: ["org_id", "dag", "names"],
  text: "select ds.name, d.name as dag, j.name as job\n  from datasets ds\n  join job_inputs ji on ji.dataset_id = ds.dataset_id\n  join dags d on d.current_version_id = ji.dag_version_id\n  join jobs j on j.job_id = ji.job_id\n where ds.org_id = $1 and ds.name = any ($3::text[]) and d.name <> $2\n order by ds.name, d.name, j.name\n limit 1000",
};

export interface LiveTasksOfDagParams {
  readonly org_id: number;
  readonly dag: string;
}
export interface LiveTasksOfDagRow {
  readonly name: string;
  readonly tasks: number;
}
export const liveTasksOfDag: Statement<LiveTasksOfDagParams, LiveTasksOfDagRow> = {
  name: "liveTasksOfDag",
  params: ["org_id", "dag"],
  text: "select j.name, lo.tasks\n  from dags d\n  join jobs j on j.dag_id = d.dag_id\n cross join lateral (select count(*)::int as tasks from live_outputs x where x.job_id = j.job_id offset 0) lo\n where d.org_id = $1 and d.name = $2",
};

export type NewestTaskIdParams = Readonly<Record<never, never>>;
export interface NewestTaskIdRow {
  readonly task_id: number;
}
export const newestTaskId: Statement<NewestTaskIdParams, NewestTaskIdRow> = {
  name: "newestTaskId",
  params: [],
  text: "select coalesce(pg_sequence_last_value(pg_get_serial_sequence('tasks', 'task_id')), 0)::bigint as task_id",
};

export interface TasksMadeHereParams {
  readonly after_task_id: number;
}
export interface TasksMadeHereRow {
  readonly dag: string;
  readonly job: string;
  readonly tasks: number;
  readonly partitions: readonly string[];
}
export const tasksMadeHere: Statement<TasksMadeHereParams, TasksMadeHereRow> = {
  name: "tasksMadeHere",
  params: ["after_task_id"],
  text: "select d.name as dag, j.name as job, count(*)::int as tasks,\n       (array_agg(coalesce(t.output_partition, '') order by t.output_partition))[1:5] as partitions\n  from tasks t\n  join jobs j on j.job_id = t.job_id\n  join dags d on d.dag_id = j.dag_id\n where t.task_id > $1 and t.xmin = pg_current_xact_id()::xid\n group by d.name, j.name\n order by d.name, j.name",
};

export interface SomeDatasetNamesParams {
  readonly org_id: number;
}
export interface SomeDatasetNamesRow {
  readonly name: string;
}
export const someDatasetNames: Statement<SomeDatasetNamesParams, SomeDatasetNamesRow> = {
  name: "someDatasetNames",
  params: ["org_id"],
  text: "select name from datasets where org_id = $1 order by dataset_id desc limit 1000",
};

export interface SetLockTimeoutParams {
  readonly ms: string;
}
export interface SetLockTimeoutRow {
  readonly set_config: string | null;
}
export const setLockTimeout: Statement<SetLockTimeoutParams, SetLockTimeoutRow> = {
  name: "setLockTimeout",
  params: ["ms"],
  text: "select set_config('lock_timeout', $1::text, true)",
};

export interface UnsettledGenerationsParams {
  readonly org_id: number;
  readonly asked: string;
}
export interface UnsettledGenerationsRow {
  readonly generation_id: number;
}
export const unsettledGenerations: Statement<UnsettledGenerationsParams, UnsettledGenerationsRow> = {
  name: "unsettledGenerations",
  params: ["org_id", "asked"],
  text: "select distinct g.generation_id\n  from json_to_recordset($2::json) as a (dataset text, generation int, moment text)\n  join datasets d on d.org_id = $1 and d.name = a.dataset\n  join generations g on g.dataset_id = d.dataset_id and (case when a.generation is null then g.generation_id = d.current_generation_id else g.number = a.generation end)\n where a.moment is not null and (g.head_committed_at < a.moment::timestamptz) is not false\n order by g.generation_id",
};

export interface SettleGenerationsParams {
  readonly generation_ids: readonly number[];
}
export interface SettleGenerationsRow {
  readonly held: number | null;
  readonly clock: string;
}
export const settleGenerations: Statement<SettleGenerationsParams, SettleGenerationsRow> = {
  name: "settleGenerations",
  params: ["generation_ids"],
  text: "with held as materialized (\n  select generation_id from generations where generation_id = any ($1::bigint[]) order by generation_id for share\n)\nselect count(*)::int as held, clock_timestamp()::text as clock from held",
};

export interface PickCommitsParams {
  readonly org_id: number;
  readonly asked: string;
  readonly clock: string | null;
}
export interface PickCommitsRow {
  readonly place: number;
  readonly generation_id: number | null;
  readonly number: number | null;
  readonly partitioned: boolean | null;
  readonly head_commit: number | null;
  readonly commit_no: number | null;
  readonly committed_at: string | null;
  readonly schema: unknown;
  readonly purged: boolean | null;
  readonly settled: boolean | null;
  readonly passed: boolean | null;
}
export const pickCommits: Statement<PickCommitsParams, PickCommitsRow> = {
  name: "pickCommits",
  params: ["org_id", "asked", "clock"],
  text: "select a.place, g.generation_id, g.number, g.partitioned, g.head_commit,\n       coalesce(c.commit_no, case when a.version is null and a.moment is null then g.head_commit end) as commit_no,\n       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at, c.schema, c.purged_at is not null as purged,\n       a.moment is null or g.head_committed_at >= a.moment::timestamptz as settled,\n       a.moment::timestamptz < $3::text::timestamptz as passed\n  from json_to_recordset($2::json) as a (place int, dataset text, generation int, version bigint, moment text)\n  join datasets d on d.org_id = $1 and d.name = a.dataset\n  left join generations g on g.dataset_id = d.dataset_id and (case when a.generation is null then g.generation_id = d.current_generation_id else g.number = a.generation end)\n  left join lateral (\n    (select x.commit_no, x.committed_at, x.schema, x.purged_at from commits x\n      where x.generation_id = g.generation_id and x.commit_no = coalesce(a.version, g.head_commit) and a.moment is null)\n    union all\n    (select x.commit_no, x.committed_at, x.schema, x.purged_at from commits x\n      where x.generation_id = g.generation_id and x.committed_at <= a.moment::timestamptz\n      order by x.committed_at desc limit 1)\n    offset 0) c on true\n order by a.place",
};

export interface FilesOfCommitParams {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly limit: number;
}
export interface FilesOfCommitRow {
  readonly file_id: number;
  readonly partition_key: string;
  readonly object_key: string;
  readonly byte_count: number;
  readonly row_count: number;
  readonly sha256: string;
}
export const filesOfCommit: Statement<FilesOfCommitParams, FilesOfCommitRow> = {
  name: "filesOfCommit",
  params: ["generation_id", "commit_no", "limit"],
  text: "select * from (\n  (select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256 from commit_files f\n    where f.generation_id = $1 and f.removed_commit is null and f.added_commit <= $2 limit $3)\n  union all\n  (select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256 from commit_files f\n    where f.generation_id = $1 and f.removed_commit > $2 and f.added_commit <= $2 limit $3)) f\n order by f.partition_key, f.file_id\n limit $3",
};

export interface FilesOfPartitionsParams {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly keys: readonly string[];
  readonly limit: number;
}
export interface FilesOfPartitionsRow {
  readonly file_id: number;
  readonly partition_key: string;
  readonly object_key: string;
  readonly byte_count: number;
  readonly row_count: number;
  readonly sha256: string;
}
export const filesOfPartitions: Statement<FilesOfPartitionsParams, FilesOfPartitionsRow> = {
  name: "filesOfPartitions",
  params: ["generation_id", "commit_no", "keys", "limit"],
  text: "select f.file_id, k.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256\n  from unnest($3::text[]) as k (partition_key)\n cross join lateral (\n   (select x.file_id, x.object_key, x.byte_count, x.row_count, x.sha256 from commit_files x\n     where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null and x.added_commit <= $2)\n   union all\n   (select x.file_id, x.object_key, x.byte_count, x.row_count, x.sha256 from commit_files x\n     where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit > $2 and x.added_commit <= $2)\n   offset 0) f\n limit $4",
};

export interface FilesAddedParams {
  readonly generation_id: number;
  readonly from_commit: number;
  readonly commit_no: number;
  readonly keys: readonly string[] | null;
  readonly limit: number;
}
export interface FilesAddedRow {
  readonly file_id: number;
  readonly partition_key: string;
  readonly object_key: string;
  readonly byte_count: number;
  readonly row_count: number;
  readonly sha256: string;
}
export const filesAdded: Statement<FilesAddedParams, FilesAddedRow> = {
  name: "filesAdded",
  params: ["generation_id", "from_commit", "commit_no", "keys", "limit"],
  text: "select f.file_id, f.partition_key, f.object_key, f.byte_count, f.row_count, f.sha256\n  from commit_files f\n where f.generation_id = $1 and f.added_commit > 0 and f.added_commit > $2 and f.added_commit <= $3\n   and (f.removed_commit is null or f.removed_commit > $3)\n   and (f.made_commit is null or f.made_commit > $2)\n   and ($4::text[] is null or f.partition_key = any ($4))\n order by f.added_commit, f.file_id\n limit $5",
};

export interface PurgedCommitsParams {
  readonly generation_ids: readonly number[];
  readonly commit_nos: readonly number[];
}
export interface PurgedCommitsRow {
  readonly generation_id: number;
  readonly commit_no: number;
}
export const purgedCommits: Statement<PurgedCommitsParams, PurgedCommitsRow> = {
  name: "purgedCommits",
  params: ["generation_ids", "commit_nos"],
  text: "select c.generation_id, c.commit_no\n  from unnest($1::bigint[], $2::bigint[]) as w (generation_id, commit_no)\n cross join lateral (\n   select x.generation_id, x.commit_no from commits x\n    where x.generation_id = w.generation_id and x.commit_no = w.commit_no and x.purged_at is not null offset 0) c",
};

export interface InputsOfLeaseParams {
  readonly lease_no: number;
}
export interface InputsOfLeaseRow {
  readonly name: string;
  readonly generation_id: number;
  readonly number: number;
  readonly partitioned: boolean;
  readonly commit_no: number;
  readonly from_commit: number | null;
  readonly partition_key: string | null;
  readonly committed_at: string | null;
  readonly schema: unknown;
  readonly purged: boolean | null;
}
export const inputsOfLease: Statement<InputsOfLeaseParams, InputsOfLeaseRow> = {
  name: "inputsOfLease",
  params: ["lease_no"],
  text: "select d.name, g.generation_id, g.number, g.partitioned, ai.commit_no, ai.from_commit, ai.partition_key,\n       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at, c.schema, c.purged_at is not null as purged\n  from attempt_inputs ai\n  join generations g on g.generation_id = ai.generation_id\n  join datasets d on d.dataset_id = g.dataset_id\n  left join lateral (\n    select x.committed_at, x.schema, x.purged_at from commits x\n     where x.generation_id = g.generation_id and x.commit_no = ai.commit_no offset 0) c on true\n where ai.lease_no = $1\n order by d.name",
};

export interface FindGenerationParams {
  readonly org_id: number;
  readonly name: string;
  readonly generation: number | null;
}
export interface FindGenerationRow {
  readonly dataset_id: number;
  readonly name: string;
  readonly org_id: number;
  readonly generation_id: number | null;
  readonly number: number | null;
  readonly strategy: string | null;
  readonly head_commit: number | null;
  readonly is_current: boolean | null;
}
export const findGeneration: Statement<FindGenerationParams, FindGenerationRow> = {
  name: "findGeneration",
  params: ["org_id", "name", "generation"],
  text: "select d.dataset_id, d.name, d.org_id, g.generation_id, g.number, g.strategy, g.head_commit, g.generation_id = d.current_generation_id as is_current\n  from datasets d\n  left join generations g on g.dataset_id = d.dataset_id\n       and (case when $3::int is null then g.generation_id = d.current_generation_id else g.number = $3 end)\n where d.org_id = $1 and d.name = $2",
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
  readonly committed_at: string | null;
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
  text: "select d.dataset_id, d.public_id, d.name, g.generation_id, g.number, g.head_commit,\n       to_char(g.head_committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at, coalesce(c.schema, '[]'::json) as schema,\n       coalesce(f.row_count, 0) as row_count, coalesce(f.byte_count, 0) as byte_count, coalesce(f.file_count, 0) as file_count,\n       pd.name as producer_dag, pj.name as producer_job\n  from datasets d\n  join generations g on g.generation_id = d.current_generation_id\n  left join lateral (\n    select x.schema from commits x where x.generation_id = g.generation_id and x.commit_no = g.head_commit offset 0) c on true\n cross join lateral (\n   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count\n     from commit_files x where x.generation_id = g.generation_id and x.removed_commit is null offset 0) f\n  left join jobs pj on pj.job_id = d.producer_job_id\n  left join dags pd on pd.dag_id = pj.dag_id\n where d.org_id = $1 and ($2::text is null or d.name = $2)\n order by d.name\n limit 1000",
};

export interface CommitsPageParams {
  readonly generation_id: number;
  readonly before_commit: number;
  readonly limit: number;
}
export interface CommitsPageRow {
  readonly commit_no: number;
  readonly number: number;
  readonly kind: string;
  readonly committed_at: string;
  readonly append_key: string | null;
  readonly reverted_to: number | null;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly purged_at: string | null;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly lease_no: number | null;
  readonly task_public_id: string | null;
  readonly content_sha256: string | null;
  readonly dag: string | null;
  readonly job: string | null;
  readonly partitions: number;
  readonly known: boolean | null;
  readonly removed_rows: number;
  readonly removed_bytes: number;
  readonly inputs: unknown;
}
export const commitsPage: Statement<CommitsPageParams, CommitsPageRow> = {
  name: "commitsPage",
  params: ["generation_id", "before_commit", "limit"],
  text: "select c.commit_no, g.number, c.kind, to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at,\n       c.append_key, c.reverted_to, c.actor, c.reason,\n       to_char(c.purged_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as purged_at,\n       c.row_count, c.byte_count, c.file_count, c.lease_no, t.public_id as task_public_id, v.content_sha256, d.name as dag, j.name as job,\n       (select count(*)::int from commit_partitions p where p.generation_id = c.generation_id and p.commit_no = c.commit_no and p.partition_key <> '') as partitions,\n       c.purged_at is null and (select b.purged_at is null from commits b where b.generation_id = c.generation_id and b.commit_no = c.commit_no - 1) is not false as known,\n       gone.row_count as removed_rows, gone.byte_count as removed_bytes,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', ig.number, 'commit', ai.commit_no) order by ds.name)\n                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets ds on ds.dataset_id = ig.dataset_id\n                  where ai.lease_no = c.lease_no), '[]'::json) as inputs\n  from (select * from commits x where x.generation_id = $1 and x.commit_no < $2 order by x.commit_no desc limit $3) c\n  join generations g on g.generation_id = c.generation_id\n  left join lateral (select x.public_id, x.job_id from tasks x where x.task_id = c.task_id offset 0) t on true\n  left join dag_versions v on v.dag_version_id = c.dag_version_id\n  left join jobs j on j.job_id = t.job_id\n  left join dags d on d.dag_id = j.dag_id\n cross join lateral (\n   select coalesce(sum(f.row_count), 0)::bigint as row_count, coalesce(sum(f.byte_count), 0)::bigint as byte_count\n     from commit_files f where f.generation_id = c.generation_id and f.removed_commit = c.commit_no offset 0) gone\n order by c.commit_no desc",
};

export interface CommitExtentParams {
  readonly generation_id: number;
  readonly commit_no: number;
}
export interface CommitExtentRow {
  readonly committed_at: string | null;
  readonly schema: unknown;
  readonly purged: boolean | null;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly partition_count: number;
}
export const commitExtent: Statement<CommitExtentParams, CommitExtentRow> = {
  name: "commitExtent",
  params: ["generation_id", "commit_no"],
  text: "select to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at, c.schema, c.purged_at is not null as purged,\n       f.row_count, f.byte_count, f.file_count, f.partition_count\n  from (select coalesce(sum(f.row_count), 0)::bigint as row_count, coalesce(sum(f.byte_count), 0)::bigint as byte_count, count(*)::int as file_count,\n               count(distinct f.partition_key)::int as partition_count\n          from (select x.partition_key, x.row_count, x.byte_count from commit_files x\n                 where x.generation_id = $1 and x.removed_commit is null and x.added_commit <= $2\n                union all\n                select x.partition_key, x.row_count, x.byte_count from commit_files x\n                 where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2) f) f\n  left join commits c on c.generation_id = $1 and c.commit_no = $2",
};

export interface ChangedPartitionsParams {
  readonly generation_id: number;
  readonly low_commit: number;
  readonly high_commit: number;
  readonly limit: number;
}
export interface ChangedPartitionsRow {
  readonly changed: number;
  readonly changed_high: number;
  readonly partition_key: string;
  readonly low_rows: number | null;
  readonly low_bytes: number | null;
  readonly low_files: number | null;
  readonly high_rows: number | null;
  readonly high_bytes: number | null;
  readonly high_files: number | null;
}
export const changedPartitions: Statement<ChangedPartitionsParams, ChangedPartitionsRow> = {
  name: "changedPartitions",
  params: ["generation_id", "low_commit", "high_commit", "limit"],
  text: "with moved as (\n  select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x\n   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.added_commit <= $3\n  union all\n  select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x\n   where x.generation_id = $1 and x.removed_commit > $2 and x.removed_commit <= $3 and x.added_commit <= $2\n), differing as materialized (\n  select m.partition_key, bool_or(m.high) as high\n    from (select partition_key, object_key,\n                 bool_or(added_commit <= $2 and (removed_commit is null or removed_commit > $2)) as low,\n                 bool_or(added_commit <= $3 and (removed_commit is null or removed_commit > $3)) as high\n            from moved group by partition_key, object_key) m\n   where m.low <> m.high\n   group by m.partition_key\n), counted as (\n  select count(*)::int as changed,\n         (count(*) filter (where d.high\n                              or exists (select 1 from commit_files x where x.generation_id = $1 and x.partition_key = d.partition_key and x.removed_commit is null and x.added_commit <= $3)\n                              or exists (select 1 from commit_files x where x.generation_id = $1 and x.partition_key = d.partition_key and x.removed_commit > $3 and x.added_commit <= $3)))::int as changed_high\n    from differing d\n)\nselect n.changed, n.changed_high, d.partition_key,\n       l.row_count as low_rows, l.byte_count as low_bytes, l.file_count as low_files,\n       h.row_count as high_rows, h.byte_count as high_bytes, h.file_count as high_files\n  from (select partition_key from differing order by partition_key limit $4) d\n cross join counted n\n cross join lateral (\n   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count\n     from (select a.row_count, a.byte_count from commit_files a\n            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit is null and a.added_commit <= $2\n           union all\n           select a.row_count, a.byte_count from commit_files a\n            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit > $2 and a.added_commit <= $2) x offset 0) l\n cross join lateral (\n   select sum(x.row_count)::bigint as row_count, sum(x.byte_count)::bigint as byte_count, count(*)::int as file_count\n     from (select a.row_count, a.byte_count from commit_files a\n            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit is null and a.added_commit <= $3\n           union all\n           select a.row_count, a.byte_count from commit_files a\n            where a.generation_id = $1 and a.partition_key = d.partition_key and a.removed_commit > $3 and a.added_commit <= $3) x offset 0) h\n order by d.partition_key",
};

export interface LineageNodesParams {
  readonly generation_ids: readonly number[];
  readonly commit_nos: readonly number[];
}
export interface LineageNodesRow {
  readonly place: number;
  readonly generation_id: number;
  readonly dataset: string;
  readonly number: number;
  readonly commit_no: number;
  readonly kind: string;
  readonly committed_at: string;
  readonly row_count: number;
  readonly actor: string | null;
  readonly lease_no: number | null;
  readonly task_public_id: string | null;
  readonly attempt: number | null;
  readonly dag: string | null;
  readonly job: string | null;
  readonly content_sha256: string | null;
  readonly dag_number: number | null;
  readonly inputs: unknown;
}
export const lineageNodes: Statement<LineageNodesParams, LineageNodesRow> = {
  name: "lineageNodes",
  params: ["generation_ids", "commit_nos"],
  text: "select w.place::int as place, c.generation_id, ds.name as dataset, g.number, c.commit_no, c.kind,\n       to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at,\n       c.row_count, c.actor, c.lease_no, t.public_id as task_public_id, a.attempt, d.name as dag, j.name as job, v.content_sha256, v.number as dag_number,\n       coalesce((select json_agg(json_build_object('dataset', ids.name, 'generation', ig.number, 'commit', ai.commit_no, 'generation_id', ai.generation_id) order by ids.name)\n                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets ids on ids.dataset_id = ig.dataset_id\n                  where ai.lease_no = c.lease_no),\n                case when c.reverted_to > 0 then json_build_array(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', c.reverted_to, 'generation_id', c.generation_id)) end,\n                '[]'::json) as inputs\n  from unnest($1::bigint[], $2::bigint[]) with ordinality as w (generation_id, commit_no, place)\n cross join lateral (select * from commits x where x.generation_id = w.generation_id and x.commit_no = w.commit_no offset 0) c\n  join generations g on g.generation_id = c.generation_id\n  join datasets ds on ds.dataset_id = g.dataset_id\n  left join lateral (select x.public_id, x.job_id from tasks x where x.task_id = c.task_id offset 0) t on true\n  left join lateral (select x.attempt from attempts x where x.lease_no = c.lease_no offset 0) a on true\n  left join jobs j on j.job_id = t.job_id\n  left join dags d on d.dag_id = j.dag_id\n  left join dag_versions v on v.dag_version_id = c.dag_version_id\n order by w.place",
};

export interface ReadersOfCommitParams {
  readonly generation_id: number;
  readonly commit_no: number;
  readonly limit: number;
}
export interface ReadersOfCommitRow {
  readonly generation_id: number;
  readonly commit_no: number;
}
export const readersOfCommit: Statement<ReadersOfCommitParams, ReadersOfCommitRow> = {
  name: "readersOfCommit",
  params: ["generation_id", "commit_no", "limit"],
  text: "select c.generation_id, c.commit_no\n  from (select x.lease_no from attempt_inputs x where x.generation_id = $1 and x.commit_no = $2 order by x.lease_no desc limit $3) ai\n cross join lateral (select x.generation_id, x.commit_no from commits x where x.lease_no = ai.lease_no offset 0) c\n limit $3",
};

export interface PartitionsPageParams {
  readonly generation_id: number;
  readonly after_key: string | null;
  readonly limit: number;
}
export interface PartitionsPageRow {
  readonly partition_key: string;
  readonly head_commit: number;
  readonly committed_at: string;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
}
export const partitionsPage: Statement<PartitionsPageParams, PartitionsPageRow> = {
  name: "partitionsPage",
  params: ["generation_id", "after_key", "limit"],
  text: "select p.partition_key, p.head_commit, to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as committed_at,\n       f.row_count, f.byte_count, f.file_count\n  from (select x.partition_key, x.head_commit from partitions x\n         where x.generation_id = $1 and ($2::text is null or x.partition_key > $2)\n         order by x.partition_key limit $3) p\n cross join lateral (select x.committed_at from commits x where x.generation_id = $1 and x.commit_no = p.head_commit offset 0) c\n cross join lateral (\n   select coalesce(sum(x.row_count), 0)::bigint as row_count, coalesce(sum(x.byte_count), 0)::bigint as byte_count, count(*)::int as file_count\n     from commit_files x where x.generation_id = $1 and x.partition_key = p.partition_key and x.removed_commit is null offset 0) f\n order by p.partition_key",
};

export interface CountPartitionsParams {
  readonly generation_id: number;
}
export interface CountPartitionsRow {
  readonly partitions: number;
}
export const countPartitions: Statement<CountPartitionsParams, CountPartitionsRow> = {
  name: "countPartitions",
  params: ["generation_id"],
  text: "select count(*)::int as partitions from partitions where generation_id = $1",
};

export interface RevertScopeParams {
  readonly generation_id: number;
  readonly to_commit: number;
  readonly keys: readonly string[] | null;
  readonly limit: number;
}
export interface RevertScopeRow {
  readonly gone: number;
  readonly back: number;
  readonly looked: number;
}
export const revertScope: Statement<RevertScopeParams, RevertScopeRow> = {
  name: "revertScope",
  params: ["generation_id", "to_commit", "keys", "limit"],
  text: "with wanted as materialized (\n  select x.object_key from commit_files x\n   where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2 and ($3::text[] is null or x.partition_key = any ($3))\n   limit $4\n), there as materialized (\n  select x.object_key from commit_files x\n   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.removed_commit is null and ($3::text[] is null or x.partition_key = any ($3))\n   limit $4\n)\nselect (select count(*)::int from (select object_key from there except select object_key from wanted) g) as gone,\n       (select count(*)::int from (select object_key from wanted except select object_key from there) b) as back,\n       greatest((select count(*)::int from wanted), (select count(*)::int from there)) as looked",
};

export interface UnknownPartitionsParams {
  readonly generation_id: number;
  readonly keys: readonly string[];
}
export interface UnknownPartitionsRow {
  readonly partition_key: string;
}
export const unknownPartitions: Statement<UnknownPartitionsParams, UnknownPartitionsRow> = {
  name: "unknownPartitions",
  params: ["generation_id", "keys"],
  text: "select k.partition_key\n  from unnest($2::text[]) as k (partition_key)\n where (select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key = k.partition_key) is null\n   and (select x.file_id from commit_files x where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null limit 1) is null\n   and (select x.file_id from commit_files x where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is not null limit 1) is null",
};

export interface PartitionsAroundParams {
  readonly generation_id: number;
  readonly key: string;
  readonly limit: number;
}
export interface PartitionsAroundRow {
  readonly partition_key: string | null;
}
export const partitionsAround: Statement<PartitionsAroundParams, PartitionsAroundRow> = {
  name: "partitionsAround",
  params: ["generation_id", "key", "limit"],
  text: "(select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key > $2 order by x.partition_key limit $3)\nunion all\n(select x.partition_key from partitions x where x.generation_id = $1 and x.partition_key < $2 order by x.partition_key desc limit $3)",
};

export interface RevertFilesParams {
  readonly generation_id: number;
  readonly to_commit: number;
  readonly keys: readonly string[] | null;
  readonly commit_no: number;
  readonly committed_at: string;
  readonly org_id: number;
  readonly actor: string;
  readonly reason: string | null;
  readonly schema: string;
  readonly same_origin: boolean;
}
export interface RevertFilesRow {
  readonly commit_no: number;
  readonly row_count: number;
  readonly byte_count: number;
  readonly file_count: number;
  readonly partitions: readonly string[];
}
export const revertFiles: Statement<RevertFilesParams, RevertFilesRow> = {
  name: "revertFiles",
  params: ["generation_id", "to_commit", "keys", "commit_no", "committed_at", "org_id", "actor", "reason", "schema", "same_origin"],
  text: "with wanted as materialized (\n  select x.partition_key, x.object_key, x.byte_count, x.row_count, x.sha256, x.columns, x.append_key, coalesce(x.made_commit, x.added_commit) as made_commit\n    from commit_files x\n   where x.generation_id = $1 and x.removed_commit > $2 and x.added_commit <= $2 and ($3::text[] is null or x.partition_key = any ($3))\n), there as materialized (\n  select x.file_id, x.partition_key, x.object_key, x.append_key\n    from commit_files x\n   where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.removed_commit is null and ($3::text[] is null or x.partition_key = any ($3))\n), shared as materialized (\n  select object_key from wanted intersect select object_key from there\n), gone as materialized (\n  select t.* from there t where t.object_key not in (select object_key from shared)\n), back as materialized (\n  select w.* from wanted w where w.object_key not in (select object_key from shared)\n), touched as materialized (\n  select k.partition_key, greatest(l.made_commit, o.made_commit) as origin\n    from (select partition_key from gone union select partition_key from back) k\n   cross join lateral (\n     select max(coalesce(x.made_commit, x.added_commit)) as made_commit from commit_files x\n      where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit is null and x.added_commit <= $2 offset 0) l\n   cross join lateral (\n     select max(coalesce(x.made_commit, x.added_commit)) as made_commit from commit_files x\n      where x.generation_id = $1 and x.partition_key = k.partition_key and x.removed_commit > $2 and x.added_commit <= $2 offset 0) o\n), same as (\n  select c.fingerprint, c.source from commits c\n   where $10::boolean and c.generation_id = $1\n     and c.commit_no = (select min(origin) from touched having min(origin) = max(origin) and count(*) = count(origin))\n), head as (\n  update generations set head_commit = $4, head_committed_at = $5::text::timestamptz, reverted_commit = $4\n   where generation_id = $1 and head_commit = $4 - 1\n  returning generation_id\n), made as (\n  insert into commits (generation_id, commit_no, org_id, kind, committed_at, schema, row_count, byte_count, file_count, fingerprint, source, reverted_to, actor, reason)\n  select generation_id, $4, $6, 'revert', $5::text::timestamptz, $9::json,\n         (select coalesce(sum(row_count), 0)::bigint from back), (select coalesce(sum(byte_count), 0)::bigint from back), (select count(*)::int from back),\n         (select fingerprint from same), (select source from same), $2, $7, $8 from head\n  returning generation_id, commit_no, row_count, byte_count, file_count\n), removed as (\n  update commit_files set removed_commit = $4 where file_id = any (array(select file_id from gone)) and exists (select 1 from head)\n), added as (\n  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns, append_key, made_commit)\n  select m.generation_id, b.partition_key, m.commit_no, b.object_key, b.byte_count, b.row_count, b.sha256, b.columns, b.append_key, b.made_commit\n    from made m, back b\n), placed as (\n  insert into partitions (generation_id, partition_key, head_commit, lease_no, reverted_commit)\n  select m.generation_id, t.partition_key, m.commit_no, (select c.lease_no from commits c where c.generation_id = $1 and c.commit_no = t.origin), m.commit_no\n    from made m, touched t where t.origin is not null\n  on conflict (generation_id, partition_key) do update\n     set head_commit = excluded.head_commit, lease_no = excluded.lease_no, reverted_commit = excluded.reverted_commit\n), emptied as (\n  delete from partitions\n   where generation_id = $1 and exists (select 1 from head)\n     and partition_key = any (array(select partition_key from touched where origin is null))\n), listed as (\n  insert into commit_partitions (generation_id, commit_no, partition_key)\n  select m.generation_id, m.commit_no, t.partition_key from made m, touched t\n), restored as (\n  insert into append_keys (generation_id, partition_key, append_key, commit_no, lease_no, fingerprint)\n  select m.generation_id, s.partition_key, s.append_key, s.made_commit, c.lease_no, c.fingerprint\n    from made m\n   cross join (select partition_key, append_key, max(made_commit) as made_commit from back where append_key is not null group by partition_key, append_key) s\n   cross join lateral (select x.lease_no, x.fingerprint from commits x where x.generation_id = m.generation_id and x.commit_no = s.made_commit offset 0) c\n  on conflict (generation_id, partition_key, append_key) do update\n     set commit_no = excluded.commit_no, lease_no = excluded.lease_no, fingerprint = excluded.fingerprint, reverted_commit = null\n), withdrawn as (\n  update append_keys a set reverted_commit = $4\n    from (select distinct g.partition_key, g.append_key from gone g\n           where g.append_key is not null\n             and (g.partition_key, g.append_key) not in (select b.partition_key, b.append_key from back b where b.append_key is not null)) s\n   where a.generation_id = $1 and a.partition_key = s.partition_key and a.append_key = s.append_key and exists (select 1 from head)\n)\nselect m.commit_no, m.row_count, m.byte_count, m.file_count, array(select partition_key from touched) as partitions from made m",
};

export interface FindRevertParams {
  readonly generation_id: number;
  readonly commit_no: number;
}
export interface FindRevertRow {
  readonly commit_no: number;
  readonly reverted_to: number | null;
  readonly actor: string | null;
  readonly reason: string | null;
  readonly partitions: readonly string[];
}
export const findRevert: Statement<FindRevertParams, FindRevertRow> = {
  name: "findRevert",
  params: ["generation_id", "commit_no"],
  text: "select c.commit_no, c.reverted_to, c.actor, c.reason,\n       array(select p.partition_key from commit_partitions p where p.generation_id = c.generation_id and p.commit_no = c.commit_no limit 10001) as partitions\n  from commits c where c.generation_id = $1 and c.commit_no = $2 and c.kind = 'revert'",
};

export interface SameAtParams {
  readonly generation_id: number;
  readonly low_commit: number;
  readonly high_commit: number;
  readonly keys: readonly string[] | null;
}
export interface SameAtRow {
  readonly same: boolean;
}
export const sameAt: Statement<SameAtParams, SameAtRow> = {
  name: "sameAt",
  params: ["generation_id", "low_commit", "high_commit", "keys"],
  text: "select not exists (\n  select 1\n    from (select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x\n           where x.generation_id = $1 and x.added_commit > 0 and x.added_commit > $2 and x.added_commit <= $3\n          union all\n          select x.partition_key, x.object_key, x.added_commit, x.removed_commit from commit_files x\n           where x.generation_id = $1 and x.removed_commit > $2 and x.removed_commit <= $3 and x.added_commit <= $2) m\n   where $4::text[] is null or m.partition_key = any ($4)\n   group by m.object_key\n  having bool_or(m.added_commit <= $2 and (m.removed_commit is null or m.removed_commit > $2))\n      <> bool_or(m.added_commit <= $3 and (m.removed_commit is null or m.removed_commit > $3))) as same",
};

export interface AddDatasetAuditParams {
  readonly org_id: number;
  readonly actor: string;
  readonly action: string;
  readonly detail: string;
}
export type AddDatasetAuditRow = Readonly<Record<never, never>>;
export const addDatasetAudit: Statement<AddDatasetAuditParams, AddDatasetAuditRow> = {
  name: "addDatasetAudit",
  params: ["org_id", "actor", "action", "detail"],
  text: "insert into audit_log (org_id, actor, action, task_ids, detail) values ($1, $2, $3, '{}', $4::json)",
};

export interface AddDatasetEventsParams {
  readonly org_id: number;
  readonly dataset: string;
  readonly generation: number;
  readonly commit_no: number;
}
export type AddDatasetEventsRow = Readonly<Record<never, never>>;
export const addDatasetEvents: Statement<AddDatasetEventsParams, AddDatasetEventsRow> = {
  name: "addDatasetEvents",
  params: ["org_id", "dataset", "generation", "commit_no"],
  text: "insert into outbox (lane, due_at, events)\nselect 'events', clock_timestamp(), json_build_array(json_build_object('type', 'dataset.reverted', 'time', clock_timestamp(),\n         'detail', json_build_object('org', o.name, 'dataset', $2::text, 'generation', $3::int, 'commit', $4::bigint)))\n  from orgs o where o.org_id = $1",
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
  readonly in_partitions: boolean;
}
export const findJobs: Statement<FindJobsParams, FindJobsRow> = {
  name: "findJobs",
  params: ["org_id", "dags", "jobs"],
  text: "select d.name as dag, j.name as job, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.tracked,\n       jv.max_concurrency is not null as limited, jv.partition_keys is not null or jv.per_partition as in_partitions\n  from (select distinct * from unnest($2::text[], $3::text[]) as w (dag, job)) w\n  join dags d on d.org_id = $1 and d.name = w.dag\n  join jobs j on j.dag_id = d.dag_id and j.name = w.job\n  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id",
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

export interface LiveTasksOfParams {
  readonly job_ids: readonly number[];
  readonly output_partitions: readonly string[];
}
export interface LiveTasksOfRow {
  readonly job_id: number;
  readonly output_partition: string;
  readonly public_id: string;
}
export const liveTasksOf: Statement<LiveTasksOfParams, LiveTasksOfRow> = {
  name: "liveTasksOf",
  params: ["job_ids", "output_partitions"],
  text: "select lo.job_id, lo.output_partition, t.public_id\n  from (select distinct w.job_id, w.output_partition from unnest($1::bigint[], $2::text[]) as w (job_id, output_partition)) w\n cross join lateral (select x.job_id, x.output_partition, x.task_id from live_outputs x where x.job_id = w.job_id and x.output_partition = w.output_partition offset 0) lo\n cross join lateral (select x.public_id from tasks x where x.task_id = lo.task_id offset 0) t",
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
  text: "with created as (\n  insert into tasks (public_id, org_id, run_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload, limited)\n  select n.public_id, n.org_id, n.run_id, n.job_id, n.dag_version_id, n.queue_id, n.priority, n.failures_max, n.lease_losses_max, n.timeout_ms,\n         coalesce(n.run_at, now()), n.output_partition, n.payload, n.limited\n    from json_to_recordset($1::json) as n (public_id uuid, org_id bigint, run_id bigint, job_id bigint, dag_version_id bigint, queue_id int,\n         priority smallint, failures_max int, lease_losses_max int, timeout_ms bigint, run_at timestamptz, output_partition text, payload json, limited boolean)\n  returning task_id, public_id, run_id, job_id, queue_id, priority, run_at, output_partition, limited\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created where not limited\n), parked as (\n  insert into waiting (task_id, job_id, priority, run_at) select task_id, job_id, priority, run_at from created where limited\n), live as (\n  insert into live_outputs (job_id, output_partition, task_id, run_id)\n  select job_id, output_partition, task_id, run_id from created where output_partition is not null\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', case when run_at <= now() then now() + interval '500 ms' else run_at end, queue_id, array_agg(public_id)\n    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created where not limited) c\n   group by run_at, queue_id, part\n  returning outbox_id, due_at, queue_id, task_ids\n)\nselect coalesce((select json_agg(json_build_object('outbox_id', outbox_id, 'queue_id', queue_id, 'task_ids', task_ids))\n                   from woken where due_at = now() + interval '500 ms'), '[]'::json) as wakeups",
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
  text: "select distinct j.name\n  from (select i.job_id from invalidations i where i.run_id = $1 union select s.job_id from invalidation_sweeps s where s.run_id = $1) w\n  join jobs j on j.job_id = w.job_id order by j.name",
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
  readonly partition: string | null;
  readonly job_id: number;
}
export const tasksOfRun: Statement<TasksOfRunParams, TasksOfRunRow> = {
  name: "tasksOfRun",
  params: ["run_id"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition, job_id\n  from task_details where run_id = $1 order by task_id",
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
  readonly partition: string | null;
}
export const tasksByIds: Statement<TasksByIdsParams, TasksByIdsRow> = {
  name: "tasksByIds",
  params: ["task_ids"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition\n  from task_details where task_id = any ($1::bigint[]) order by task_id desc",
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
  readonly partition: string | null;
}
export const findTask: Statement<FindTaskParams, FindTaskRow> = {
  name: "findTask",
  params: ["org_id", "public_id"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, waiting_for, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, partition\n  from task_details where org_id = $1 and public_id = $2",
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

export interface LockTriggeredJobsParams {
  readonly job_ids: readonly number[];
  readonly generation_ids: readonly number[];
}
export interface LockTriggeredJobsRow {
  readonly job_id: number;
}
export const lockTriggeredJobs: Statement<LockTriggeredJobsParams, LockTriggeredJobsRow> = {
  name: "lockTriggeredJobs",
  params: ["job_ids", "generation_ids"],
  text: "with concerned as materialized (\n  select o.job_id from unnest($1::bigint[]) o (job_id)\n  union\n  select jv.job_id\n    from (select distinct x.dag_id from jobs x where x.job_id = any ($1::bigint[])) o\n    join dags d on d.dag_id = o.dag_id\n    join job_versions jv on jv.dag_version_id = d.current_version_id\n   where jv.ancestors && $1::bigint[]\n  union\n  select ji.job_id\n    from (select g.dataset_id from generations g where g.generation_id = any ($2::bigint[])\n          union\n          select s.dataset_id\n            from generation_switches mine join generation_switches s on s.dag_id = mine.dag_id\n           where mine.generation_id = any ($2::bigint[])) w\n    join job_inputs ji on ji.dataset_id = w.dataset_id\n    join dags d on d.current_version_id = ji.dag_version_id\n)\nselect job_id from jobs where job_id = any (array(select c.job_id from concerned c)) order by job_id for no key update",
};

export interface AddInvalidationsParams {
  readonly commits: string;
  readonly job_ids: readonly number[];
  readonly run_id: number | null;
}
export type AddInvalidationsRow = Readonly<Record<never, never>>;
export const addInvalidations: Statement<AddInvalidationsParams, AddInvalidationsRow> = {
  name: "addInvalidations",
  params: ["commits", "job_ids", "run_id"],
  text: "with done as materialized (\n  select c.generation_id, c.commit_no, c.partitions, c.elsewhere, g.dataset_id, ds.current_generation_id\n    from json_to_recordset($1::json) as c (generation_id bigint, commit_no bigint, partitions json, elsewhere boolean)\n    join generations g on g.generation_id = c.generation_id\n    join datasets ds on ds.dataset_id = g.dataset_id\n), reader as materialized (\n  select ji.job_id, c.generation_id, c.commit_no, c.partitions, jv.per_partition,\n         jv.partition_keys is not null\n           or (jv.per_partition and (c.partitions is null or exists (select 1 from json_array_elements_text(c.partitions) k (partition_key) where k.partition_key = ''))) as every\n    from done c\n    join job_inputs ji on ji.dataset_id = c.dataset_id\n    join dags d on d.current_version_id = ji.dag_version_id\n    join job_versions jv on jv.dag_version_id = ji.dag_version_id and jv.job_id = ji.job_id\n   where ji.job_id = any ($2::bigint[])\n     and coalesce(ji.generation_id, c.current_generation_id) = c.generation_id and (ji.generation_id is null or not c.elsewhere)\n), swept as (\n  insert into invalidation_sweeps (job_id, generation_id, commit_no, run_id)\n  select job_id, generation_id, commit_no, $3 from reader where every order by job_id, generation_id\n  on conflict (job_id, generation_id) do update\n     set commit_no = greatest(invalidation_sweeps.commit_no, excluded.commit_no), run_id = excluded.run_id\n)\ninsert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)\nselect r.job_id, k.partition_key, r.generation_id, r.commit_no, $3\n  from reader r\n cross join lateral (select distinct x.partition_key from json_array_elements_text(case when r.per_partition then r.partitions else '[\"\"]'::json end) x (partition_key)) k\n where not r.every\n order by r.job_id, k.partition_key, r.generation_id\non conflict (job_id, output_partition, generation_id) do update\n   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id",
};

export interface WakeInvalidationsParams {
  readonly job_ids: readonly number[];
  readonly ended: string;
}
export interface WakeInvalidationsRow {
  readonly news: boolean;
}
export const wakeInvalidations: Statement<WakeInvalidationsParams, WakeInvalidationsRow> = {
  name: "wakeInvalidations",
  params: ["job_ids", "ended"],
  text: "with ended as materialized (\n  select e.job_id, e.output_partition, e.lease_no, e.dag_version_id\n    from json_to_recordset($2::json) as e (job_id bigint, output_partition text, lease_no bigint, dag_version_id bigint)\n), covered as materialized (\n  select i.place\n    from ended e\n   cross join lateral (\n     select x.ctid as place, x.generation_id, x.commit_no from invalidations x\n      where x.job_id = e.job_id and x.output_partition = e.output_partition offset 0) i\n   cross join lateral (\n     select x.commit_no from attempt_inputs x where x.lease_no = e.lease_no and x.generation_id = i.generation_id offset 0) ai\n   where i.commit_no <= ai.commit_no\n     and not exists (\n       select 1\n         from jobs j\n         join dags d on d.dag_id = j.dag_id\n         join job_outputs now on now.dag_version_id = d.current_version_id and now.job_id = j.job_id\n        where j.job_id = e.job_id and d.current_version_id <> e.dag_version_id\n          and not exists (select 1 from job_outputs mine\n                           where mine.dag_version_id = e.dag_version_id and mine.job_id = e.job_id and mine.dataset_id = now.dataset_id\n                             and mine.generation_id is not distinct from now.generation_id))\n), woken as materialized (\n  select i.place\n    from unnest($1::bigint[]) j (job_id)\n   cross join (select distinct output_partition from ended) e\n   cross join lateral (\n     select x.ctid as place from invalidations x where x.job_id = j.job_id and x.output_partition = e.output_partition and x.parked offset 0) i\n), dropped as (\n  delete from invalidations where ctid = any (array(select place from covered))\n), looked as (\n  update invalidations set parked = false where ctid = any (array(select place from woken except select place from covered))\n)\nselect exists (select 1 from unnest($1::bigint[]) j (job_id) cross join lateral (select 1 from invalidations x where x.job_id = j.job_id limit 1) i)\n       or exists (select 1 from unnest($1::bigint[]) j (job_id) cross join lateral (select 1 from invalidation_sweeps x where x.job_id = j.job_id limit 1) s) as news",
};

export interface FitInvalidationsParams {
  readonly dag_id: number;
}
export type FitInvalidationsRow = Readonly<Record<never, never>>;
export const fitInvalidations: Statement<FitInvalidationsParams, FitInvalidationsRow> = {
  name: "fitInvalidations",
  params: ["dag_id"],
  text: "with job as materialized (\n  select jv.job_id, jv.per_partition, jv.partition_keys, jv.per_partition or jv.partition_keys is not null as in_partitions\n    from dags d join job_versions jv on jv.dag_version_id = d.current_version_id\n   where d.dag_id = $1\n), unfit as materialized (\n  select i.place, j.job_id, j.in_partitions, i.generation_id, i.commit_no, i.run_id, i.output_partition\n    from job j\n   cross join lateral (\n     select x.ctid as place, x.generation_id, x.commit_no, x.run_id, x.output_partition from invalidations x where x.job_id = j.job_id offset 0) i\n   where not case when j.partition_keys is not null then i.output_partition = any (j.partition_keys) else j.per_partition = (i.output_partition <> '') end\n), unswept as materialized (\n  select s.place, j.job_id, s.generation_id, s.commit_no, s.run_id\n    from job j\n   cross join lateral (select x.ctid as place, x.generation_id, x.commit_no, x.run_id from invalidation_sweeps x where x.job_id = j.job_id offset 0) s\n   where not j.in_partitions\n), gone as (\n  delete from invalidations where ctid = any (array(select place from unfit))\n), over as (\n  delete from invalidation_sweeps where ctid = any (array(select place from unswept))\n), swept as (\n  insert into invalidation_sweeps (job_id, generation_id, commit_no, run_id)\n  select job_id, generation_id, commit_no, run_id from unfit where in_partitions and output_partition = '' order by job_id, generation_id\n  on conflict (job_id, generation_id) do update set commit_no = greatest(invalidation_sweeps.commit_no, excluded.commit_no), run_id = excluded.run_id\n)\ninsert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)\nselect w.job_id, '', w.generation_id, max(w.commit_no), max(w.run_id)\n  from (select job_id, generation_id, commit_no, run_id from unfit where not in_partitions\n        union all\n        select job_id, generation_id, commit_no, run_id from unswept) w\n group by w.job_id, w.generation_id\n order by w.job_id, w.generation_id\non conflict (job_id, output_partition, generation_id) do update\n   set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id",
};

export interface UnparkInvalidationsParams {
  readonly job_ids: readonly number[];
}
export type UnparkInvalidationsRow = Readonly<Record<never, never>>;
export const unparkInvalidations: Statement<UnparkInvalidationsParams, UnparkInvalidationsRow> = {
  name: "unparkInvalidations",
  params: ["job_ids"],
  text: "update invalidations set parked = false where job_id = any ($1::bigint[]) and parked",
};

export interface StartableTasksParams {
  readonly job_ids: readonly number[];
  readonly keys_max: number;
}
export interface StartableTasksRow {
  readonly jobs: unknown;
  readonly full: boolean;
  readonly sweeping: boolean;
}
export const startableTasks: Statement<StartableTasksParams, StartableTasksRow> = {
  name: "startableTasks",
  params: ["job_ids", "keys_max"],
  text: "with recursive line as (\n  (select j.job_id, f.run\n     from unnest($1::bigint[]) j (job_id)\n    cross join lateral (\n      select coalesce(x.run_id, 0) as run from invalidations x where x.job_id + 0 = j.job_id and not x.parked order by coalesce(x.run_id, 0) limit 1) f)\n  union all\n  select l.job_id, n.run\n    from line l\n   cross join lateral (\n     select coalesce(x.run_id, 0) as run from invalidations x\n      where x.job_id + 0 = l.job_id and not x.parked and coalesce(x.run_id, 0) > l.run order by coalesce(x.run_id, 0) limit 1) n\n), open as materialized (\n  select l.job_id, l.run, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms, jv.max_concurrency is not null as limited,\n         jv.ancestors, jv.key_ancestors\n    from line l\n   cross join lateral (select x.org_id, x.dag_id from jobs x where x.job_id = l.job_id offset 0) j\n   cross join lateral (select x.current_version_id from dags x where x.dag_id = j.dag_id offset 0) d\n   cross join lateral (select * from job_versions x where x.dag_version_id = d.current_version_id and x.job_id = l.job_id offset 0) jv\n   where not exists (select 1 from (select 1 from live_outputs lo\n                                     where lo.run_id = l.run and lo.job_id + 0 = any (array(select a from unnest(jv.ancestors) a where a <> all (jv.key_ancestors))) limit 1) b)\n     and not exists (select 1 from job_inputs ji\n                       join datasets ds on ds.dataset_id = ji.dataset_id\n                       join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n                      where ji.dag_version_id = jv.dag_version_id and ji.job_id = l.job_id and g.head_commit = 0)\n), picked as materialized (\n  select o.job_id, o.run, o.key_ancestors, i.place, i.output_partition, i.run_id, i.created_at\n    from open o\n   cross join lateral (\n     select x.ctid as place, x.output_partition, x.run_id, x.created_at from invalidations x\n      where x.job_id + 0 = o.job_id and coalesce(x.run_id, 0) = o.run and not x.parked limit $2) i\n), judged as materialized (\n  select p.*,\n         exists (select 1 from (select 1 from live_outputs lo where lo.job_id = p.job_id and lo.output_partition = p.output_partition offset 0) b)\n         or (p.run <> 0 and exists (select 1 from unnest(p.key_ancestors) a (job_id)\n                                     cross join lateral (select lo.run_id from live_outputs lo where lo.job_id = a.job_id and lo.output_partition = p.output_partition offset 0) lo\n                                     where lo.run_id = p.run)) as busy\n    from picked p\n), parked as (\n  update invalidations set parked = true where ctid = any (array(select place from judged where busy))\n), startable as (\n  select job_id, output_partition, (array_agg(run_id order by created_at desc))[1] as run_id from judged where not busy group by job_id, output_partition\n)\nselect coalesce((select json_agg(json_build_object(\n                          'job_id', o.job_id, 'org_id', o.org_id, 'dag_version_id', o.dag_version_id, 'queue_id', o.queue_id, 'failures_max', o.failures_max,\n                          'timeout_ms', o.timeout_ms, 'limited', o.limited, 'ancestors', o.ancestors, 'key_ancestors', o.key_ancestors,\n                          'tasks', (select json_agg(json_build_array(s.output_partition, s.run_id) order by s.output_partition) from startable s where s.job_id = o.job_id))\n                          order by o.job_id)\n                   from (select distinct on (x.job_id) x.* from open x where x.job_id in (select s.job_id from startable s) order by x.job_id) o), '[]'::json) as jobs,\n       exists (select 1 from picked group by job_id, run having count(*) >= $2) as full,\n       exists (select 1 from invalidation_sweeps s where s.job_id = any ($1::bigint[])) as sweeping",
};

export interface ExpandSweepsParams {
  readonly job_ids: readonly number[];
  readonly keys_max: number;
}
export interface ExpandSweepsRow {
  readonly keys: number;
}
export const expandSweeps: Statement<ExpandSweepsParams, ExpandSweepsRow> = {
  name: "expandSweeps",
  params: ["job_ids", "keys_max"],
  text: "with sweep as materialized (\n  select s.ctid as place, s.job_id, s.generation_id, s.commit_no, s.run_id, jv.dag_version_id, jv.partition_keys, jv.per_partition,\n         coalesce(s.sweeping_commit_no, s.commit_no) as told_commit_no, case when s.sweeping_commit_no is null then '' else s.after_key end as after_key\n    from invalidation_sweeps s\n   cross join lateral (select x.dag_id from jobs x where x.job_id = s.job_id offset 0) j\n   cross join lateral (select x.current_version_id from dags x where x.dag_id = j.dag_id offset 0) d\n   cross join lateral (select * from job_versions x where x.dag_version_id = d.current_version_id and x.job_id = s.job_id offset 0) jv\n   where s.job_id = any ($1::bigint[])\n     and (s.sweeping_commit_no is not null or not exists (select 1 from (select 1 from invalidations i where i.job_id - 0 = s.job_id and i.generation_id + 0 = s.generation_id limit 1) b))\n     and not exists (select 1 from (select 1 from live_outputs lo where lo.run_id = s.run_id and lo.job_id + 0 = any (jv.ancestors) limit 1) b)\n     and not exists (select 1 from job_inputs ji\n                       join datasets ds on ds.dataset_id = ji.dataset_id\n                       join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n                      where ji.dag_version_id = jv.dag_version_id and ji.job_id = s.job_id and g.head_commit = 0)\n), key as materialized (\n  select s.job_id, s.generation_id, s.told_commit_no, s.run_id, k.partition_key\n    from sweep s\n   cross join lateral (\n     select u.partition_key\n       from (select a.partition_key from unnest(s.partition_keys) a (partition_key) where a.partition_key > s.after_key\n             union\n             select p.partition_key\n               from job_inputs ji\n               join datasets ds on ds.dataset_id = ji.dataset_id\n               join generations g on g.generation_id = coalesce(ji.generation_id, ds.current_generation_id)\n              cross join lateral (\n                select x.partition_key from partitions x\n                 where x.generation_id = g.generation_id and x.partition_key > s.after_key order by x.partition_key limit $2) p\n              where s.per_partition and g.partitioned and ji.dag_version_id = s.dag_version_id and ji.job_id = s.job_id) u\n      order by u.partition_key limit $2) k\n), told as (\n  insert into invalidations (job_id, output_partition, generation_id, commit_no, run_id)\n  select job_id, partition_key, generation_id, told_commit_no, run_id from key order by job_id, partition_key, generation_id\n  on conflict (job_id, output_partition, generation_id) do update\n     set commit_no = greatest(invalidations.commit_no, excluded.commit_no), run_id = excluded.run_id\n), reach as materialized (\n  select s.place, s.commit_no, s.told_commit_no, k.last_key, k.keys = $2 as more\n    from sweep s\n   cross join lateral (select max(x.partition_key) as last_key, count(*) as keys from key x where x.job_id = s.job_id and x.generation_id = s.generation_id) k\n), over as (\n  delete from invalidation_sweeps where ctid = any (array(select place from reach where not more and told_commit_no = commit_no))\n), moved as (\n  update invalidation_sweeps s\n     set (sweeping_commit_no, after_key) = (select case when r.more then r.told_commit_no end, case when r.more then r.last_key else '' end from reach r where r.place = s.ctid)\n   where s.ctid = any (array(select place from reach where more or told_commit_no <> commit_no))\n)\nselect count(*)::int as keys from key",
};

export interface DropInvalidationsParams {
  readonly job_ids: readonly number[];
  readonly output_partitions: readonly string[];
}
export type DropInvalidationsRow = Readonly<Record<never, never>>;
export const dropInvalidations: Statement<DropInvalidationsParams, DropInvalidationsRow> = {
  name: "dropInvalidations",
  params: ["job_ids", "output_partitions"],
  text: "delete from invalidations where ctid = any (array(\n  select i.place\n    from unnest($1::bigint[], $2::text[]) as w (job_id, output_partition)\n   cross join lateral (select x.ctid as place from invalidations x where x.job_id = w.job_id and x.output_partition = w.output_partition offset 0) i))",
};
