-- Side effects decided on and not yet performed (invariant 2). A loop performs them, at least once, with no transaction open.

create table outbox (
  outbox_id bigint generated always as identity primary key,
  lane text not null check (lane in ('sqs')),
  -- Not before this: a retry's wake-up is written with the failure and sent when the task is due.
  due_at timestamptz not null,
  queue_id int not null references queues,
  task_ids uuid[] not null check (cardinality(task_ids) between 1 and 1000)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);

create index outbox_due on outbox (lane, due_at, outbox_id);

-- Only an answer that blames the row counts a try; at the bound the row is kept here as failed.
create table outbox_tries (
  outbox_id bigint primary key,
  lane text not null,
  queue_id int not null,
  task_ids uuid[] not null,
  tries int not null check (tries > 0),
  last_error text not null,
  last_tried_at timestamptz not null default clock_timestamp(),
  failed boolean not null default false
);
