/** Writes what the state database holds at the end: plain tables, read piece by piece, by SQL of its own. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Database } from "@trace/kit";
import { dumpTasksMax } from "./limits.ts";

/** A piece of the tasks in the order of their numbers, each with its attempts as one JSON document. */
const tasksText = `
with piece as (
  select * from tasks where task_id > $1 order by task_id limit $2
), tries as (
  select a.task_id, a.lease_no, a.attempt, a.state, a.error ->> 'code' as code,
         coalesce(length(a.error ->> 'detail'), 0) > 0 as detail, a.token
    from attempts a where a.task_id in (select task_id from piece)
  union all
  select o.task_id, o.lease_no, o.attempt, 'succeeded', null, false, o.token
    from outcomes o where o.task_id in (select task_id from piece) and o.token is not null
  union all
  select l.task_id, l.lease_no, l.attempt, 'running', null, false, l.token
    from leases l where l.task_id in (select task_id from piece)
), history as (
  select task_id,
         json_agg(json_build_array(lease_no, attempt, state, code, detail,
                                   translate(encode(token, 'base64'), '+/=', '-_')) order by lease_no) as attempts
    from tries group by task_id
)
select s.task_id as key,
       json_build_object(
         'task', s.public_id,
         'places', array_remove(array[case when r.task_id is not null then 'ready' end, case when w.task_id is not null then 'waiting' end,
                                      case when l.task_id is not null then 'lease' end, case when o.task_id is not null then 'outcome' end], null),
         'state', o.state,
         'attempt', coalesce(o.attempt, l.attempt, r.attempt, w.attempt),
         'failures', coalesce(o.failures, l.failures, r.failures, w.failures),
         'failures_max', s.failures_max,
         'lease_losses', coalesce(o.lease_losses, l.lease_losses, r.lease_losses, w.lease_losses),
         'lease_losses_max', s.lease_losses_max,
         'due_ms', case when r.task_id is not null then extract(epoch from clock_timestamp() - greatest(r.run_at, r.ready_at)) * 1000
                        when w.task_id is not null then extract(epoch from clock_timestamp() - w.run_at) * 1000 end,
         'slots_full', case when w.task_id is not null
                            then (select count(*) from job_slots js where js.job_id = s.job_id)
                                 >= (select jv.max_concurrency from job_versions jv where jv.dag_version_id = s.dag_version_id and jv.job_id = s.job_id) end,
         'lease_live', case when l.task_id is not null
                            then l.deadline > clock_timestamp() and c.closed_at is null and c.expires_at > clock_timestamp() end,
         'error', o.error ->> 'code',
         'attempts', coalesce(h.attempts, '[]'::json)) as row
  from piece s
  left join ready r on r.task_id = s.task_id
  left join waiting w on w.task_id = s.task_id
  left join leases l on l.task_id = s.task_id
  left join sessions c on c.session_id = l.session_id
  left join outcomes o on o.task_id = s.task_id
  left join history h on h.task_id = s.task_id
 order by s.task_id`;

const commitsText = `
select c.generation_id, c.commit_no,
       json_build_object('commit', c.commit_no, 'dataset', d.name, 'generation', g.number, 'task', t.public_id, 'lease', c.lease_no) as row
  from commits c
  join generations g on g.generation_id = c.generation_id
  join datasets d on d.dataset_id = g.dataset_id
  join tasks t on t.task_id = c.task_id
 where (c.generation_id, c.commit_no) > ($1, $2)
 order by c.generation_id, c.commit_no
 limit $3`;

/** Nothing may change meanwhile: the pieces are read one after another. */
export async function writeDump(db: Database, path: string): Promise<void> {
  const stream = createWriteStream(path, { flags: "wx" });
  const write = async (rows: readonly { row: unknown }[]) => {
    const text = rows.map(({ row }) => `${JSON.stringify(row)}\n`).join("");
    if (!stream.write(text)) await once(stream, "drain");
  };
  for (let last = 0; ; ) {
    const rows = await db.raw<{ key: number; row: unknown }>(tasksText, [last, dumpTasksMax]);
    await write(rows);
    const end = rows.at(-1);
    if (end === undefined) break;
    last = end.key;
  }
  for (let last = { generation_id: 0, commit_no: 0 }; ; ) {
    const rows = await db.raw<{ generation_id: number; commit_no: number; row: unknown }>(commitsText, [
      last.generation_id,
      last.commit_no,
      dumpTasksMax,
    ]);
    await write(rows);
    const end = rows.at(-1);
    if (end === undefined) break;
    last = end;
  }
  stream.end();
  await once(stream, "close");
}
