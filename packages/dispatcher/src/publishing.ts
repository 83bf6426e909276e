/**
 * Attempts of jobs that read or write datasets end here: those that come at the same time share a transaction, which locks their
 * leases, their jobs and their generations, each kind in its order, and then publishes, ends and starts what follows for all of them
 * by the same few statements. Two that touch the same partitions, or all of one dataset, go one after the other.
 */
import { type AttemptResult, TraceError } from "@trace/contracts";
import type { Database, Queryable, RacePoints } from "@trace/kit";
import { Coalescer } from "./coalescer.ts";
import { type Published, publishAll } from "./commits.ts";
import { type Ending, end, follow, lockLive } from "./endings.ts";
import type { Events } from "./events.ts";
import { publishBatchMax, publishesInFlightMax, publishesWaitingMax, publishFilesMax, slowBatchMs } from "./limits.ts";
import type { CheckedOutput } from "./manifests.ts";
import type { LockLeasesRow } from "./sql/statements.gen.ts";
import { invalidate, lockTriggered } from "./triggers.ts";
import type { WakeupRow } from "./wakeups.ts";

/** An attempt that wants to end. */
export interface EndingAttempt {
  readonly token: Buffer;
  readonly jobId: number;
  readonly partition: string;
  readonly result: AttemptResult;
  readonly outputs: readonly CheckedOutput[];
}

/** It ended so; it is refused and keeps its lease; or its lease is not live. */
export type Ended = Ending | TraceError | undefined;

export interface PublishingOptions {
  readonly db: Database;
  readonly outgoing: Events;
  readonly race: RacePoints;
  /** How an attempt ends that published this, or is to run again. */
  endingOf(lease: LockLeasesRow, result: AttemptResult, published: Published): Ending;
  /** These were committed. */
  told(endings: readonly Ending[], wakeups: readonly WakeupRow[]): void;
}

export class Publishing {
  readonly #options: PublishingOptions;
  readonly #together: Coalescer<EndingAttempt, Ended>;

  constructor(options: PublishingOptions) {
    this.#options = options;
    this.#together = new Coalescer({
      name: "commits",
      slowMs: slowBatchMs,
      batchMax: publishBatchMax,
      inFlightMax: publishesInFlightMax,
      waitingMax: publishesWaitingMax,
      run: (attempts) => this.#run(attempts),
    });
  }

  async end(attempt: EndingAttempt): Promise<Ended> {
    const [ended] = await this.#together.call([attempt]);
    return ended;
  }

  async #run(attempts: readonly EndingAttempt[]): Promise<Ended[]> {
    const ended = new Map<EndingAttempt, Ended>();
    for (const round of roundsOf(attempts)) {
      const { endings, outcomes, wakeups } = await this.#options.db.transaction((tx) => this.#publish(tx, round));
      this.#options.told(endings, wakeups);
      for (const [attempt, outcome] of outcomes) ended.set(attempt, outcome);
    }
    return attempts.map((attempt) => ended.get(attempt));
  }

  async #publish(tx: Queryable, round: readonly EndingAttempt[]) {
    const { outgoing, race } = this.#options;
    const held = await lockLive(
      tx,
      round.map((attempt) => attempt.token),
    );
    const paused = race.reach("complete:locked");
    if (paused) await paused;
    const leases = new Map(held.map((lease) => [lease.token.toString("hex"), lease]));
    const live = round.flatMap((attempt) => {
      const lease = leases.get(attempt.token.toString("hex"));
      return lease === undefined ? [] : [{ attempt, lease, result: attempt.result, outputs: attempt.outputs }];
    });
    const outcomes = new Map<EndingAttempt, Ended>();
    if (live.length === 0) return { endings: [], outcomes, wakeups: [] };
    const locked = await lockTriggered(
      tx,
      [...new Set(live.map(({ lease }) => lease.job_id))],
      [...new Set(live.flatMap(({ outputs }) => outputs.map((output) => output.place.generationId)))],
    );
    const published = await publishAll(tx, live);
    // What is decided is not seen by anybody yet: this is what a slow commit looks like.
    const slow = race.reach("complete:published");
    if (slow) await slow;
    const accepted: { lease: LockLeasesRow; published: Published; ending: Ending }[] = [];
    for (const [at, { attempt, lease, result }] of live.entries()) {
      const outcome = published[at];
      if (outcome === undefined) throw new Error("an attempt without a verdict");
      if (outcome instanceof TraceError) outcomes.set(attempt, outcome);
      else {
        const ending = this.#options.endingOf(lease, result, outcome);
        outcomes.set(attempt, ending);
        accepted.push({ lease, published: outcome, ending });
      }
    }
    const endings = accepted.map(({ ending }) => ending);
    const wakeups = await end(tx, endings, outgoing);
    for (const [runId, ofRun] of Map.groupBy(accepted, ({ lease }) => lease.run_id)) {
      await invalidate(
        tx,
        locked,
        ofRun.flatMap((one) => one.published.committed),
        runId,
      );
    }
    await outgoing.write(tx, accepted.flatMap(committedEvents));
    return { endings, outcomes, wakeups: [...wakeups, ...(await follow(tx, endings, locked))] };
  }
}

