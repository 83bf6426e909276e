/**
 * All that this suite knows of the dispatcher's tables. A reader of its own: it shares no code with what it checks.
 */
import type { Database } from "@trace/kit";
import { partitionsPerCommit } from "./limits.ts";

/**
 * Throws unless there are exactly `commits` commits, each of a task of its own that completed, of one file and one partition,
 * numbered without a gap up to the head of their dataset; and nothing leased or staged is left. `before`: commits and
 * partitions that were put into the hot dataset by hand.
 */
export async function verifyCommits(db: Database, commits: number, before: { commits: number; partitions: number }) {
  const [row] = await db.raw<Record<string, number>>(
    `select (select count(*) from commits) - $1::bigint as commits,
            (select count(distinct lease_no) from commits) - $1::bigint as attempts,
            (select count(*) from outcomes where state = 'completed') as completed,
            (select sum(head_commit)::bigint from generations) - $1::bigint as heads,
            (select count(*) from commit_files where removed_commit is null) - $2::bigint as files,
            (select count(*) from partitions) - $2::bigint as partitions,
            (select count(*) from leases) as leased,
            (select count(*) from staging) as staged`,
    [before.commits, before.partitions],
  );
  const wanted = {
    commits,
    attempts: commits,
    completed: commits,
    heads: commits,
    files: commits,
    partitions: commits,
  };
  const found = JSON.stringify(row);
  if (found !== JSON.stringify({ ...wanted, leased: 0, staged: 0 })) {
    throw new Error(`of ${commits} attempts not each made exactly one commit: ${found}`);
  }
}

/** Keys of the partitions that are put there by hand: of other names than those that tasks write. */
export function crowdKey(number: number): string {
  return `crowd-${number}`;
}

/**
 * Writes `partitions` partitions of one file each into a dataset without a commit, as commits of many partitions would have
 * left them. Answers with how many commits that took.
 */
export async function addPartitions(
  db: Database,
  dataset: string,
  partitions: number,
  onChunk: (done: number) => Promise<void>,
): Promise<number> {
  let done = 0;
  let commit = 0;
  while (done < partitions) {
    const rows = Math.min(partitionsPerCommit, partitions - done);
    commit += 1;
    await db.raw(addCommitSql, [dataset, commit, done, rows]);
    done += rows;
    await onChunk(done);
  }
  return commit;
}

/** $1: dataset; $2: number of the commit; $3: partitions before; $4: partitions of this commit. */
const addCommitSql = `
  with g as (
    select g.*, (select v.dag_version_id from dag_versions v order by v.dag_version_id limit 1) as dag_version_id
      from generations g join datasets d on d.current_generation_id = g.generation_id where d.name = $1
  ), task as (
    select task_id from tasks order by task_id limit 1
  ), made as (
    insert into commits (generation_id, commit_no, org_id, kind, committed_at, task_id, lease_no, dag_version_id, schema,
                         row_count, byte_count, file_count)
    select g.generation_id, $2::bigint, g.org_id, 'replace', now() - interval '1 day' + $2::bigint * interval '1 millisecond', task.task_id, -$2::bigint,
           g.dag_version_id, '[{"name":"x","type":"BIGINT","field_id":1}]', $4::bigint * 500, $4::bigint * 8000, $4::bigint::int
      from g, task
  ), head as (
    update generations set head_commit = $2::bigint, head_committed_at = now() - interval '1 day' + $2::bigint * interval '1 millisecond', last_field_id = 1
     where generation_id = (select generation_id from g)
  ), keys as materialized (
    select g.generation_id, g.storage_id, 'crowd-' || n as key, n from g, generate_series($3::bigint + 1, $3::bigint + $4::bigint) n
  ), placed as (
    insert into partitions (generation_id, partition_key, head_commit, lease_no) select generation_id, key, $2::bigint, -$2::bigint from keys
  ), listed as (
    insert into commit_partitions (generation_id, commit_no, partition_key) select generation_id, $2::bigint, key from keys
  )
  insert into commit_files (generation_id, partition_key, added_commit, object_key, byte_count, row_count, sha256, columns)
  select generation_id, key, $2::bigint, 'd/' || storage_id || '/a/' || lpad($2::bigint::text, 27, '0') || '/' || n || '.parquet', 8000, 500,
         encode(sha256(key::bytea), 'hex'), '[{"name":"x","type":"BIGINT","min":"1","max":"500","null_count":0}]'
    from keys`;

/** As autovacuum would have left the tables by then: all of them, or those that claims have filled since. */
export async function settle(db: Database, which: "all" | "claimed"): Promise<void> {
  await db.raw(which === "all" ? "vacuum (analyze)" : "vacuum (analyze) tasks, ready, leases, staging, live_outputs");
}
