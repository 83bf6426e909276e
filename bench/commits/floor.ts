/**
 * What this server and disk give to anybody: as many fenced commits as ours, each one statement of plain SQL over tables that
 * hold the least that a commit must leave behind. No HTTP, no store, no inputs, no triggers.
 */
import { Database, type Statement, silentLog } from "@trace/kit";
import { machineMs } from "../harness/clock.ts";
import type { BenchPostgres } from "../harness/postgres.ts";
import { timed } from "../tasks/side.ts";
import type { CommitsRound } from "./rounds.ts";

const schema = [
  "create table generations (generation_id bigint primary key, head bigint not null, committed_at timestamptz) with (fillfactor = 70)",
  "create table leases (token bytea primary key, lease_no bigint not null, generation_id bigint not null, partition_key text not null)",
  `create table commits (generation_id bigint not null, commit_no bigint not null, committed_at timestamptz not null, lease_no bigint not null,
     row_count bigint not null, byte_count bigint not null, primary key (generation_id, commit_no))`,
  `create table files (generation_id bigint not null, partition_key text not null, commit_no bigint not null, object_key text not null,
     byte_count bigint not null, sha256 text not null)`,
  "create index on files (generation_id, partition_key)",
  "create table partitions (generation_id bigint not null, partition_key text not null, head bigint not null, primary key (generation_id, partition_key))",
  "create table outcomes (lease_no bigint primary key, ended_at timestamptz not null)",
];

const commitOne: Statement<{ token: Buffer; object_key: string; sha256: string }, { head: number }> = {
  name: "floorCommit",
  params: ["token", "object_key", "sha256"],
  text: `with held as (
      delete from leases where token = $1 returning *
    ), moved as (
      update generations g set head = g.head + 1, committed_at = clock_timestamp() from held
       where g.generation_id = held.generation_id returning g.generation_id, g.head, g.committed_at
    ), made as (
      insert into commits select m.generation_id, m.head, m.committed_at, h.lease_no, 500, 8000 from moved m, held h
    ), file as (
      insert into files select m.generation_id, h.partition_key, m.head, $2, 8000, $3 from moved m, held h
    ), part as (
      insert into partitions select m.generation_id, h.partition_key, m.head from moved m, held h
      on conflict (generation_id, partition_key) do update set head = excluded.head
    ), ended as (
      insert into outcomes select lease_no, clock_timestamp() from held
    )
    select head from moved`,
};

/** One round over so many datasets. */
export async function floorRound(
  postgres: BenchPostgres,
  database: string,
  how: { readonly commits: number; readonly datasets: number; readonly clients: number },
): Promise<CommitsRound> {
  await postgres.createDatabase(database);
  const { url, password } = postgres.address(database);
  const db = new Database({ url, password, name: "floor", connectionsMax: how.clients, log: silentLog() });
  try {
    for (const statement of schema) await db.raw(statement);
    await db.raw("insert into generations select n, 0, null from generate_series(1, $1::bigint) n", [how.datasets]);
    await db.raw(
      "insert into leases select int8send(n), n, 1 + n % $2::bigint, 'p' || n from generate_series(1, $1::bigint) n",
      [how.commits, how.datasets],
    );
    await db.raw("vacuum (analyze)");
    await postgres.checkpoint();
    const cost = await timed({ parts: () => ({}), wakeupsSent: () => Promise.resolve(undefined) }, postgres);
    const callMs: number[] = [];
    const startedMs = machineMs();
    let next = 0;
    const lane = async () => {
      while (next < how.commits) {
        next += 1;
        const token = Buffer.alloc(8);
        token.writeBigInt64BE(BigInt(next));
        const sentMs = machineMs();
        const made = await db.query(commitOne, { token, object_key: `d/${next}/0.parquet`, sha256: "0".repeat(64) });
        callMs.push(machineMs() - sentMs);
        if (made.length !== 1) throw new Error("a commit of the floor was not made");
      }
    };
    await Promise.all(Array.from({ length: how.clients }, lane));
    const ms = machineMs() - startedMs;
    const [row] = await db.raw<{ n: number }>("select sum(head)::bigint as n from generations");
    if (row?.n !== how.commits) throw new Error(`the floor made ${row?.n} of ${how.commits} commits`);
    return { perSecond: how.commits / (ms / 1_000), commits: how.commits, callMs, cost: await cost.end() };
  } finally {
    await db.stop();
    await postgres.dropDatabase(database);
  }
}