function committedEvents({ lease, published }: { lease: LockLeasesRow; published: Published }) {
  const { org_id, job_id, public_id: task_id, attempt } = lease;
  const made = published.refs.filter((ref) => ref.outcome === "committed");
  return made.map(({ outcome: _, ...ref }) => ({
    type: "dataset.committed" as const,
    org_id,
    job_id,
    task_id,
    attempt,
    ...ref,
  }));
}

/** In the order they came, so that what must not go together does not, and no transaction is too large. */
export function roundsOf(attempts: readonly EndingAttempt[]): EndingAttempt[][] {
  const rounds: { attempts: EndingAttempt[]; taken: Set<string>; files: number }[] = [];
  for (const attempt of attempts) {
    const files = attempt.outputs.reduce(
      (sum, one) => sum + (one.kind === "staged" ? one.manifest.files.length : 0),
      0,
    );
    const claims = claimsOf(attempt);
    // Never before a round that it could not go with: what came first is decided first.
    let at = rounds.findLastIndex((round) => claims.some((claim) => conflicts(round.taken, claim))) + 1;
    while (rounds[at] !== undefined && (rounds[at]?.files ?? 0) + files > publishFilesMax) at += 1;
    const round = rounds[at] ?? { attempts: [], taken: new Set<string>(), files: 0 };
    rounds[at] = round;
    round.attempts.push(attempt);
    round.files += files;
    for (const claim of claims) {
      round.taken.add(claim.key);
      if (claim.generation !== undefined) round.taken.add(`${claim.generation}:*`);
    }
  }
  return rounds.map((round) => round.attempts);
}

interface Claim {
  readonly key: string;
  /** Of an output: the generation, of which all else is free if only one partition is replaced. */
  readonly generation?: number;
  readonly all: boolean;
}

/** What an attempt must have for itself: its lease, the output of its job, and what it writes. */
function claimsOf({ token, jobId, partition, outputs }: EndingAttempt): Claim[] {
  const own = [
    { key: `lease:${token.toString("hex")}`, all: false },
    { key: `job:${jobId}:${partition}`, all: false },
  ];
  return [
    ...own,
    ...outputs.map(({ place }): Claim => {
      const all = place.partitionBy !== null || place.strategy === "append";
      const generation = place.generationId;
      return { key: all ? `${generation}:all` : `${generation}:=${partition}`, generation, all };
    }),
  ];
}

function conflicts(taken: ReadonlySet<string>, { key, generation, all }: Claim): boolean {
  if (taken.has(key)) return true;
  if (generation === undefined) return false;
  return all ? taken.has(`${generation}:*`) : taken.has(`${generation}:all`);
}
