/** One run: the system is started, worked and hurt, drained, dumped and judged. */
import { statSync } from "node:fs";
import { createClient, taskRoutes } from "@trace/contracts";
import { HttpTransport } from "@trace/kit";
import { SeededRandom } from "../../faults/random.ts";
import { until } from "../../system/harness/until.ts";
import { checkFiles } from "../check/check.ts";
import type { Verdict } from "../check/verdict.ts";
import { Chaos } from "./chaos.ts";
import { drain } from "./drain.ts";
import { writeDump } from "./dump.ts";
import { RunFolder } from "./folder.ts";
import { Gauge } from "./gauge.ts";
import { Ledger } from "./ledger.ts";
import {
  attemptsDefault,
  dispatchers,
  faultTimesMin,
  readyMsMax,
  runMsMax,
  sessionTtlMs,
  sqsRefusalMs,
  tellEveryMs,
  workerSlots,
  workers,
} from "./limits.ts";
import { datasetSource, plainSource } from "./plan.ts";
import { Producer } from "./producer.ts";
import type { Stage } from "./puppets.ts";
import { ChaosStack } from "./stack.ts";
import { Tally } from "./tally.ts";

export interface RunOptions {
  readonly attempts: number;
  readonly seed: string;
  /** The folder stays, to be looked at. */
  readonly keep: boolean;
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly verdict: Verdict;
  /** Each kind of fault, and how often it was had. */
  readonly faults: ReadonlyMap<string, number>;
  readonly faultTimesMin: number;
  readonly refused: boolean;
  readonly failures: readonly unknown[];
  /** Tasks that were not over at the end of the drain. */
  readonly left: number;
  readonly seconds: { readonly chaos: number; readonly drain: number; readonly check: number };
  readonly historyBytes: number;
  readonly folder: string;
}

export async function run(options: RunOptions): Promise<RunResult> {
  RunFolder.removeLeftovers();
  const folder = new RunFolder();
  const random = new SeededRandom(options.seed);
  const stack = await ChaosStack.create({ folder, random, dispatchers, workers, workerSlots, sessionTtlMs });
  try {
    await stack.start();
    const result = await work(options, stack, folder, random);
    if (options.keep || result.verdict.total > 0) folder.removePostgres();
    else folder.remove();
    return result;
  } catch (error) {
    await stack.abandon();
    folder.removePostgres();
    options.say(`the run broke off; its folder is kept: ${folder.dir}`);
    throw error;
  }
}

async function work(
  options: RunOptions,
  stack: ChaosStack,
  folder: RunFolder,
  random: SeededRandom,
): Promise<RunResult> {
  const { say } = options;
  const ledger = new Ledger();
  const tally = new Tally();
  stack.recorder.onAnswer((recorded) => ledger.read(recorded));
  const user = stack.userClient();
  for (const source of [plainSource(), datasetSource()])
    await user.deploy({ body: { file_name: "checker.yaml", source } });
  const task = new HttpTransport({
    baseUrl: stack.recorder.url("task"),
    token: () => Promise.reject(new Error("no lease token")),
  });
  const stage: Stage = {
    worker: stack.workerClient(),
    user,
    task: createClient(taskRoutes, task.send),
    ledger,
    random: random.fork("puppets"),
    tally,
  };
  const scale = Math.min(1, options.attempts / attemptsDefault);
  const timesMin = Math.max(1, Math.ceil(faultTimesMin * scale));
  const chaos = new Chaos({
    stack,
    stage,
    random: random.fork("chaos"),
    tally,
    sqsRefusalMs: Math.round(sqsRefusalMs * scale),
  });
  const gauge = new Gauge(stack.db);
  const producer = new Producer({ api: user, ledger, gauge, random });
  const beganMs = performance.now();
  const seconds = (sinceMs: number) => (performance.now() - sinceMs) / 1_000;
  const since = () => `${seconds(beganMs).toFixed(0).padStart(4)} s`;
  const progress = setInterval(() => {
    const { created, leases } = ledger;
    const made = `${created.plain + created.dataset} tasks, ${created.dataset} of them write a dataset`;
    const open = `${gauge.plain + gauge.dataset} not over`;
    const rare = leases < options.attempts ? [] : rareOf(faults(), timesMin);
    const missing = rare.length === 0 ? "" : `; too few yet: ${rare.join(", ")}`;
    say(
      `${since()}  ${leases} attempts of ${options.attempts}; ${made}; ${open}; ${stack.recorder.calls} calls${missing}`,
    );
  }, tellEveryMs);
  const faults = () => faultCounts(stack, tally);
  try {
    await gauge.start();
    await producer.start();
    chaos.start();
    const enough = () => ledger.leases >= options.attempts && chaos.refused && rareOf(faults(), timesMin).length === 0;
    await until(
      "the attempts and the faults of the run are had",
      enough,
      Math.max(1, options.attempts / attemptsDefault) * runMsMax,
    );
    await producer.stop();
    await gauge.stop();
    await chaos.stop();
  } finally {
    clearInterval(progress);
  }
  const chaosSeconds = seconds(beganMs);
  const drainMs = performance.now();
  say(`${since()}  no more faults: the rest is worked off`);
  await until("Postgres answers", async () => (await stack.db.raw("select 1")).length === 1, readyMsMax);
  let told = performance.now();
  const left = await drain(stack.db, user, (count) => {
    if (performance.now() - told < tellEveryMs) return;
    told = performance.now();
    say(`${since()}  ${count} tasks are not over`);
  });
  await task.stop();
  const found = { faults: faults(), refused: chaos.refused, failures: chaos.failures, left };
  await writeDump(stack.db, folder.dump);
  await stack.stop();
  const drainSeconds = seconds(drainMs);
  const checkMs = performance.now();
  const verdict = await checkFiles(folder.history, folder.dump);
  return {
    ...found,
    verdict,
    faultTimesMin: timesMin,
    seconds: { chaos: chaosSeconds, drain: drainSeconds, check: seconds(checkMs) },
    historyBytes: statSync(folder.history).size,
    folder: folder.dir,
  };
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
