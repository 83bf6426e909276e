/** Reads against the states that follow from the commits: every list that any reader ever saw. */
import type { Asked, Pin, Read, Seen } from "./facts.ts";
import { difference, digestOf, type Lists } from "./lists.ts";
import { visible } from "./model.ts";
import type { Verdict } from "./verdict.ts";
import { answeredBy, type World } from "./world.ts";

/** Two clocks of one machine, read one after the other, milliseconds. */
const slackMs = 100;

export class Reads {
  readonly #world: World;
  readonly #lists: Lists;
  readonly #verdict: Verdict;
  readonly #digests = new Map<string, string>();
  /** Lists that were told already. */
  readonly #told = new Set<string>();

  constructor(world: World, lists: Lists, verdict: Verdict) {
    this.#world = world;
    this.#lists = lists;
    this.#verdict = verdict;
  }

  check(): void {
    const reads = this.#world.history.reads;
    for (const read of reads) {
      for (const [place, asked] of read.asked.entries()) {
        const seen = read.seen?.[place];
        if (seen !== undefined) this.#checkSeen(asked, seen);
      }
      if (read.code !== undefined) this.#checkRefused(read);
      this.#checkTogether(read);
    }
    this.#checkSame(reads);
    this.#checkHeads(reads);
  }

  #checkSeen(asked: Asked, { commit, committedAt, list }: Seen): void {
    this.#verdict.count("snapshots read");
    const { dataset, partitions, from } = asked;
    const step = this.#world.step(dataset, commit);
    if (commit > 0 && step === undefined) {
      this.#verdict.add("contents", dataset, `commit ${commit} was read`, "the dataset has no such commit");
      return;
    }
    if (asked.version !== undefined && asked.version !== commit)
      this.#verdict.add("contents", dataset, `commit ${asked.version} was asked for`, `commit ${commit} was read`);
    if (asked.moment !== undefined) this.#checkMoment(dataset, asked.moment, commit);
    if (committedAt !== (step?.row.committedAt ?? null)) {
      const why = `its history says ${step?.row.committedAt}`;
      this.#verdict.add("times", dataset, `commit ${commit} was read as of ${committedAt}`, why);
    }
    const at = JSON.stringify([dataset, commit, partitions ?? null, from ?? null]);
    const files = () => (step === undefined ? [] : visible(step.state, partitions, from));
    const expected = this.#digests.get(at) ?? digestOf(files());
    this.#digests.set(at, expected);
    if (expected === list || this.#told.has(at + list)) return;
    this.#told.add(at + list);
    const what = `commit ${commit}${partitions === undefined ? "" : ` (${partitions.join(", ")})`}${from === undefined ? "" : ` from ${from}`}`;
    this.#verdict.add("contents", dataset, what, difference(files(), this.#lists.get(list)));
  }

