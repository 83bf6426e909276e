/** What everybody of a run shares: the ways to the system, what was seen so far, and whether there is enough of it. */
import { setTimeout as pause } from "node:timers/promises";
import type { SeededRandom } from "../../../faults/random.ts";
import type { Tally } from "../../run/tally.ts";
import type { Asked, Claim, End, Other, Pin, Purge, Read, Replay, Revert, Seen } from "../check/facts.ts";
import { type ListedFile, Lists } from "../check/lists.ts";
import type { Verdict } from "../check/verdict.ts";
import type { Objects } from "./objects.ts";
import type { DatasetSet } from "./plan.ts";
import { codeOf, type Wire } from "./wire.ts";

/** Facts in the order in which they became known. */
export class Facts {
  readonly claims: Claim[] = [];
  readonly ends: End[] = [];
  readonly others: Other[] = [];
  readonly reverts: Revert[] = [];
  readonly purges: Purge[] = [];
  readonly pins: (Pin & { readonly pin: string })[] = [];
  readonly replays: Replay[] = [];
  readonly reads: Read[] = [];
  readonly lists = new Lists();
  /** The newest commit that was seen, by dataset. */
  readonly heads = new Map<string, number>();
  /** Of every object who stored it, and for what. */
  readonly stored = new Map<string, { readonly lease: number; readonly dataset: string }>();
}

interface ResolvedFile extends Omit<ListedFile, "partition"> {
  readonly partition?: string;
  readonly url?: string;
}

export interface Resolved extends Seen {
  readonly dataset: string;
  readonly files: readonly (ListedFile & { readonly url?: string | undefined })[];
}

interface ResolveAnswer {
  readonly datasets: readonly {
    readonly dataset: string;
    readonly commit: number;
    readonly committed_at: string | null;
    readonly files: readonly ResolvedFile[];
  }[];
}

export interface Scene {
  readonly wire: Wire;
  readonly objects: Objects;
  readonly facts: Facts;
  readonly tally: Tally;
  /** What is wrong whatever else is known. */
  readonly verdict: Verdict;
  readonly random: SeededRandom;
  readonly sets: readonly DatasetSet[];
  readonly datasets: readonly string[];
  /** Aborted when the run has enough: nobody begins anything new. */
  readonly enough: AbortSignal;
  /** From then on writers do their work and nothing else. */
  readonly calm: AbortSignal;
}

export function wait({ enough }: Pick<Scene, "enough">, ms: number): Promise<void> {
  return pause(ms, undefined, { signal: enough }).catch(() => undefined); // the run has enough
}

/** Calls `act` again and again; what it throws ends the run. */
export async function every(scene: Scene, ms: number, random: SeededRandom, act: () => Promise<void>): Promise<void> {
  while (!scene.enough.aborted) {
    await wait(scene, ms * (0.5 + random.next()));
    if (!scene.enough.aborted) await act();
  }
}

/** Reads several datasets in one snapshot, and keeps what was seen. Undefined: refused, or no answer. */
export async function resolve(scene: Scene, asked: readonly Asked[], presign = false): Promise<Resolved[] | undefined> {
  const datasets = asked.map(({ dataset, version, moment, partitions }) => ({
    dataset,
    version,
    timestamp: moment,
    partitions,
  }));
  const answer = await scene.wire.send({
    via: "user",
    method: "POST",
    path: "/v1/datasets/resolve",
    body: { datasets, presign },
  });
  return keepRead(scene, asked, answer);
}

export function keepRead(
  { facts, tally }: Scene,
  asked: readonly Asked[],
  answer: Awaited<ReturnType<Wire["send"]>>,
): Resolved[] | undefined {
  const { sentMs, answeredMs } = answer;
  if (answeredMs === undefined) {
    tally.add("reads without an answer");
    return undefined;
  }
  const code = codeOf(answer);
  if (code !== undefined) {
    facts.reads.push({ sentMs, answeredMs, asked, seen: undefined, code });
    return undefined;
  }
  const resolved = (answer.body as ResolveAnswer).datasets.map((one) => {
    const files = one.files.map(({ key, sha256, bytes, rows, partition = "", url }) => ({
      key,
      sha256,
      bytes,
      rows,
      partition,
      url,
    }));
    const listed = files.map(({ url: _, ...file }) => file);
    return {
      dataset: one.dataset,
      commit: one.commit,
      committedAt: one.committed_at,
      list: facts.lists.add(listed),
      files,
    };
  });
  const seen = resolved.map(({ commit, committedAt, list }) => ({ commit, committedAt, list }));
  facts.reads.push({ sentMs, answeredMs, asked, seen, code: undefined });
  for (const { dataset, commit } of resolved) facts.heads.set(dataset, Math.max(commit, facts.heads.get(dataset) ?? 0));
  return resolved;
}
