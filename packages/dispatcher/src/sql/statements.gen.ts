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

export interface ClaimByIdParams {
  readonly session_public_id: string;
  readonly queue_id: number;
  readonly task_public_ids: readonly string[];
  readonly limit: number;
}
export interface ClaimByIdRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly attempt: number;
}
export const claimById: Statement<ClaimByIdParams, ClaimByIdRow> = {
  name: "claimById",
  params: ["session_public_id", "queue_id", "task_public_ids", "limit"],
  text: "with session as materialized (\n  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for share\n), live as materialized (\n  select session_id from session where expires_at > clock_timestamp()\n), taken as (\n  delete from ready where ctid = any (array(\n    select r.ctid\n      from tasks t join ready r on r.task_id = t.task_id\n     where t.public_id = any ($3::uuid[]) and r.queue_id = $2 and r.run_at <= now() and exists (select 1 from live)\n     order by r.priority, r.run_at, r.task_id\n     limit $4\n       for update of r skip locked))\n  returning task_id, queue_id, priority, attempt, failures, lease_losses\n), numbered as (\n  select taken.*, nextval('lease_numbers') as lease_no from taken\n)\ninsert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, deadline)\nselect int8send(n.lease_no) || uuid_send(gen_random_uuid()), n.lease_no, n.task_id, (select session_id from live), n.queue_id,\n       n.priority, n.attempt + 1, n.failures, n.lease_losses,\n       clock_timestamp() + (select t.timeout_ms + 10000 from tasks t where t.task_id = n.task_id) * interval '1 ms'\n  from numbered n\nreturning token, lease_no, task_id, attempt",
};

