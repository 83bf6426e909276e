-- Results. Bytes are written once under an attempt's prefix; a commit only moves rows here, inside the fenced completion.

create table datasets (
  dataset_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null references orgs,
  name text not null check (name ~ '^[a-z][a-z0-9_]{0,127}$'),
  current_generation_id bigint,
  -- The job that writes it; a dataset has one writer.
  producer_job_id bigint references jobs,
  created_at timestamptz not null default clock_timestamp(),
  unique (org_id, name)
);

create table generations (
  generation_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  dataset_id bigint not null references datasets,
  number int not null check (number > 0),
  -- The folder of its objects. Generated, never a name: what a user writes cannot reach an object key.
  storage_id text not null unique check (storage_id ~ '^[a-z0-9]{16,32}$'),
  strategy text not null check (strategy in ('replace')),
  -- The newest commit; 0 before the first. Locking this row is what makes the sequence gapless.
  head_commit bigint not null default 0 check (head_commit >= 0),
  head_committed_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  unique (dataset_id, number)
) with (fillfactor = 70);

alter table datasets add constraint datasets_current_generation_fk foreign key (current_generation_id) references generations;

create table partitions (
  generation_id bigint not null references generations,
  -- '' is the one partition of a dataset that is not partitioned.
  partition_key text not null,
  head_commit bigint not null check (head_commit > 0),
  primary key (generation_id, partition_key)
) with (fillfactor = 70);

create table commits (
  generation_id bigint not null references generations,
  commit_no bigint not null check (commit_no > 0),
  org_id bigint not null references orgs,
  kind text not null check (kind in ('replace')),
  partition_key text not null,
  committed_at timestamptz not null,
  task_id bigint not null references tasks,
  lease_no bigint not null,
  dag_version_id bigint not null references dag_versions,
  schema json not null,
  -- Of this commit's own files.
  row_count bigint not null check (row_count >= 0),
  byte_count bigint not null check (byte_count >= 0),
  file_count int not null check (file_count >= 0),
  primary key (generation_id, commit_no),
  -- One attempt publishes one output at most once, whatever else goes wrong (invariant 3).
  unique (lease_no, generation_id, partition_key)
);

create index commits_by_task on commits (task_id);

-- A file is visible to readers of commits [added_commit, removed_commit).
create table commit_files (
  file_id bigint generated always as identity primary key,
  generation_id bigint not null,
  partition_key text not null,
  added_commit bigint not null,
  removed_commit bigint,
  object_key text not null,
  byte_count bigint not null check (byte_count > 0),
  row_count bigint not null check (row_count >= 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  columns json not null,
  foreign key (generation_id, added_commit) references commits,
  foreign key (generation_id, removed_commit) references commits,
  check (removed_commit > added_commit)
) with (fillfactor = 80);

create index commit_files_live on commit_files (generation_id, partition_key) where removed_commit is null;
create index commit_files_by_commit on commit_files (generation_id, added_commit);

-- The commits an attempt reads, pinned when it is claimed: its lineage.
create table attempt_inputs (
  lease_no bigint not null,
  generation_id bigint not null references generations,
  commit_no bigint not null check (commit_no >= 0),
  primary key (lease_no, generation_id)
);

create table job_inputs (
  dag_version_id bigint not null references dag_versions,
  job_id bigint not null references jobs,
  dataset_id bigint not null references datasets,
  position int not null,
  primary key (dag_version_id, job_id, dataset_id)
);

create index job_inputs_by_dataset on job_inputs (dataset_id);

create table job_outputs (
  dag_version_id bigint not null references dag_versions,
  job_id bigint not null references jobs,
  dataset_id bigint not null references datasets,
  strategy text not null check (strategy in ('replace')),
  primary key (dag_version_id, job_id, dataset_id)
);

-- An input got a commit that the job has not read yet. The row is written with the commit and goes when a task that
-- pinned it, or a newer one, is created or ends; so a trigger is never lost between two tasks.
create table invalidations (
  job_id bigint not null references jobs,
  generation_id bigint not null references generations,
  commit_no bigint not null,
  run_id bigint,
  created_at timestamptz not null default clock_timestamp(),
  primary key (job_id, generation_id)
);
