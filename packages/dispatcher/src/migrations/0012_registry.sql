-- What reading the registry asks for: versions of some partitions out of many, who read a commit, and what a revert brought back.

alter table commit_files
  -- Of a file that a revert named again: the commit that published it first. Whoever had read it then has read it.
  add column made_commit bigint;

-- What an older commit had of a partition, one probe for each.
create index commit_files_gone_of_partition on commit_files (generation_id, partition_key, removed_commit) where removed_commit is not null;

-- Who read a commit: its lineage downwards.
create index attempt_inputs_by_commit on attempt_inputs (generation_id, commit_no, lease_no);

create index pins_by_end on pins (expires_at) where expires_at is not null;
