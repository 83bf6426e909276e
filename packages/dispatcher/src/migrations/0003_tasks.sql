-- Work. State is where the row is: an immutable task row, and exactly one of a ready row, a lease row or an outcome row.
-- Claim moves ready to lease, completion moves lease to outcome; nothing on the hot path updates an indexed column.

create table runs (
  run_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null references orgs,
  dag_id bigint not null references dags,
  dag_version_id bigint not null references dag_versions,
  created_at timestamptz not null default clock_timestamp()
);

create table tasks (
  task_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null,
  run_id bigint,
  job_id bigint not null references jobs,
  dag_version_id bigint not null,
  queue_id int not null references queues,
  priority smallint not null,
  failures_max int not null check (failures_max > 0),
  lease_losses_max int not null check (lease_losses_max > 0),
  timeout_ms bigint not null check (timeout_ms > 0),
  -- When it was asked to run first; ready.run_at moves with retries, this does not.
  run_at timestamptz not null,
  -- The output partition the task keeps live; null for a task that neither reads nor writes a dataset.
  output_partition text,
  payload json not null,
  created_at timestamptz not null default clock_timestamp(),
  foreign key (dag_version_id, job_id) references job_versions
);

create index tasks_by_run on tasks (run_id) where run_id is not null;
create index tasks_by_job on tasks (job_id, task_id);

-- Kept while the task lives and 30 days more; a table of its own, so that the task row has no unique index on user text.
create table task_keys (
  job_id bigint not null references jobs,
  dedupe_key text not null check (length(dedupe_key) between 1 and 256),
  task_public_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (job_id, dedupe_key)
);

-- One task per (job, output partition) is live: the primary key says so (invariant 4).
create table live_outputs (
  job_id bigint not null references jobs,
  output_partition text not null,
  task_id bigint not null unique,
  primary key (job_id, output_partition)
);

create table ready (
  task_id bigint primary key,
  queue_id int not null,
  priority smallint not null,
  run_at timestamptz not null,
  ready_at timestamptz not null default clock_timestamp(),
  -- Attempts begun, failed, and lost with their lease, so far.
  attempt int not null default 0 check (attempt >= 0),
  failures int not null default 0 check (failures >= 0),
  lease_losses int not null default 0 check (lease_losses >= 0)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index ready_next on ready (queue_id, priority, run_at, task_id);

create table sessions (
  session_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  worker text not null,
  host text not null,
  pid int not null,
  started_at timestamptz not null default clock_timestamp(),
  -- Not indexed: a beat changes it, and there are as many rows as workers, not as tasks.
  expires_at timestamptz not null,
  closed_at timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Lease numbers only grow and are never reused. They are also the fence: see leases.token.
create sequence lease_numbers as bigint;

create table leases (
  -- The lease number (8 bytes, big endian) and a random UUID (122 random bits). Being the primary key, a completion needs no join and no
  -- plan to choose: delete by key, or find nothing.
  token bytea primary key check (length(token) = 24),
  lease_no bigint not null,
  task_id bigint not null unique,
  session_id bigint not null,
  queue_id int not null,
  priority smallint not null,
  attempt int not null check (attempt > 0),
  failures int not null,
  lease_losses int not null,
  claimed_at timestamptz not null default clock_timestamp(),
  -- The hard end of the attempt, whatever its session says.
  deadline timestamptz not null,
  progress json
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index leases_by_session on leases (session_id);
create index leases_by_deadline on leases (deadline);

-- How an attempt ended, and what was answered to the call that ended it, so that the same call again gets the same answer.
create table attempts (
  lease_no bigint primary key,
  task_id bigint not null,
  attempt int not null,
  state text not null check (state in ('succeeded', 'failed', 'expired', 'released', 'snoozed', 'canceled')),
  worker text not null,
  token_sha256 bytea not null check (length(token_sha256) = 32),
  call_sha256 bytea check (length(call_sha256) = 32),
  answer json,
  error json,
  started_at timestamptz not null,
  ended_at timestamptz not null default clock_timestamp()
);

create index attempts_by_task on attempts (task_id, lease_no);

create table outcomes (
  task_id bigint primary key,
  state text not null check (state in ('completed', 'canceled', 'dead')),
  attempt int not null,
  failures int not null,
  lease_losses int not null,
  error json,
  ended_at timestamptz not null default clock_timestamp()
);
