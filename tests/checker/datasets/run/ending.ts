/** The end of a run: what is known of commits is read, old ones are given up, and the time passes for garbage. */
import { setTimeout as pause } from "node:timers/promises";
import type { Database } from "@trace/kit";
import { until } from "../../../system/harness/until.ts";
import type { ChaosStack } from "../../run/stack.ts";
import type { Row } from "../check/facts.ts";
import { drainMsMax, garbageMsMax, garbageQuietMsMax, hurryEveryMs, keptAtEnd, lookEveryMs } from "./limits.ts";
import { hurryTasks, purge } from "./people.ts";
import { resolve, type Scene } from "./scene.ts";

const leftText = `select (select count(*)::int from ready) + (select count(*)::int from waiting) + (select count(*)::int from leases) as left`;
const garbageText = `select (select count(*)::int from staging) as places, (select count(*)::int from garbage_files) as files`;
/** The time passes: nobody writes any more, and links are over. */
const ageTexts = [
  "update staging set write_until = write_until - interval '1 day'",
  "update garbage_files set not_before = not_before - interval '1 day'",
];

/** What a dispatcher had begun to delete when it was killed is taken up by others after a time, which passes too. */
const retryText =
  "update staging set deleting_since = deleting_since - interval '1 day' where deleting_since is not null";

interface CommitAnswer {
  readonly commit: number;
  readonly kind: Row["kind"];
  readonly committed_at: string;
  readonly lease_no: number | null;
  readonly append_key: string | null;
  readonly reverted_to: number | null;
  readonly reason: string | null;
  readonly purged_at: string | null;
}

/** Until nothing is live. Answers with how many tasks are not over. */
export async function drain(scene: Scene, db: Database): Promise<number> {
  const untilMs = performance.now() + drainMsMax;
  let hurriedMs = 0;
  for (;;) {
    const left = (await db.raw<{ left: number }>(leftText))[0]?.left ?? 0;
    if (left === 0 || performance.now() > untilMs) return left;
    if (performance.now() - hurriedMs > hurryEveryMs) {
      hurriedMs = performance.now();
      await hurryTasks(scene, false);
    }
    await pause(lookEveryMs);
  }
}

/** Nothing is held any more but by pins: all but the newest commits and pinned ones are given up. */
export async function purgeOld(scene: Scene): Promise<void> {
  for (const dataset of scene.datasets) {
    const purged = async () => {
      const [head] = (await resolve(scene, [{ dataset }])) ?? [];
      if (head?.commit === 0) return true;
      return head !== undefined && purge(scene, dataset, Math.max(1, head.commit - keptAtEnd));
    };
    await until(`'${dataset}' is purged`, purged, drainMsMax);
  }
}

export async function readHistory(scene: Scene): Promise<Map<string, Row[]>> {
  const rows = new Map<string, Row[]>();
  for (const dataset of scene.datasets) rows.set(dataset, await historyOf(scene, dataset));
  return rows;
}

async function historyOf({ wire }: Scene, dataset: string): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | null = null;
  do {
    const from: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const { body, status } = await wire.send({
      via: "user",
      method: "GET",
      path: `/v1/datasets/${dataset}/commits?limit=200${from}`,
    });
    if (status !== 200) throw new Error(`the history of '${dataset}' was answered with ${status}`);
    const page = body as { commits: readonly CommitAnswer[]; next: string | null };
    rows.push(...page.commits.map(rowOf));
    cursor = page.next;
  } while (cursor !== null);
  return rows.reverse();
}

function rowOf(one: CommitAnswer): Row {
  return {
    commit: one.commit,
    kind: one.kind,
    committedAt: one.committed_at,
    lease: one.lease_no ?? undefined,
    appendKey: one.append_key ?? undefined,
    revertedTo: one.reverted_to ?? undefined,
    reason: one.reason ?? undefined,
    purged: one.purged_at !== null,
  };
}

/** Every commit is read once more: those that can be, and those that cannot. */
export async function readAll(scene: Scene, rows: ReadonlyMap<string, readonly Row[]>): Promise<void> {
  for (const [dataset, commits] of rows) {
    await resolve(scene, [{ dataset }]);
    for (const { commit, purged } of commits.slice(-400)) {
      if (!purged || commit % 10 === 0) await resolve(scene, [{ dataset, version: commit }]);
    }
  }
}

/** Lets the time pass and the garbage loops run until they are idle. Answers with rows that are left. */
export async function collect(stack: ChaosStack): Promise<{ places: number; files: number }> {
  for (const text of ageTexts) await stack.db.raw(text);
  // A dispatcher that starts looks at once.
  for (const index of stack.dispatchers.keys()) await stack.killDispatcher(index);
  await stack.db.raw(retryText);
  const beganMs = performance.now();
  let least = Number.POSITIVE_INFINITY;
  let movedMs = beganMs;
  for (;;) {
    const [left = { places: 0, files: 0 }] = await stack.db.raw<{ places: number; files: number }>(garbageText);
    const sum = left.places + left.files;
    const nowMs = performance.now();
    if (sum < least) {
      least = sum;
      movedMs = nowMs;
    }
    if (sum === 0 || nowMs - beganMs > garbageMsMax || nowMs - movedMs > garbageQuietMsMax) return left;
    await pause(lookEveryMs);
  }
}

export function postgresAnswers(db: Database): Promise<boolean> {
  return until("Postgres answers", async () => (await db.raw("select 1")).length === 1, drainMsMax);
}