export interface ClaimNextParams {
  readonly session_public_id: string;
  readonly queue_id: number;
  readonly limit: number;
}
export interface ClaimNextRow {
  readonly token: Buffer;
  readonly lease_no: number;
  readonly task_id: number;
  readonly attempt: number;
}
export const claimNext: Statement<ClaimNextParams, ClaimNextRow> = {
  name: "claimNext",
  params: ["session_public_id", "queue_id", "limit"],
  text: "with session as materialized (\n  select session_id, expires_at from sessions where public_id = $1 and closed_at is null for share\n), live as materialized (\n  select session_id from session where expires_at > clock_timestamp()\n), taken as (\n  delete from ready where ctid = any (array(\n    select r.ctid\n      from ready r\n     where r.queue_id = $2 and r.run_at <= now() and exists (select 1 from live)\n     order by r.priority, r.run_at, r.task_id\n     limit $3\n       for update skip locked))\n  returning task_id, queue_id, priority, attempt, failures, lease_losses\n), numbered as (\n  select taken.*, nextval('lease_numbers') as lease_no from taken\n)\ninsert into leases (token, lease_no, task_id, session_id, queue_id, priority, attempt, failures, lease_losses, deadline)\nselect int8send(n.lease_no) || uuid_send(gen_random_uuid()), n.lease_no, n.task_id, (select session_id from live), n.queue_id,\n       n.priority, n.attempt + 1, n.failures, n.lease_losses,\n       clock_timestamp() + (select t.timeout_ms + 10000 from tasks t where t.task_id = n.task_id) * interval '1 ms'\n  from numbered n\nreturning token, lease_no, task_id, attempt",
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

export interface ReadyRemainsParams {
  readonly queue_id: number;
}
export interface ReadyRemainsRow {
  readonly remains: boolean;
}
export const readyRemains: Statement<ReadyRemainsParams, ReadyRemainsRow> = {
  name: "readyRemains",
  params: ["queue_id"],
  text: "select exists (select 1 from ready where queue_id = $1 and run_at <= now()) as remains",
};

export interface PinInputsParams {
  readonly lease_nos: readonly number[];
  readonly task_ids: readonly number[];
}
export type PinInputsRow = Readonly<Record<never, never>>;
export const pinInputs: Statement<PinInputsParams, PinInputsRow> = {
  name: "pinInputs",
  params: ["lease_nos", "task_ids"],
  text: "insert into attempt_inputs (lease_no, generation_id, commit_no)\nselect c.lease_no, g.generation_id, g.head_commit\n  from unnest($1::bigint[], $2::bigint[]) as c (lease_no, task_id)\n  join tasks t on t.task_id = c.task_id\n  join job_inputs ji on ji.dag_version_id = t.dag_version_id and ji.job_id = t.job_id\n  join datasets d on d.dataset_id = ji.dataset_id\n  join generations g on g.generation_id = d.current_generation_id\non conflict do nothing",
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
  text: "select l.token, l.lease_no, l.task_id, l.session_id, l.attempt, l.claimed_at, t.public_id, t.org_id, t.job_id, t.dag_version_id, t.payload,\n       t.timeout_ms, r.public_id as run_public_id, d.name as dag, jv.definition,\n       (l.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', ai.commit_no, 'generation_id', g.generation_id) order by ds.name)\n                   from attempt_inputs ai\n                   join generations g on g.generation_id = ai.generation_id\n                   join datasets ds on ds.dataset_id = g.dataset_id\n                  where ai.lease_no = l.lease_no), '[]'::json) as inputs,\n       coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation_id', g.generation_id, 'storage_id', g.storage_id) order by ds.name)\n                   from job_outputs jo\n                   join datasets ds on ds.dataset_id = jo.dataset_id\n                   join generations g on g.generation_id = ds.current_generation_id\n                  where jo.dag_version_id = t.dag_version_id and jo.job_id = t.job_id), '[]'::json) as outputs\n  from leases l\n  join sessions s on s.session_id = l.session_id\n  join tasks t on t.task_id = l.task_id\n  join dag_versions v on v.dag_version_id = t.dag_version_id\n  join dags d on d.dag_id = v.dag_id\n  join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id\n  left join runs r on r.run_id = t.run_id\n where l.token = any ($1::bytea[])\n order by l.lease_no",
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
  text: "insert into job_versions (dag_version_id, job_id, org_id, queue_id, definition, failures_max, timeout_ms, ancestors)\nselect $1, j.job_id, $2, j.queue_id, j.definition, j.failures_max, j.timeout_ms, array(select json_array_elements_text(j.ancestors)::bigint)\n  from json_to_recordset($3::json) as j (job_id bigint, queue_id int, definition json, failures_max int, timeout_ms bigint, ancestors json)",
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
  text: "select c.commit_no, g.number, c.kind, c.committed_at, c.row_count, c.byte_count, c.file_count, t.public_id as task_public_id, c.lease_no, v.content_sha256,\n       coalesce((select json_agg(json_build_object('dataset', d.name, 'generation', ig.number, 'commit', ai.commit_no) order by d.name)\n                   from attempt_inputs ai join generations ig on ig.generation_id = ai.generation_id join datasets d on d.dataset_id = ig.dataset_id\n                  where ai.lease_no = c.lease_no), '[]'::json) as inputs\n  from commits c\n  join generations g on g.generation_id = c.generation_id\n  join tasks t on t.task_id = c.task_id\n  join dag_versions v on v.dag_version_id = c.dag_version_id\n where c.generation_id = $1\n order by c.commit_no desc\n limit $2",
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
  readonly live: boolean;
}
export const lockLeases: Statement<LockLeasesParams, LockLeasesRow> = {
  name: "lockLeases",
  params: ["tokens"],
  text: "with held as materialized (\n  select * from leases where token = any ($1::bytea[]) order by lease_no for update\n), session as materialized (\n  select session_id, worker, expires_at, closed_at from sessions\n   where session_id in (select session_id from held) order by session_id for share\n)\nselect h.token, h.lease_no, h.task_id, h.attempt, h.failures, h.lease_losses, h.queue_id, h.priority, h.claimed_at,\n       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition,\n       (h.deadline > clock_timestamp() and s.closed_at is null and s.expires_at > clock_timestamp()) as live\n  from held h\n  join session s on s.session_id = h.session_id\n  join tasks t on t.task_id = h.task_id\n order by h.lease_no",
};

export interface LockExpiredLeasesParams {
  readonly limit: number;
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
  readonly past_deadline: boolean;
}
export const lockExpiredLeases: Statement<LockExpiredLeasesParams, LockExpiredLeasesRow> = {
  name: "lockExpiredLeases",
  params: ["limit"],
  text: "select l.token, l.lease_no, l.task_id, l.attempt, l.failures, l.lease_losses, l.queue_id, l.priority, l.claimed_at,\n       s.worker, t.public_id, t.org_id, t.run_id, t.job_id, t.dag_version_id, t.failures_max, t.lease_losses_max, t.output_partition,\n       (l.deadline <= now() and s.closed_at is null) as past_deadline\n  from leases l\n  join sessions s on s.session_id = l.session_id\n  join tasks t on t.task_id = l.task_id\n where l.token = any (array(\n         (select o.token from leases o where o.deadline <= now() order by o.deadline limit $1)\n         union all\n         (select o.token from sessions c cross join lateral (select x.token from leases x where x.session_id = c.session_id limit $1) o\n           where c.closed_at is not null limit $1)))\n   and (l.deadline <= now() or s.closed_at is not null)\n order by l.lease_no\n limit $1\n   for update of l skip locked",
};

export interface EndAttemptsParams {
  readonly tokens: readonly Buffer[];
  readonly history: string;
  readonly outcomes: string;
  readonly again: string;
  readonly freed_task_ids: readonly number[];
  readonly wakeups: string;
}
export interface EndAttemptsRow {
  readonly ended: number;
}
export const endAttempts: Statement<EndAttemptsParams, EndAttemptsRow> = {
  name: "endAttempts",
  params: ["tokens", "history", "outcomes", "again", "freed_task_ids", "wakeups"],
  text: "with ended as (\n  delete from leases where token = any ($1::bytea[]) returning lease_no\n), history as (\n  insert into attempts (lease_no, task_id, attempt, state, worker, token_sha256, call_sha256, answer, error, started_at)\n  select h.lease_no, h.task_id, h.attempt, h.state, h.worker, decode(h.token_sha256, 'hex'), decode(h.call_sha256, 'hex'), h.answer, h.error, h.started_at\n    from json_to_recordset($2::json) as h (lease_no bigint, task_id bigint, attempt int, state text, worker text, token_sha256 text,\n         call_sha256 text, answer json, error json, started_at timestamptz)\n), outcome as (\n  insert into outcomes (task_id, state, attempt, failures, lease_losses, error)\n  select o.task_id, o.state, o.attempt, o.failures, o.lease_losses, o.error\n    from json_to_recordset($3::json) as o (task_id bigint, state text, attempt int, failures int, lease_losses int, error json)\n), again as (\n  insert into ready (task_id, queue_id, priority, run_at, attempt, failures, lease_losses)\n  select a.task_id, a.queue_id, a.priority, clock_timestamp() + a.delay_ms * interval '1 ms', a.attempt, a.failures, a.lease_losses\n    from json_to_recordset($4::json) as a (task_id bigint, queue_id int, priority smallint, delay_ms bigint, attempt int, failures int, lease_losses int)\n), freed as (\n  delete from live_outputs where task_id = any ($5::bigint[])\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', clock_timestamp() + w.delay_ms * interval '1 ms', w.queue_id, array(select json_array_elements_text(w.task_ids)::uuid)\n    from json_to_recordset($6::json) as w (queue_id int, delay_ms bigint, task_ids json)\n)\nselect count(*)::int as ended from ended",
};

export interface FindAttemptsParams {
  readonly lease_nos: readonly number[];
}
export interface FindAttemptsRow {
  readonly lease_no: number;
  readonly state: string;
  readonly token_sha256: Buffer;
  readonly call_sha256: Buffer | null;
  readonly answer: unknown;
}
export const findAttempts: Statement<FindAttemptsParams, FindAttemptsRow> = {
  name: "findAttempts",
  params: ["lease_nos"],
  text: "select a.lease_no, a.state, a.token_sha256, a.call_sha256, a.answer from attempts a where a.lease_no = any ($1::bigint[])",
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

export interface ReadOutboxParams {
  readonly lane: string;
  readonly limit: number;
}
export interface ReadOutboxRow {
  readonly outbox_id: number;
  readonly queue_id: number;
  readonly task_ids: readonly string[];
  readonly tries: number;
}
export const readOutbox: Statement<ReadOutboxParams, ReadOutboxRow> = {
  name: "readOutbox",
  params: ["lane", "limit"],
  text: "select o.outbox_id, o.queue_id, o.task_ids, coalesce(t.tries, 0) as tries\n  from outbox o left join outbox_tries t on t.outbox_id = o.outbox_id\n where o.lane = $1 and o.due_at <= now()\n order by o.due_at, o.outbox_id\n limit $2",
};

export interface DeleteOutboxParams {
  readonly outbox_ids: readonly number[];
}
export type DeleteOutboxRow = Readonly<Record<never, never>>;
export const deleteOutbox: Statement<DeleteOutboxParams, DeleteOutboxRow> = {
  name: "deleteOutbox",
  params: ["outbox_ids"],
  text: "with sent as (\n  delete from outbox where outbox_id = any ($1::bigint[])\n)\ndelete from outbox_tries where outbox_id = any ($1::bigint[]) and not failed",
};

export interface BlameOutboxParams {
  readonly outbox_id: number;
  readonly error: string;
  readonly tries_max: number;
}
export interface BlameOutboxRow {
  readonly tries: number;
  readonly failed: boolean;
}
export const blameOutbox: Statement<BlameOutboxParams, BlameOutboxRow> = {
  name: "blameOutbox",
  params: ["outbox_id", "error", "tries_max"],
  text: "with tried as (\n  insert into outbox_tries (outbox_id, lane, queue_id, task_ids, tries, last_error)\n  select outbox_id, lane, queue_id, task_ids, 1, $2 from outbox where outbox_id = $1\n  on conflict (outbox_id) do update set tries = outbox_tries.tries + 1, last_error = excluded.last_error,\n     last_tried_at = clock_timestamp(), failed = outbox_tries.tries + 1 >= $3\n  returning outbox_id, tries, failed\n), gone as (\n  delete from outbox o using tried where o.outbox_id = tried.outbox_id and tried.failed\n)\nselect tries, failed from tried",
};

export interface AddWakeupParams {
  readonly queue_id: number;
  readonly task_ids: readonly string[];
}
export type AddWakeupRow = Readonly<Record<never, never>>;
export const addWakeup: Statement<AddWakeupParams, AddWakeupRow> = {
  name: "addWakeup",
  params: ["queue_id", "task_ids"],
  text: "insert into outbox (lane, due_at, queue_id, task_ids) values ('sqs', clock_timestamp(), $1, $2::uuid[])",
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
  text: "select count(*)::int as pending,\n       (extract(epoch from clock_timestamp() - min(due_at)) * 1000)::float8 as oldest_ms,\n       (select count(*)::int from outbox_tries where failed) as failed\n  from outbox where due_at <= clock_timestamp()",
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
  text: "select q.queue_id, q.name,\n       (select count(*)::int from ready r where r.queue_id = q.queue_id) as ready,\n       (select count(*)::int from leases l where l.queue_id = q.queue_id) as leased,\n       (select (extract(epoch from clock_timestamp() - min(greatest(r.run_at, r.ready_at))) * 1000)::float8\n          from ready r where r.queue_id = q.queue_id and r.run_at <= now()) as oldest_ready_ms\n  from queues q where q.org_id = $1 order by q.name",
};

export interface OldestReadyParams {
  readonly queue_id: number;
  readonly older_than_ms: number;
  readonly limit: number;
}
export interface OldestReadyRow {
  readonly public_id: string;
}
export const oldestReady: Statement<OldestReadyParams, OldestReadyRow> = {
  name: "oldestReady",
  params: ["queue_id", "older_than_ms", "limit"],
  text: "select t.public_id\n  from ready r join tasks t on t.task_id = r.task_id\n where r.queue_id = $1 and r.run_at <= now() - $2::bigint * interval '1 ms' and r.ready_at <= now() - $2::bigint * interval '1 ms'\n   and exists (select 1 from sessions s where s.closed_at is null and s.expires_at > now())\n   and not exists (select 1 from outbox o where o.lane = 'sqs' and o.queue_id = $1 and o.due_at <= now())\n order by r.priority, r.run_at, r.task_id\n limit $3",
};

export interface OpenSessionParams {
  readonly public_id: string;
  readonly worker: string;
  readonly host: string;
  readonly pid: number;
  readonly ttl_ms: number;
}
export interface OpenSessionRow {
  readonly session_id: number;
}
export const openSession: Statement<OpenSessionParams, OpenSessionRow> = {
  name: "openSession",
  params: ["public_id", "worker", "host", "pid", "ttl_ms"],
  text: "insert into sessions (public_id, worker, host, pid, expires_at)\nvalues ($1, $2, $3, $4, clock_timestamp() + $5::bigint * interval '1 ms')\nreturning session_id",
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

export interface LeasesOfSessionParams {
  readonly session_id: number;
}
export interface LeasesOfSessionRow {
  readonly lease_no: number;
}
export const leasesOfSession: Statement<LeasesOfSessionParams, LeasesOfSessionRow> = {
  name: "leasesOfSession",
  params: ["session_id"],
  text: "select lease_no from leases where session_id = $1 and deadline > clock_timestamp()",
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
  text: "update leases l set progress = p.progress\n  from json_to_recordset($2::json) as p (lease_no bigint, progress json)\n where l.session_id = $1 and l.lease_no = p.lease_no\nreturning l.lease_no",
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
  text: "update sessions set closed_at = clock_timestamp() where public_id = $1 and closed_at is null\nreturning session_id",
};

export type ExpireSessionsParams = Readonly<Record<never, never>>;
export interface ExpireSessionsRow {
  readonly session_id: number;
  readonly worker: string;
}
export const expireSessions: Statement<ExpireSessionsParams, ExpireSessionsRow> = {
  name: "expireSessions",
  params: [],
  text: "update sessions set closed_at = clock_timestamp() where closed_at is null and expires_at <= clock_timestamp()\nreturning session_id, worker",
};

export interface ForgetSessionsParams {
  readonly older_than_ms: number;
}
export type ForgetSessionsRow = Readonly<Record<never, never>>;
export const forgetSessions: Statement<ForgetSessionsParams, ForgetSessionsRow> = {
  name: "forgetSessions",
  params: ["older_than_ms"],
  text: "delete from sessions s\n where s.closed_at < clock_timestamp() - $1::bigint * interval '1 ms'\n   and not exists (select 1 from leases l where l.session_id = s.session_id)",
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
  text: "select s.worker, s.host, s.started_at, (select count(*) from leases l where l.session_id = s.session_id)::int as leases\n  from sessions s\n where s.closed_at is null and s.expires_at > clock_timestamp() and $1::bigint is not null\n order by s.started_at",
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
}
export const findJobs: Statement<FindJobsParams, FindJobsRow> = {
  name: "findJobs",
  params: ["org_id", "dags", "jobs"],
  text: "select d.name as dag, j.name as job, j.job_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms,\n       exists (select 1 from job_outputs jo where jo.dag_version_id = jv.dag_version_id and jo.job_id = jv.job_id)\n         or exists (select 1 from job_inputs ji where ji.dag_version_id = jv.dag_version_id and ji.job_id = jv.job_id) as tracked\n  from (select distinct * from unnest($2::text[], $3::text[]) as w (dag, job)) w\n  join dags d on d.org_id = $1 and d.name = w.dag\n  join jobs j on j.dag_id = d.dag_id and j.name = w.job\n  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = j.job_id",
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
  text: "select lo.job_id, t.public_id from live_outputs lo join tasks t on t.task_id = lo.task_id where lo.job_id = any ($1::bigint[])",
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

export interface CreateTasksParams {
  readonly tasks: string;
}
export interface CreateTasksRow {
  readonly task_id: number;
  readonly public_id: string;
}
export const createTasks: Statement<CreateTasksParams, CreateTasksRow> = {
  name: "createTasks",
  params: ["tasks"],
  text: "with created as (\n  insert into tasks (public_id, org_id, run_id, job_id, dag_version_id, queue_id, priority, failures_max, lease_losses_max, timeout_ms, run_at, output_partition, payload)\n  select n.public_id, n.org_id, n.run_id, n.job_id, n.dag_version_id, n.queue_id, n.priority, n.failures_max, n.lease_losses_max, n.timeout_ms,\n         coalesce(n.run_at, now()), n.output_partition, n.payload\n    from json_to_recordset($1::json) as n (public_id uuid, org_id bigint, run_id bigint, job_id bigint, dag_version_id bigint, queue_id int,\n         priority smallint, failures_max int, lease_losses_max int, timeout_ms bigint, run_at timestamptz, output_partition text, payload json)\n  returning task_id, public_id, job_id, queue_id, priority, run_at, output_partition\n), queued as (\n  insert into ready (task_id, queue_id, priority, run_at) select task_id, queue_id, priority, run_at from created\n), live as (\n  insert into live_outputs (job_id, output_partition, task_id)\n  select job_id, output_partition, task_id from created where output_partition is not null\n), woken as (\n  insert into outbox (lane, due_at, queue_id, task_ids)\n  select 'sqs', run_at, queue_id, array_agg(public_id)\n    from (select run_at, queue_id, public_id, (row_number() over (partition by queue_id, run_at) - 1) / 1000 as part from created) c\n   group by run_at, queue_id, part\n)\nselect task_id, public_id from created",
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
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits, job_id\n  from task_details where run_id = $1 order by task_id",
};

export interface ListTasksParams {
  readonly org_id: number;
  readonly state: string | null;
  readonly dag: string | null;
  readonly job: string | null;
  readonly before_task_id: number | null;
  readonly limit: number;
}
export interface ListTasksRow {
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
  readonly created_at: Date;
  readonly claimed_at: Date | null;
  readonly last_started_at: Date | null;
  readonly ended_at: Date | null;
  readonly worker: string | null;
  readonly progress: unknown;
  readonly error: unknown;
  readonly commits: unknown;
}
export const listTasks: Statement<ListTasksParams, ListTasksRow> = {
  name: "listTasks",
  params: ["org_id", "state", "dag", "job", "before_task_id", "limit"],
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits\n  from task_details\n where org_id = $1\n   and ($2::text is null or state = $2)\n   and ($3::text is null or dag = $3)\n   and ($4::text is null or job = $4)\n   and ($5::bigint is null or task_id < $5)\n order by task_id desc\n limit $6",
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
  text: "select task_id, public_id, dag, job, operator, queue, state, attempt, failures, failures_max, lease_losses, priority,\n       run_at, created_at, claimed_at, last_started_at, ended_at, worker, progress, error, commits\n  from task_details where org_id = $1 and public_id = $2",
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
  text: "select lease_no, attempt, state, worker, error, started_at, ended_at from attempts where task_id = $1\nunion all\nselect l.lease_no, l.attempt, 'running', s.worker, null, l.claimed_at, null\n  from leases l join sessions s on s.session_id = l.session_id where l.task_id = $1\n order by 1",
};

export interface ForgetTaskKeysParams {
  readonly older_than_ms: number;
  readonly limit: number;
}
export type ForgetTaskKeysRow = Readonly<Record<never, never>>;
export const forgetTaskKeys: Statement<ForgetTaskKeysParams, ForgetTaskKeysRow> = {
  name: "forgetTaskKeys",
  params: ["older_than_ms", "limit"],
  text: "delete from task_keys where ctid = any (array(\n  select k.ctid\n    from task_keys k\n    join tasks t on t.public_id = k.task_public_id\n    join outcomes o on o.task_id = t.task_id\n   where k.created_at < clock_timestamp() - $1::bigint * interval '1 ms'\n     and o.ended_at < clock_timestamp() - $1::bigint * interval '1 ms'\n   limit $2))",
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
}
export const startableJobs: Statement<StartableJobsParams, StartableJobsRow> = {
  name: "startableJobs",
  params: ["job_ids"],
  text: "select i.job_id, (array_agg(i.run_id order by i.created_at desc))[1] as run_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms\n  from invalidations i\n  join jobs j on j.job_id = i.job_id\n  join dags d on d.dag_id = j.dag_id\n  join job_versions jv on jv.dag_version_id = d.current_version_id and jv.job_id = i.job_id\n where i.job_id = any ($1::bigint[])\n   and not exists (select 1 from live_outputs lo where lo.job_id = i.job_id)\n   and not exists (select 1 from live_outputs lo join tasks t on t.task_id = lo.task_id\n                    where lo.job_id = any (jv.ancestors) and t.run_id = i.run_id)\n   and not exists (select 1 from job_inputs ji join datasets ds on ds.dataset_id = ji.dataset_id join generations g on g.generation_id = ds.current_generation_id\n                    where ji.dag_version_id = jv.dag_version_id and ji.job_id = i.job_id and g.head_commit = 0)\n group by i.job_id, j.org_id, jv.dag_version_id, jv.queue_id, jv.failures_max, jv.timeout_ms\n order by i.job_id",
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