  #checkMoment(dataset: string, moment: string, commit: number): void {
    const last = this.#atMoment(dataset, moment);
    if (last === commit) return;
    const why = `the last one that is not later is commit ${last}`;
    this.#verdict.add("moment", dataset, `as of ${moment} commit ${commit} was read`, why);
  }

  #atMoment(dataset: string, moment: string): number {
    const rows = this.#world.told.get(dataset)?.steps ?? [];
    return rows.findLast(({ row }) => row.committedAt <= moment)?.row.commit ?? 0;
  }

  /** What was read of a commit, all of it, is the same each time, whatever the model says of it. */
  #checkSame(reads: readonly Read[]): void {
    const first = new Map<string, string>();
    for (const { asked, seen } of reads) {
      for (const [place, { dataset, partitions, from }] of asked.entries()) {
        const one = seen?.[place];
        if (one === undefined || partitions !== undefined || from !== undefined) continue;
        const at = `${dataset}@${one.commit}`;
        const list = first.get(at);
        if (list === undefined) first.set(at, one.list);
        else if (list !== one.list && !this.#told.has(`${at} ${one.list}`)) {
          this.#told.add(`${at} ${one.list}`);
          const why = difference(this.#lists.get(list), this.#lists.get(one.list));
          this.#verdict.add("snapshot", dataset, `commit ${one.commit} was read with another list before`, why);
        }
      }
    }
  }

  /** What is refused must have been purged, by somebody who was allowed to. */
  #checkRefused(read: Read): void {
    this.#verdict.count(`reads refused (${read.code})`);
    if (read.code !== "TR-4021" && read.code !== "TR-4020") return;
    // Of several, one is enough: which one it was, its answer does not say for sure.
    if (read.asked.some((asked) => this.#mayBeRefused(asked, read))) return;
    const names = read.asked.map(({ dataset, version, moment }) => `${dataset}@${version ?? moment ?? "head"}`);
    this.#verdict.add("pinned", names.join(", "), `was refused with ${read.code}`, this.#held(read));
  }

  #held({ asked, ...read }: Read): string {
    const pin = asked.flatMap((one) => this.#pinOf(one, read) ?? [])[0];
    return pin === undefined ? "nobody had purged it" : `commit ${pin.commit} of '${pin.dataset}' was pinned`;
  }

  #mayBeRefused(asked: Asked, read: Pick<Read, "sentMs" | "answeredMs" | "code">): boolean {
    const { dataset, version, moment } = asked;
    const steps = this.#world.told.get(dataset)?.steps ?? [];
    if (read.code === "TR-4020") {
      if (moment !== undefined) return this.#atMoment(dataset, moment) === 0;
      // That a commit was there nobody knew for sure before its number was read or told.
      return version !== undefined && !this.#known(dataset, version, read.sentMs);
    }
    const commit = version ?? (moment === undefined ? undefined : this.#atMoment(dataset, moment));
    if (this.#pinOf({ dataset, version: commit }, read) !== undefined) return false;
    return this.#world.history.purges.some(
      (purge) =>
        purge.dataset === dataset &&
        purge.sentMs < answeredBy(read) &&
        purge.code === undefined &&
        purge.before > (commit ?? 0) &&
        purge.before <= steps.length,
    );
  }

  #known(dataset: string, commit: number, atMs: number): boolean {
    return this.#world.history.reads.some(
      (read) =>
        answeredBy(read) < atMs &&
        read.asked.some((one, place) => one.dataset === dataset && (read.seen?.[place]?.commit ?? 0) >= commit),
    );
  }

  /** A pin that stood from before the read was sent until after it was answered. */
  #pinOf({ dataset, version }: Asked, { sentMs, answeredMs }: Pick<Read, "sentMs" | "answeredMs">): Pin | undefined {
    if (version === undefined || answeredMs === undefined) return undefined;
    return this.#world.history.pins.find(
      (pin) =>
        pin.dataset === dataset &&
        pin.commit === version &&
        answeredBy(pin) < sentMs &&
        (pin.droppedMs ?? answeredMs + 1) > answeredMs &&
        (pin.expiresMs ?? answeredMs + slackMs + 1) > answeredMs + slackMs,
    );
  }

  /** A completion that commits to several is in a snapshot of them, or is not: never by half. */
  #checkTogether({ asked, seen }: Read): void {
    if (seen === undefined) return;
    for (const [one, other] of this.#world.history.together) {
      const [left, right] = [one, other].map((name) =>
        asked.findIndex((ask) => ask.dataset === name && ask.version === undefined),
      );
      const [a, b] = [seen[left ?? -1]?.commit, seen[right ?? -1]?.commit];
      if (a === undefined || b === undefined || asked[left ?? -1]?.moment !== asked[right ?? -1]?.moment) continue;
      this.#verdict.count("snapshots of datasets committed together");
      const leases = new Map(this.#world.told.get(other)?.steps.map(({ row }) => [row.lease, row.commit]));
      for (const { row } of this.#world.told.get(one)?.steps.slice(Math.max(0, a - 20), a + 20) ?? []) {
        const partner = row.lease === undefined ? undefined : leases.get(row.lease);
        if (partner === undefined || row.commit <= a === partner <= b) continue;
        const what = `commits ${a} of '${one}' and ${b} of '${other}' were read in one snapshot`;
        this.#verdict.add("together", one, what, `lease ${row.lease} made ${row.commit} and ${partner} together`);
      }
    }
  }

  /** What somebody was told is there for whoever asks after that. */
  #checkHeads(reads: readonly Read[]): void {
    const knew: { ms: number; dataset: string; commit: number }[] = [];
    for (const read of reads)
      for (const [place, { dataset }] of read.asked.entries())
        if (read.seen?.[place] !== undefined)
          knew.push({ ms: answeredBy(read), dataset, commit: read.seen[place]?.commit ?? 0 });
    for (const end of this.#world.history.ends)
      for (const { dataset, commit } of end.accepted ? end.published : [])
        knew.push({ ms: answeredBy(end), dataset, commit });
    knew.sort((a, b) => a.ms - b.ms);
    const least = new Map<string, number>();
    let next = 0;
    for (const read of reads.toSorted((a, b) => a.sentMs - b.sentMs)) {
      for (let one = knew[next]; one !== undefined && one.ms < read.sentMs; one = knew[next]) {
        least.set(one.dataset, Math.max(one.commit, least.get(one.dataset) ?? 0));
        next += 1;
      }
      for (const [place, { dataset, version, moment }] of read.asked.entries()) {
        const seen = read.seen?.[place];
        if (seen === undefined || version !== undefined || moment !== undefined) continue;
        const known = least.get(dataset) ?? 0;
        if (seen.commit < known) {
          const why = `commit ${known} had been told of before`;
          this.#verdict.add("head", dataset, `commit ${seen.commit} was read as the head`, why);
        }
      }
    }
  }
}
