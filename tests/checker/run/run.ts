/** The run that shows it: every kind of fault, again and again, while a hundred thousand attempts go by. */
import { setTimeout as pause } from "node:timers/promises";
import { Chaos } from "./chaos.ts";
import {
  attemptsDefault,
  dispatchers,
  faultTimesMin,
  runMsMax,
  sessionTtlMs,
  sqsRefusalMs,
  tellEveryMs,
  workerSlots,
  workers,
} from "./limits.ts";
import type { ChaosStack } from "./stack.ts";
import type { Tally } from "./tally.ts";
import { type Judged, type Say, Work } from "./work.ts";

export interface RunOptions {
  readonly attempts: number;
  readonly seed: string;
  /** The folder stays, to be looked at. */
  readonly keep: boolean;
  readonly say: Say;
}

export interface RunResult extends Judged {
  /** Each kind of fault, and how often it was had. */
  readonly faults: ReadonlyMap<string, number>;
  readonly faultTimesMin: number;
  /** SQS refused for the whole of its window. */
  readonly refused: boolean;
  readonly failures: readonly unknown[];
  readonly chaosSeconds: number;
  readonly folder: string;
}

const lookEveryMs = 200;

export function run(options: RunOptions): Promise<RunResult> {
  const { seed, say } = options;
  const system = { seed, say, dispatchers, workers, workerSlots, sessionTtlMs };
  return Work.with(system, async (work) => {
    const result = await hurt(options, work);
    if (!options.keep && result.verdict.total === 0) work.folder.remove();
    return result;
  });
}

async function hurt(options: RunOptions, work: Work): Promise<RunResult> {
  const { gauge, ledger, random, stack, stage, tally } = work;
  const scale = Math.min(1, options.attempts / attemptsDefault);
  const timesMin = Math.max(1, Math.ceil(faultTimesMin * scale));
  const refusalMs = Math.round(sqsRefusalMs * scale);
  const chaos = new Chaos({ stack, stage, random: random.fork("chaos"), tally, attempts: options.attempts });
  const faults = () => faultCounts(stack, tally);
  const rare = () => (ledger.leases < options.attempts ? [] : rareOf(faults(), timesMin));
  const tell = setInterval(() => {
    const { created, leases } = ledger;
    const made = `${created.plain + created.dataset} tasks, ${created.dataset} of them write a dataset`;
    const open = `${gauge.plain + gauge.dataset} not over`;
    const missing = rare().length === 0 ? "" : `; too few yet: ${rare().join(", ")}`;
    work.say(`${leases} attempts of ${options.attempts}; ${made}; ${open}; ${stack.recorder.calls} calls${missing}`);
  }, tellEveryMs);
  try {
    chaos.start({ refuseSqsMs: refusalMs });
    const untilSeconds = work.seconds + (Math.max(1, options.attempts / attemptsDefault) * runMsMax) / 1_000;
    // What is missing when the time is up is told by the findings.
    while (ledger.leases < options.attempts || !chaos.refused || rare().length > 0) {
      if (work.seconds > untilSeconds) break;
      await pause(lookEveryMs);
    }
    work.enough();
    await chaos.stop();
  } finally {
    clearInterval(tell);
  }
  const chaosSeconds = work.seconds;
  work.say("no more faults: the rest is worked off");
  const found = { faults: faults(), faultTimesMin: timesMin, refused: chaos.refused, failures: chaos.failures };
  return { ...(await work.finish()), ...found, chaosSeconds, folder: work.folder.dir };
}

/** The kinds that were had fewer times. */
export function rareOf(faults: ReadonlyMap<string, number>, timesMin: number): string[] {
  return [...faults].filter(([, times]) => times < timesMin).map(([name]) => name);
}

/** Every kind of fault, and how often it was had so far. */
function faultCounts(stack: ChaosStack, tally: Tally): Map<string, number> {
  const sqs = stack.sqs.counts();
  const calls = stack.recorder.counts();
  const postgres = stack.cutter.counts();
  const mine = [
    "workers killed",
    "workers stopped past their lease",
    "clocks of workers set wrong",
    "dispatchers killed",
    "Postgres ended and restarted",
    "backends of Postgres terminated",
  ];
  const done = [
    "late completions",
    "calls of a session that is over",
    "releases",
    "completions made twice",
    "starts made twice",
    "attempts held past their deadline",
    "forged tokens",
    "sessions closed with leases",
    "cancels",
    "cancels of running tasks",
    "replays",
    "retries",
    "calls of the task API",
  ];
  return new Map([
    ...mine.map((name) => [name, tally.get(name)] as const),
    ["connections cut after a commit", postgres.cutAfterCommit],
    ["SQS messages duplicated", sqs.duplicate],
    ["SQS messages delayed", sqs.delay],
    ["SQS messages reordered", sqs.reorder],
    ["SQS messages dropped", sqs.drop],
    ["SQS calls refused", sqs.refuse],
    ["SQS queues purged", sqs.purge],
    ["calls delayed", calls.delay],
    ["answers lost", calls.loseAnswer],
    ["calls repeated word for word", calls.repeat],
    ["completions contradicted", calls.contradict],
    ...done.map((name) => [name, tally.get(name)] as const),
  ]);
}
