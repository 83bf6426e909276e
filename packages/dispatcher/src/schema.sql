-- The schema of the state database as one document, to read: what a database holds after every migration, by noun.
--
-- Nothing runs this file; migrations/ makes databases. A change goes into a new migration and into this file, and
-- schema.test.ts proves that both come to the same.

-- -------------------- Organisations

-- Who uses Trace, and the proof of it. Every table below carries org_id and every query filters on it.

create table orgs (
  org_id bigint generated always as identity primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9_]{0,127}$'),
  created_at timestamptz not null default clock_timestamp()
);

insert into orgs (name) values ('main');

-- Only the SHA-256 of a token is kept: a token is 256 random bits, so no slow hash is needed.
create table api_tokens (
  api_token_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  name text not null check (length(name) between 1 and 128),
  token_sha256 bytea not null unique check (length(token_sha256) = 32),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz
);

-- Which installation (state folder) this database belongs to.
create table installation (
  singleton boolean primary key default true check (singleton),
  name text not null check (length(name) between 1 and 128),
  named_at timestamptz not null default clock_timestamp()
);

-- -------------------- DAGs

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
  max_concurrency int check (max_concurrency > 0),
  -- The job reads or writes a dataset.
  tracked boolean not null,
  -- Asked for with every attempt; a definition may list 10,000 partitions.
  operator text generated always as (definition ->> 'operator') stored,
  -- The job's own set of partitions, in its order: one task for each. Null: it has none.
  partition_keys text[] check (cardinality(partition_keys) between 1 and 10000),
  -- One task for each partition of the inputs.
  per_partition boolean not null default false,
  -- Those of the ancestors that reach this job by way of single partitions only: of these, a task of a partition waits for the
  -- same partition alone.
  key_ancestors bigint[] not null default '{}',
  primary key (dag_version_id, job_id),
  constraint job_versions_partitions check (partition_keys is null or not per_partition)
);

-- -------------------- Tasks

-- Work. State is where the row is: an immutable task row, and exactly one of a ready row (or a waiting row, while the job has
-- no slot for it), a lease row or an outcome row. Claim moves ready to lease, completion moves lease to outcome; nothing on the
-- hot path updates an indexed column.

create table runs (
  run_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null references orgs,
  dag_id bigint not null references dags,
  dag_version_id bigint not null references dag_versions,
  created_at timestamptz not null default clock_timestamp()
);

-- No foreign keys: the statement that inserts a task reads the ids of its job from job_versions, whose rows never change and
-- never go; checking each again, row by row, doubled what creating a task costs (docs/adr/0005-state-is-where-the-row-is.md).
create table tasks (
  task_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null,
  run_id bigint,
  job_id bigint not null,
  dag_version_id bigint not null,
  queue_id int not null,
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
  -- Its job had a max_concurrency when it was created: it runs under a slot of the job.
  limited boolean not null default false
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
  run_id bigint,
  primary key (job_id, output_partition)
);

-- Which live outputs are of a run is one probe, however many partitions of a job are at work.
create index live_outputs_by_run on live_outputs (run_id, (job_id + 0)) where run_id is not null;

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
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index ready_next on ready (queue_id, priority, run_at, task_id);

