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
