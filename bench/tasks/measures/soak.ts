/** `soak`: steady work at a moderate rate for a long time. Hot tables and their indexes must not grow. */
import { setTimeout as pause } from "node:timers/promises";
import { foreignCores, sampleCpu } from "../../harness/cpu.ts";
import { mebibytes, milliseconds, percentile, rounded } from "../../harness/numbers.ts";
import type { BenchPostgres } from "../../harness/postgres.ts";
import { until } from "../../harness/until.ts";
import { drainMaxMs, flatBytes, flatShare, soakBatch, soakSampleMs } from "../limits.ts";
import type { Measured } from "../report.ts";
import { startWork, stopWork, untilNothingOpen, warmUp, workCounts } from "../side.ts";
import type { TraceSide } from "../trace/side.ts";
import { historyTables, hotTables, type RelationSize, relationSizes } from "../trace/state.ts";

interface Sample {
  readonly minute: number;
  readonly done: number;
  readonly relations: readonly RelationSize[];
  readonly claimP99: number;
  readonly createP99: number;
  readonly foreign: number;
}

export interface SoakHow {
  readonly minutes: number;
  readonly rate: number;
  readonly warmupTasks: number;
  readonly sampleMs?: number;
}

/** One soak of our side, whose processes run. */
export async function soak(
  side: TraceSide,
  postgres: BenchPostgres,
  how: SoakHow,
  tell: (text: string) => void,
): Promise<Measured> {
  await warmUp(side, how.warmupTasks);
  await side.empty();
  await postgres.checkpoint();
  const sampleMs = how.sampleMs ?? soakSampleMs;
  await startWork(side, Number.MAX_SAFE_INTEGER);
  const produced = side.producer.ask(
    { kind: "produce", tasks: null, batch: soakBatch, lanes: 1, outstandingMax: null, rate: how.rate / soakBatch },
    "produced",
  );
  produced.catch(() => undefined); // Awaited below; what fails meanwhile is thrown there.
  const samples: Sample[] = [];
  const count = Math.max(2, Math.round((how.minutes * 60_000) / sampleMs));
  for (let n = 1; n <= count; n += 1) {
    const before = sampleCpu();
    await pause(sampleMs);
    const sample = await look(side, (n * sampleMs) / 60_000, foreignCores(before, sampleCpu(), process.pid));
    samples.push(sample);
    tell(`  ${row(sample)}`);
  }
  side.producer.tell({ kind: "stop" });
  const { created } = (await produced).counts;
  await until("what was created is done", async () => (await workCounts(side)).done >= created, drainMaxMs, 50);
  await untilNothingOpen(side);
  await stopWork(side);
  await side.settle();
  await side.verify(created);
  return verdict(samples, how, created);
}

async function look(side: TraceSide, minute: number, foreign: number): Promise<Sample> {
  const relations = await relationSizes(side.db);
  const work = await workCounts(side);
  const { callMs } = (await side.producer.ask({ kind: "count" }, "counts")).counts;
  const p99 = (values: readonly number[]) => (values.length === 0 ? 0 : percentile(values, 0.99));
  return { minute, done: work.done, relations, claimP99: p99(work.claimMs), createP99: p99(callMs), foreign };
}

function sizeOf(sample: Sample, tables: readonly string[]): { bytes: number; dead: number } {
  const own = sample.relations.filter(({ table }) => tables.includes(table));
  const sum = (figure: (relation: RelationSize) => number) => own.reduce((total, one) => total + figure(one), 0);
  return { bytes: sum(({ bytes }) => bytes), dead: sum(({ deadRows }) => deadRows) };
}

function row(sample: Sample): string {
  const hot = hotTables.map((table) => {
    const { bytes, dead } = sizeOf(sample, [table]);
    return `${table} ${mebibytes(bytes)} (${rounded(dead)} dead)`;
  });
  const history = sizeOf(sample, historyTables).bytes / Math.max(1, sample.done);
  return [
    `minute ${sample.minute.toFixed(1)}: ${rounded(sample.done)} done`,
    ...hot,
    `history ${rounded(history)} B/task`,
    `claim p99 ${milliseconds(sample.claimP99)}`,
    `create p99 ${milliseconds(sample.createP99)}`,
    `foreign ${sample.foreign.toFixed(2)} cores`,
  ].join(", ");
}

/** Compared is the end with what it was after the first fifth, when caches and free space have found their size. */
function verdict(samples: readonly Sample[], how: SoakHow, created: number): Measured {
  const reference = samples[Math.floor(samples.length / 5)];
  const last = samples.at(-1);
  if (reference === undefined || last === undefined) throw new Error("a soak without samples");
  const hot = (sample: Sample) => sample.relations.filter(({ table }) => hotTables.some((name) => name === table));
  const grown = hot(last).flatMap((relation) => {
    const then = hot(reference).find(({ name }) => name === relation.name)?.bytes ?? 0;
    const growth = relation.bytes - then;
    if (growth <= Math.max(flatBytes, then * flatShare)) return [];
    return [`${relation.name} ${mebibytes(then)} to ${mebibytes(relation.bytes)}`];
  });
  const relations = last.relations.map(({ name, bytes }) => `${name} ${mebibytes(bytes)}`).join(", ");
  const flat = grown.length === 0 ? "hot tables and indexes are flat" : `GROWN: ${grown.join("; ")}`;
  return {
    name: "soak",
    headline: `soak: ${how.minutes} minutes at ${rounded(how.rate)}/s, ${rounded(created)} tasks, ${flat}, claim p99 ${milliseconds(last.claimP99)}, create p99 ${milliseconds(last.createP99)}`,
    details: [...samples.map((sample) => `soak ${row(sample)}`), `soak sizes at the end: ${relations}`],
    rounds: samples,
  };
}
