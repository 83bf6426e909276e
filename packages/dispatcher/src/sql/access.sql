-- name: findToken
-- params: token_sha256
select t.org_id, t.name from api_tokens t
 where t.token_sha256 = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > clock_timestamp());

-- name: setOwnerToken
-- params: token_sha256
-- One owner's token for the organisation 'main': an earlier one is revoked when it differs.
with gone as (
  update api_tokens set revoked_at = clock_timestamp()
   where name = 'owner' and token_sha256 <> $1 and revoked_at is null
)
insert into api_tokens (org_id, name, token_sha256) select org_id, 'owner', $1 from orgs where name = 'main'
on conflict (token_sha256) do update set revoked_at = null;

-- name: mainOrg
-- params:
select org_id from orgs where name = 'main';

-- name: setInstallation
-- params: installation
-- notnull: installation
-- The first to ask names the database; everybody after that is told the name.
with named as (
  insert into installation (name) values ($1) on conflict (singleton) do nothing returning name
)
select coalesce((select name from named), (select name from installation)) as installation;
