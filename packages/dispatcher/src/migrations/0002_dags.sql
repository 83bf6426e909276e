-- What people deploy. A DAG has immutable versions named by the hash of their content; jobs keep their identity
-- across versions, because task keys, live outputs and history hang on the job and not on one text of it.

create table dags (
  dag_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,127}$'),
  current_version_id bigint,
  created_at timestamptz not null default clock_timestamp(),
  unique (org_id, name)
);

create table dag_versions (
  dag_version_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  dag_id bigint not null references dags,
  number int not null check (number > 0),
  content_sha256 text not null check (content_sha256 ~ '^[0-9a-f]{64}$'),
  definition json not null,
  file_name text not null,
  source text not null,
  deployed_at timestamptz not null default clock_timestamp(),
  unique (dag_id, number),
  unique (dag_id, content_sha256)
);

alter table dags add constraint dags_current_version_fk foreign key (current_version_id) references dag_versions;

create table queues (
  queue_id int generated always as identity primary key,
  org_id bigint not null references orgs,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,127}$'),
  unique (org_id, name)
);

insert into queues (org_id, name) select org_id, 'default' from orgs where name = 'main';

create table jobs (
  job_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  dag_id bigint not null references dags,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,127}$'),
  unique (dag_id, name)
);

-- A job as one version of its DAG defines it.
create table job_versions (
  dag_version_id bigint not null references dag_versions,
  job_id bigint not null references jobs,
  org_id bigint not null references orgs,
  queue_id int not null references queues,
  definition json not null,
  failures_max int not null check (failures_max > 0),
  timeout_ms bigint not null check (timeout_ms > 0),
  -- Jobs of the same DAG whose outputs reach this one, at any distance.
  ancestors bigint[] not null,
  primary key (dag_version_id, job_id)
);
