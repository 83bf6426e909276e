/**
 * The test of the checker: a dispatcher whose fence is broken in one line must make it see stale accepts, and the same run
 * with the fence as it is must make it see nothing.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Chaos } from "./chaos.ts";
import { PackagesCopy } from "./copy.ts";
import { fenceLateMin, fenceMsMax, fenceSlots, fenceTtlMs, fenceWorkers } from "./limits.ts";
import type { Finding } from "./report.ts";
import { type Judged, type Say, Work } from "./work.ts";

/**
 * The condition by which a completion is judged when its locks are held. Without it, whoever still finds its lease's row is let
 * in: a worker that is late, until the reaper has come by.
 */
export const brokenFence = {
  file: "packages/dispatcher/src/sql/statements.gen.ts",
  condition:
    "where h.plain and h.deadline > clock_timestamp()\\n     and (h.session_id in (select session_id from session where closed_at is null and expires_at > clock_timestamp())) is true",
  without: "where h.plain",
};

const stories = ["late", "workers stopped past their lease"] as const;
const lookEveryMs = 200;

export interface FenceOptions {
  readonly seed: string;
  readonly say: Say;
}

export async function fence({ seed, say }: FenceOptions): Promise<Finding[]> {
  const copy = new PackagesCopy();
  try {
    copy.replaceOnce(brokenFence.file, brokenFence.condition, brokenFence.without);
    say("a dispatcher with a broken fence, and late workers");
    const red = await latecomers({ seed, say, dispatcherFile: copy.mainFile, untilLetIn: true });
    say("the same with the fence as it is");
    const green = await latecomers({ seed, say });
    const seen = red.verdict.of("stale_accept");
    const found = red.verdict.violations.find(({ rule }) => rule === "stale_accept");
    if (found !== undefined) say(`  ${found.what}: ${found.why}`);
    return [
      { ok: seen > 0, what: `the checker sees ${seen} stale accepts when the fence is broken, at least 1` },
      { ok: green.verdict.total === 0, what: `and finds nothing when it is not: ${green.verdict.total} violations` },
    ];
  } finally {
    copy.remove();
  }
}

interface Latecomers extends FenceOptions {
  readonly dispatcherFile?: string;
  /** Goes on until one of them was let in: who comes after the reaper finds no lease, whatever the fence is. */
  readonly untilLetIn?: boolean;
}

/** Workers that come back late, by hundreds, to one dispatcher. */
function latecomers(options: Latecomers): Promise<Judged> {
  const system = {
    ...options,
    dispatchers: 1,
    workers: fenceWorkers,
    workerSlots: fenceSlots,
    sessionTtlMs: fenceTtlMs,
    calm: true,
  };
  return Work.with(system, async (work) => {
    const { stack, stage, tally, random } = work;
    const chaos = new Chaos({
      stack,
      stage,
      random: random.fork("chaos"),
      tally,
      attempts: Number.MAX_SAFE_INTEGER,
      only: stories,
      haste: 12,
    });
    chaos.start({});
    const enough = () =>
      tally.get("late calls") >= fenceLateMin &&
      (options.untilLetIn !== true || tally.get("late completions let in") > 0);
    while (!enough() && work.seconds * 1_000 < fenceMsMax) await pause(lookEveryMs);
    work.enough();
    await chaos.stop();
    for (const failure of chaos.failures) throw failure;
    const judged = await work.finish();
    work.say(
      `${tally.get("late calls")} late calls, ${judged.verdict.fact("attempts")} attempts, ${judged.verdict.total} violations`,
    );
    work.folder.remove();
    return judged;
  });
}
