-- name: holdGeneration
-- params: generation_id
-- Keeps purges away until the transaction is over; commits and claims go on.
select generation_id, head_commit from generations where generation_id = $1 for key share;

-- name: findCommit
-- params: generation_id, commit_no
-- notnull: purged
select commit_no, schema, purged_at is not null as purged from commits where generation_id = $1 and commit_no = $2;

-- name: addPin
-- params: public_id, org_id, holder, generation_id, commit_no, expires_at?, actor, pins_max
-- nullable: public_id created_at expires_at
-- notnull: over
-- The caller holds the generation and has seen that the commit is kept. No pin: there are as many pins as there may be, or the pin
-- would be over before it began (`over`).
with made as (
  insert into pins (public_id, org_id, holder, generation_id, commit_no, expires_at)
  select $1, $2, $3, $4, $5, $6::text::timestamptz
   where (select count(*) from (select 1 from pins where org_id = $2 limit $8) p) < $8
     and coalesce($6::text::timestamptz > clock_timestamp(), true)
  returning public_id, created_at, expires_at
), audited as (
  insert into audit_log (org_id, actor, action, task_ids, detail)
  select $2, $7, 'dataset.pin', '{}', json_build_object('dataset', d.name, 'generation', g.number, 'commit', $5::bigint, 'pin_id', m.public_id, 'holder', $3::text)
    from made m cross join generations g join datasets d on d.dataset_id = g.dataset_id
   where g.generation_id = $4
)
select m.public_id, m.created_at, m.expires_at, coalesce($6::text::timestamptz <= clock_timestamp(), false) as over
  from (select 1) one left join made m on true;

-- name: listPins
-- params: org_id, name?, limit
-- Pins that hold something now, newest first.
select p.public_id, p.holder, p.commit_no, p.created_at, p.expires_at, g.number, d.name
  from (select * from pins x where x.org_id = $1 order by x.pin_id desc) p
  join generations g on g.generation_id = p.generation_id
  join datasets d on d.dataset_id = g.dataset_id
 where ($2::text is null or d.name = $2) and (p.expires_at is null or p.expires_at > clock_timestamp())
 order by p.pin_id desc
 limit $3;

-- name: dropPin
-- params: org_id, public_id, actor
with gone as (
  delete from pins where org_id = $1 and public_id = $2 returning public_id, holder, generation_id, commit_no
), audited as (
  insert into audit_log (org_id, actor, action, task_ids, detail)
  select $1, $3, 'dataset.unpin', '{}', json_build_object('dataset', d.name, 'generation', g.number, 'commit', n.commit_no, 'pin_id', n.public_id, 'holder', n.holder)
    from gone n join generations g on g.generation_id = n.generation_id join datasets d on d.dataset_id = g.dataset_id
)
select public_id from gone;

-- name: dropExpiredPins
-- params: limit
-- notnull: pins
with gone as (
  delete from pins where pin_id = any (array(
    select x.pin_id from pins x where x.expires_at <= clock_timestamp() order by x.expires_at limit $1 for update skip locked))
  returning pin_id
)
select count(*)::int as pins from gone;