-- A task of a limited job without a slot: not in ready, so that claims never look at it.
create table waiting (
  task_id bigint primary key,
  job_id bigint not null,
  priority smallint not null,
  run_at timestamptz not null,
  attempt int not null default 0 check (attempt >= 0),
  failures int not null default 0 check (failures >= 0),
  lease_losses int not null default 0 check (lease_losses >= 0)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index waiting_next on waiting (job_id, priority, run_at, task_id);

-- A slot of a limited job, held by a task from when it becomes ready until it leaves ready and leases. Rows and no counter:
-- what holds a slot can be seen, and a slot cannot leak without its row saying whose it is.
create table job_slots (
  task_id bigint primary key,
  job_id bigint not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

create index job_slots_by_job on job_slots (job_id);

create table sessions (
  session_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  worker text not null,
  host text not null,
  pid int not null,
  started_at timestamptz not null default clock_timestamp(),
  -- Not indexed: a beat changes it, and there are as many rows as workers, not as tasks.
  expires_at timestamptz not null,
  closed_at timestamptz,
  -- Tasks it can run at once.
  slots int not null default 1 check (slots > 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Lease numbers only grow and are never reused. They are also the fence: see leases.token.
create sequence lease_numbers as bigint;

create table leases (
  -- Session, lease number and task (8 bytes each, big endian) and 16 random bytes. Being the primary key, a completion needs no
  -- join and no plan to choose: delete by key, or find nothing; and the leases of a session are a range of it.
  token bytea primary key check (length(token) = 40),
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
  progress json,
  -- Neither reads nor writes a dataset, holds no slot: its success ends it and nothing else has to be looked at.
  plain boolean not null,
  -- The invocation that runs the attempt; null while none has started it.
  nonce uuid
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

-- History in partitions of 4,000,000 numbers each; both numbers grow with time.

-- How an attempt ended, and what was answered to the call that ended it, so that the same call again gets the same answer. One
-- that succeeded and published nothing has no row here: its outcome says it all.
create table attempts (
  lease_no bigint not null,
  task_id bigint not null,
  attempt int not null,
  state text not null check (state in ('succeeded', 'failed', 'expired', 'released', 'snoozed', 'canceled')),
  worker text not null,
  -- Of a lease that is over: it opens nothing, and tells the one who held it from one who guesses.
  token bytea not null check (length(token) = 40),
  -- Null with a success: the call named no output, and the answer follows from the states.
  call_sha256 bytea check (length(call_sha256) = 32),
  answer json,
  error json,
  started_at timestamptz not null,
  ended_at timestamptz not null default clock_timestamp(),
  primary key (lease_no)
) partition by range (lease_no);

create index attempts_by_task on attempts (task_id, lease_no);

create table outcomes (
  task_id bigint not null,
  state text not null check (state in ('completed', 'canceled', 'dead')),
  attempt int not null,
  failures int not null,
  lease_losses int not null,
  -- The attempt that ended the task; null for a task that was canceled while it was queued.
  lease_no bigint,
  error json,
  ended_at timestamptz not null default clock_timestamp(),
  -- Of the attempt that ended the task, as in attempts, if that has no row there: it succeeded and published nothing.
  worker text,
  token bytea,
  started_at timestamptz,
  primary key (task_id),
  check (num_nulls(worker, token, started_at) in (0, 3))
) partition by range (task_id);

-- The dead letters and what people canceled: few, and asked for often.
create index outcomes_unfinished on outcomes (state, task_id) where state <> 'completed';

-- Makes the partitions that the numbers in use need, and `ahead` more of each. Returns how many it made. Takes no lock that
-- readers or writers of the tables wait for: ATTACH PARTITION locks the parent in SHARE UPDATE EXCLUSIVE mode, where CREATE
-- TABLE ... PARTITION OF would lock them all out, and itself behind the longest transaction there is.
create function add_history_partitions(ahead int) returns int language plpgsql as $$
declare
  partition_rows constant bigint := 4000000;
  made int := 0;
  parent text;
  used bigint;
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('trace history partitions'));
  foreach parent in array array['attempts', 'outcomes'] loop
    used := coalesce(pg_sequence_last_value(case parent when 'attempts' then 'lease_numbers'::regclass
                                                        else pg_get_serial_sequence('tasks', 'task_id')::regclass end), 0);
    for n in 0 .. used / partition_rows + ahead loop
      part := format('%s_%s', parent, lpad(n::text, 6, '0'));
      continue when to_regclass(part) is not null;
      execute format('create table %I (like %I including all)', part, parent);
      execute format('alter table %I attach partition %I for values from (%s) to (%s)', parent, part, n * partition_rows, (n + 1) * partition_rows);
      made := made + 1;
    end loop;
  end loop;
  return made;
end
$$;

select add_history_partitions(2);

-- Who did what to work by hand.
create table audit_log (
  audit_id bigint generated always as identity primary key,
  org_id bigint not null references orgs,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null check (action in ('task.cancel', 'task.retry', 'task.replay', 'dataset.revert', 'dataset.purge', 'dataset.repair', 'dataset.pin', 'dataset.unpin')),
  task_ids uuid[] not null,
  -- Of what is done to datasets: the dataset, and what was asked.
  detail json
);

-- -------------------- Datasets

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
  strategy text not null check (strategy in ('replace', 'append')),
  -- The newest commit; 0 before the first. Locking this row is what makes the sequence gapless.
  head_commit bigint not null default 0 check (head_commit >= 0),
  head_committed_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  -- What makes it another generation than the one before: strategy, kind of partitions, version.
  definition json not null default '{}',
  -- Field ids are never used again, whatever is reverted.
  last_field_id int not null default 0 check (last_field_id >= 0),
  -- The newest revert; an attempt claimed before it may have worked from what was taken back.
  reverted_commit bigint not null default 0,
  -- It has partitions with keys, which readers may be narrowed to.
  partitioned boolean not null default false,
  unique (dataset_id, number)
) with (fillfactor = 70);

alter table datasets add constraint datasets_current_generation_fk foreign key (current_generation_id) references generations;

create table partitions (
  generation_id bigint not null references generations,
  -- '' is the one partition of a dataset that is not partitioned.
  partition_key text not null,
  head_commit bigint not null check (head_commit > 0),
  -- The attempt whose inputs the partition was made from, which is an older one after a revert; null: made from none.
  lease_no bigint,
  -- The newest revert of this partition.
  reverted_commit bigint not null default 0,
  primary key (generation_id, partition_key)
) with (fillfactor = 70);

create table commits (
  generation_id bigint not null references generations,
  commit_no bigint not null check (commit_no > 0),
  org_id bigint not null references orgs,
  kind text not null check (kind in ('replace', 'append', 'revert')),
  committed_at timestamptz not null,
  task_id bigint references tasks,
  lease_no bigint,
  dag_version_id bigint references dag_versions,
  -- The dataset's whole schema as of this commit.
  schema json not null,
  -- Of this commit's own files.
  row_count bigint not null check (row_count >= 0),
  byte_count bigint not null check (byte_count >= 0),
  file_count int not null check (file_count >= 0),
  -- The slice that an append holds: a later commit with the same key takes the place of this one's files.
  append_key text check (length(append_key) between 1 and 1024),
  -- Of the content and of what the job made of it; equal means that nothing would change.
  fingerprint text check (fingerprint ~ '^[0-9a-f]{64}$'),
  source json,
  reverted_to bigint check (reverted_to >= 0),
  actor text,
  reason text,
  purged_at timestamptz,
  primary key (generation_id, commit_no),
  constraint commits_maker check (
    case kind when 'revert' then reverted_to is not null and actor is not null and lease_no is null and task_id is null
              else reverted_to is null and lease_no is not null and task_id is not null and dag_version_id is not null end),
  constraint commits_append check ((kind = 'append') = (append_key is not null)),
  -- One attempt publishes one output at most once, whatever else goes wrong (invariant 3).
  constraint commits_of_attempt unique (lease_no, generation_id)
);

create index commits_by_task on commits (task_id);
create index commits_by_time on commits (generation_id, committed_at);

-- The partitions that a commit changed, those that it emptied included.
create table commit_partitions (
  generation_id bigint not null,
  commit_no bigint not null,
  partition_key text not null,
  primary key (generation_id, commit_no, partition_key)
);

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
  append_key text,
  -- Of a file that a revert named again: the commit that published it first. Whoever had read it then has read it.
  made_commit bigint,
  foreign key (generation_id, added_commit) references commits,
  foreign key (generation_id, removed_commit) references commits,
  check (removed_commit > added_commit)
) with (fillfactor = 80);

create index commit_files_live on commit_files (generation_id, partition_key) where removed_commit is null;
-- For those who ask for what a commit added, and say "added_commit > 0" so; whoever looks for a partition's files is not offered it
-- by a plan that was made while there were none.
create index commit_files_by_commit on commit_files (generation_id, added_commit) where added_commit > 0;
-- What an older commit had of a partition: reverts, diffs and purges look there.
create index commit_files_gone on commit_files (generation_id, removed_commit) where removed_commit is not null;
create index commit_files_by_key on commit_files (object_key);
-- What an older commit had of a partition, one probe for each.
create index commit_files_gone_of_partition on commit_files (generation_id, partition_key, removed_commit) where removed_commit is not null;


-- The slices that an append dataset holds, and those that were taken back. A slice that was reverted stays so until somebody asks
-- for it by hand: `reverted_commit` is compared with the head that the task saw when its slice was fixed.
create table append_keys (
  generation_id bigint not null references generations,
  partition_key text not null,
  append_key text not null,
  commit_no bigint not null,
  lease_no bigint,
  fingerprint text,
  reverted_commit bigint,
  primary key (generation_id, partition_key, append_key)
) with (fillfactor = 70);

create index append_keys_by_fingerprint on append_keys (generation_id, partition_key, fingerprint) where fingerprint is not null;

-- The slice of a task, fixed at its first claim and kept through retries and replays, so that a replay writes what the first run
-- would have written and takes its place.
create table task_slices (
  task_id bigint primary key,
  append_key text not null check (length(append_key) between 1 and 1024),
  -- The head of the output when the slice was fixed; null: somebody asked for it again, and the next claim fixes it.
  head_commit bigint
);

-- What a task reads of an input of which it reads the news only: fixed like its slice.
create table task_ranges (
  task_id bigint not null,
  generation_id bigint not null references generations,
  from_commit bigint not null check (from_commit >= 0),
  to_commit bigint not null check (to_commit >= from_commit),
  primary key (task_id, generation_id)
);

-- How far a job has read: moved by compare-and-set in the transaction that publishes what was read.
create table cursors (
  job_id bigint not null references jobs,
  output_partition text not null,
  name text not null check (length(name) between 1 and 256),
  position text not null check (length(position) <= 1024),
  moved_at timestamptz not null default clock_timestamp(),
  primary key (job_id, output_partition, name)
) with (fillfactor = 70);

-- Where an attempt may write, for as long as it may: the row is written when the attempt is claimed and goes with the commit that
-- publishes it. What is still here when `write_until` is over was abandoned, and nobody can write there any more: garbage is known
-- from this table and never from a listing.
create table staging (
  lease_no bigint not null,
  generation_id bigint not null references generations,
  prefix text not null check (prefix ~ '^d/[a-z0-9]{16,32}/a/[a-z0-9]{27}/$'),
  -- The output's newest commit as the claim saw it: what was reverted later, the attempt does not know of.
  head_commit bigint not null,
  write_until timestamptz not null,
  -- Its objects are being deleted.
  deleting_since timestamptz,
  primary key (lease_no, generation_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

create index staging_by_end on staging (write_until);

-- Objects of purged commits, deleted once nobody can be reading them.
create table garbage_files (
  object_key text primary key,
  byte_count bigint not null,
  not_before timestamptz not null
);

create index garbage_files_due on garbage_files (not_before);

-- What somebody holds a commit for: a purge leaves it alone.
create table pins (
  pin_id bigint generated always as identity primary key,
  public_id uuid not null unique,
  org_id bigint not null references orgs,
  holder text not null check (length(holder) between 1 and 256),
  generation_id bigint not null references generations,
  commit_no bigint not null check (commit_no > 0),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz
);

create index pins_by_generation on pins (generation_id, commit_no);
create index pins_by_end on pins (expires_at) where expires_at is not null;

-- The commits an attempt reads, pinned when it is claimed: its lineage.
create table attempt_inputs (
  lease_no bigint not null,
  generation_id bigint not null references generations,
  commit_no bigint not null check (commit_no >= 0),
  -- Of an input of which the news only are read: what the job had read before.
  from_commit bigint,
  -- The one partition of the input that the attempt reads; null: all of it.
  partition_key text,
  primary key (lease_no, generation_id)
);

-- Who read a commit: its lineage downwards.
create index attempt_inputs_by_commit on attempt_inputs (generation_id, commit_no, lease_no);

create table job_inputs (
  dag_version_id bigint not null references dag_versions,
  job_id bigint not null references jobs,
  dataset_id bigint not null references datasets,
  position int not null,
  -- 'new': only what was added since the job last read.
  read text not null default 'all' check (read in ('all', 'new')),
  -- The generation that this version of the DAG reads, of datasets that it writes itself; null: whatever is current.
  generation_id bigint references generations,
  primary key (dag_version_id, job_id, dataset_id)
);

create index job_inputs_by_dataset on job_inputs (dataset_id);

create table job_outputs (
  dag_version_id bigint not null references dag_versions,
  job_id bigint not null references jobs,
  dataset_id bigint not null references datasets,
  strategy text not null check (strategy in ('replace', 'append')),
  -- The column whose value is each row's partition; null where the attempt writes one partition.
  partition_by text,
  -- The generation that this version of the DAG writes; null: whatever is current.
  generation_id bigint references generations,
  primary key (dag_version_id, job_id, dataset_id)
);

-- An input got a commit that the job has not read yet. The row is written with the commit and goes when a task that
-- pinned it, or a newer one, is created or ends; so a trigger is never lost between two tasks. Of a job without partitions
-- the one row is that of ''.
create table invalidations (
  job_id bigint not null references jobs,
  generation_id bigint not null references generations,
  commit_no bigint not null,
  run_id bigint,
  created_at timestamptz not null default clock_timestamp(),
  output_partition text not null default '',
  -- A task that is live keeps it from starting, and the end of that task looks for it by its key; everybody else passes it by,
  -- however many there are.
  parked boolean not null default false,
  primary key (job_id, output_partition, generation_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- By terms that no other index has: while the table is empty a planner believes each index as good as the next, whatever part of
-- the condition it serves, and keeps the plan.
create index invalidations_next on invalidations ((job_id + 0), (coalesce(run_id, 0))) where not parked;
create index invalidations_by_generation on invalidations ((generation_id + 0), (job_id - 0));
create index invalidations_by_run on invalidations (run_id, job_id) where run_id is not null;

-- Every partition of a job has something new to read. One row, however many partitions there are; bit by bit, in the order of
-- their keys, it becomes rows of invalidations.
create table invalidation_sweeps (
  job_id bigint not null references jobs,
  generation_id bigint not null references generations,
  commit_no bigint not null,
  run_id bigint,
  created_at timestamptz not null default clock_timestamp(),
  -- The commit that is being told of, and the last key that was; null: it waits for its turn.
  sweeping_commit_no bigint,
  after_key text not null default '',
  primary key (job_id, generation_id)
) with (fillfactor = 70);

create index invalidation_sweeps_by_run on invalidation_sweeps (run_id, job_id) where run_id is not null;

-- Generations that the current version of a DAG writes and that are not current yet: readers elsewhere see the ones before until
-- each of these has a commit. Then all of a DAG's rows go in one transaction.
create table generation_switches (
  dag_id bigint not null references dags,
  dataset_id bigint not null references datasets,
  generation_id bigint not null unique references generations,
  primary key (dag_id, dataset_id)
);

-- -------------------- Outbox

-- Side effects decided on and not yet performed (invariant 2). A loop performs them, at least once, with no transaction open.

create table outbox (
  outbox_id bigint generated always as identity primary key,
  lane text not null,
  -- Not before this: a retry's wake-up is written with the failure and sent when the task is due.
  due_at timestamptz not null,
  -- Of lane `sqs`: a wake-up. Queues never go, so the reference is not checked again with each row.
  queue_id int,
  task_ids uuid[] check (cardinality(task_ids) between 1 and 1000),
  -- Of lane `events`: an array of {type, time, detail}.
  events json check (json_array_length(events) between 1 and 100),
  constraint outbox_lane check (
    case lane
      when 'sqs' then queue_id is not null and task_ids is not null and events is null
      when 'events' then queue_id is null and task_ids is null and events is not null
      else false
    end)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index outbox_due on outbox (lane, due_at, outbox_id);

-- Only an answer that blames the row counts a try; at the bound the row is kept here as failed.
create table outbox_tries (
  outbox_id bigint primary key,
  lane text not null,
  queue_id int,
  task_ids uuid[],
  tries int not null check (tries > 0),
  last_error text not null,
  last_tried_at timestamptz not null default clock_timestamp(),
  failed boolean not null default false,
  events json,
  constraint outbox_tries_lane check (
    case lane
      when 'sqs' then queue_id is not null and task_ids is not null and events is null
      when 'events' then queue_id is null and task_ids is null and events is not null
      else false
    end)
);

-- What the reconcilers of all dispatchers must know of a queue, each written once in two seconds at most.
create table queue_pulses (
  queue_id int primary key,
  -- When a claim of any dispatcher last took something.
  claimed_at timestamptz,
  -- When wake-ups were last sent again, and how often since anything was claimed.
  spoken_at timestamptz,
  spoken int not null default 0
) with (fillfactor = 50);

-- -------------------- Views

-- What people see of a task, whichever table its state is in. The hot path never reads it. One probe of each table for each task,
-- which OFFSET 0 keeps the planner from making one walk of all of them when it believes them small.
create view task_details as
  select t.task_id, t.public_id, t.org_id, t.run_id, t.job_id, d.name as dag, j.name as job, jv.definition ->> 'operator' as operator, q.name as queue,
         case when o.task_id is not null then o.state when l.task_id is not null then 'running' else 'queued' end as state,
         coalesce(o.attempt, l.attempt, r.attempt, w.attempt, 0) as attempt,
         coalesce(o.failures, l.failures, r.failures, w.failures, 0) as failures, t.failures_max,
         coalesce(o.lease_losses, l.lease_losses, r.lease_losses, w.lease_losses, 0) as lease_losses,
         t.priority,
         case when o.task_id is null and l.task_id is null then coalesce(r.run_at, w.run_at) end as run_at,
         case when o.task_id is not null or l.task_id is not null then null
              when coalesce(r.run_at, w.run_at) > now() then 'due'
              when w.task_id is not null then 'slot'
              else 'worker' end as waiting_for,
         t.created_at, l.claimed_at, o.ended_at, s.worker, l.progress, coalesce(o.started_at, last.started_at) as last_started_at,
         coalesce(o.error, case when o.state is distinct from 'completed' then last.error end) as error,
         coalesce((select json_agg(json_build_object('dataset', ds.name, 'generation', g.number, 'commit', c.commit_no) order by ds.name)
                     from (select x.generation_id, x.commit_no from commits x where x.task_id = t.task_id offset 0) c
                     join generations g on g.generation_id = c.generation_id
                     join datasets ds on ds.dataset_id = g.dataset_id), '[]'::json) as commits,
         nullif(t.output_partition, '') as partition
    from tasks t
    join jobs j on j.job_id = t.job_id
    join dags d on d.dag_id = j.dag_id
    join job_versions jv on jv.dag_version_id = t.dag_version_id and jv.job_id = t.job_id
    join queues q on q.queue_id = t.queue_id
    left join lateral (select * from outcomes x where x.task_id = t.task_id offset 0) o on true
    left join lateral (select * from leases x where x.task_id = t.task_id offset 0) l on true
    left join sessions s on s.session_id = l.session_id
    left join lateral (select * from ready x where x.task_id = t.task_id offset 0) r on true
    left join lateral (select * from waiting x where x.task_id = t.task_id offset 0) w on true
    left join lateral (
      select a.error, a.started_at from attempts a where a.task_id = t.task_id order by a.lease_no desc limit 1) last on true;
