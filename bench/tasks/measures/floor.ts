/** `floor`: what the disk and the server give to anybody, so that the other figures can be read on another machine. */

import { setTimeout as pause } from "node:timers/promises";
import { Database, type Statement, silentLog } from "@trace/kit";
import { machineMs } from "../../harness/clock.ts";
import { type CpuSample, foreignCores, sampleCpu } from "../../harness/cpu.ts";
import { perSecond } from "../../harness/numbers.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { payload } from "../messages.ts";
import type { Measured } from "../report.ts";

const floorMs = 3_000;
const connections = 16;
const batchRows = 1_000;
const batchConnections = 2;

const insertOne: Statement<{ payload: string }, object> = {
  name: "insertOne",
  params: ["payload"],
  text: "insert into bench_floor (payload) values ($1)",
};
const insertMany: Statement<{ payloads: string }, object> = {
  name: "insertMany",
  params: ["payloads"],
  text: "insert into bench_floor (payload) select value from json_array_elements($1::json)",
};

export async function floor(postgres: BenchPostgres): Promise<Measured> {
  const { url, password } = postgres.address(postgres.ownDatabase);
  const db = new Database({ url, password, name: "floor", connectionsMax: connections, log: silentLog() });
  try {
    await db.raw(
      "create table bench_floor (id bigint generated always as identity primary key, payload json not null)",
    );
    await postgres.checkpoint();
    const one = JSON.stringify(payload(1));
    const many = JSON.stringify(Array.from({ length: batchRows }, (_, n) => payload(n)));
    const before = sampleCpu();
    const single = await rate(connections, () => db.query(insertOne, { payload: one }));
    const batched = batchRows * (await rate(batchConnections, () => db.query(insertMany, { payloads: many })));
    return measured(single, batched, before);
  } finally {
    await db.raw("drop table if exists bench_floor");
    await db.stop();
  }
}

function measured(single: number, batched: number, before: CpuSample): Measured {
  const foreign = foreignCores(before, sampleCpu(), process.pid);
  return {
    name: "floor",
    headline: `floor: ${perSecond(single)} durable inserts of one row over ${connections} connections, ${perSecond(batched)} rows in inserts of ${batchRows} over ${batchConnections}`,
    details: [`floor foreign: ${foreign.toFixed(2)} cores`],
    rounds: { single, batched, foreign },
  };
}

/** Calls a second, so many in flight. */
async function rate(lanes: number, call: () => Promise<unknown>): Promise<number> {
  const startedMs = machineMs();
  let calls = 0;
  let over = false;
  const running = Array.from({ length: lanes }, async () => {
    while (!over) {
      await call();
      calls += 1;
    }
  });
  await pause(floorMs);
  over = true;
  await Promise.all(running);
  return calls / ((machineMs() - startedMs) / 1_000);
}
