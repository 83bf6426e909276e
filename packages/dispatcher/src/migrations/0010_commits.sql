-- Commits of every kind: of one partition or of many, replaced, appended or taken back; and what has to be known of an attempt
-- to tell whether its commit still belongs to what the dataset is by now.

alter table generations
  drop constraint generations_strategy_check,
  add constraint generations_strategy_check check (strategy in ('replace', 'append')),
  -- What makes it another generation than the one before: strategy, kind of partitions, version.
  add column definition json not null default '{}',
  -- Field ids are never used again, whatever is reverted.
  add column last_field_id int not null default 0 check (last_field_id >= 0),
  -- The newest revert; an attempt claimed before it may have worked from what was taken back.
  add column reverted_commit bigint not null default 0;

alter table partitions
  -- The attempt whose inputs the partition was made from, which is an older one after a revert; null: made from none.
  add column lease_no bigint,
  -- The newest revert of this partition.
  add column reverted_commit bigint not null default 0;
update partitions p set lease_no = c.lease_no from commits c where c.generation_id = p.generation_id and c.commit_no = p.head_commit;

create table commit_partitions (
  generation_id bigint not null,
  commit_no bigint not null,
  partition_key text not null,
  primary key (generation_id, commit_no, partition_key)
);
insert into commit_partitions (generation_id, commit_no, partition_key) select generation_id, commit_no, partition_key from commits;

alter table commits
  drop constraint commits_kind_check,
  add constraint commits_kind_check check (kind in ('replace', 'append', 'revert')),
  drop constraint commits_lease_no_generation_id_partition_key_key,
  drop column partition_key,
  alter column task_id drop not null,
  alter column lease_no drop not null,
  alter column dag_version_id drop not null,
  -- The slice that an append holds: a later commit with the same key takes the place of this one's files.
  add column append_key text check (length(append_key) between 1 and 1024),
  -- Of the content and of what the job made of it; equal means that nothing would change.
  add column fingerprint text check (fingerprint ~ '^[0-9a-f]{64}$'),
  add column source json,
  add column reverted_to bigint check (reverted_to >= 0),
  add column actor text,
  add column reason text,
  add column purged_at timestamptz,
  add constraint commits_maker check (
    case kind when 'revert' then reverted_to is not null and actor is not null and lease_no is null and task_id is null
              else reverted_to is null and lease_no is not null and task_id is not null and dag_version_id is not null end),
  add constraint commits_append check ((kind = 'append') = (append_key is not null)),
  -- One attempt publishes one output at most once, whatever else goes wrong (invariant 3).
  add constraint commits_of_attempt unique (lease_no, generation_id);

create index commits_by_time on commits (generation_id, committed_at);

alter table commit_files add column append_key text;
-- What an older commit had of a partition: reverts, diffs and purges look there.
create index commit_files_gone on commit_files (generation_id, removed_commit) where removed_commit is not null;
create index commit_files_by_key on commit_files (object_key);
-- For those who ask for what a commit added, and say "added_commit > 0" so; whoever looks for a partition's files is not offered it
-- by a plan that was made while there were none.
drop index commit_files_by_commit;
create index commit_files_by_commit on commit_files (generation_id, added_commit) where added_commit > 0;

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

alter table attempt_inputs add column from_commit bigint;

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

-- Asked for with every attempt; a definition may list 10,000 partitions.
alter table job_versions add column operator text generated always as (definition ->> 'operator') stored;

alter table job_outputs
  drop constraint job_outputs_strategy_check,
  add constraint job_outputs_strategy_check check (strategy in ('replace', 'append')),
  -- The column whose value is each row's partition; null where the attempt writes one partition.
  add column partition_by text,
  -- The generation that this version of the DAG writes; null: whatever is current.
  add column generation_id bigint references generations;

alter table job_inputs
  -- 'new': only what was added since the job last read.
  add column read text not null default 'all' check (read in ('all', 'new')),
  -- The generation that this version of the DAG reads, of datasets that it writes itself; null: whatever is current.
  add column generation_id bigint references generations;

alter table audit_log
  drop constraint audit_log_action_check,
  add constraint audit_log_action_check check (action in ('task.cancel', 'task.retry', 'task.replay', 'dataset.revert', 'dataset.purge', 'dataset.repair', 'dataset.pin', 'dataset.unpin')),
  -- Of what is done to datasets: the dataset, and what was asked.
  add column detail json;
