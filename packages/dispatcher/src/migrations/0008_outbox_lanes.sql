-- A second lane of the outbox, for EventBridge, and what the dispatchers tell each other about claims.

-- Queues never go. Checking the reference with each row locks the queue's row for share, and transactions that do so at once
-- share the lock through a multixact, for nothing.
alter table outbox drop constraint outbox_queue_id_fkey;
alter table outbox drop constraint outbox_lane_check;
alter table outbox alter column queue_id drop not null;
alter table outbox alter column task_ids drop not null;
alter table outbox add column events json check (json_array_length(events) between 1 and 100);
alter table outbox add constraint outbox_lane check (
  case lane
    when 'sqs' then queue_id is not null and task_ids is not null and events is null
    when 'events' then queue_id is null and task_ids is null and events is not null
    else false
  end);

alter table outbox_tries alter column queue_id drop not null;
alter table outbox_tries alter column task_ids drop not null;
alter table outbox_tries add column events json;
alter table outbox_tries add constraint outbox_tries_lane check (
  case lane
    when 'sqs' then queue_id is not null and task_ids is not null and events is null
    when 'events' then queue_id is null and task_ids is null and events is not null
    else false
  end);

-- What the reconcilers of all dispatchers must know of a queue, each written once in two seconds at most.
create table queue_pulses (
  queue_id int primary key,
  -- When a claim of any dispatcher last took something.
  claimed_at timestamptz,
  -- When wake-ups were last sent again, and how often since anything was claimed.
  spoken_at timestamptz,
  spoken int not null default 0
) with (fillfactor = 50);
