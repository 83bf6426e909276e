/** What the checker found: each violation with what, where and why, and the counts that say how much was looked at. */

/** The rules, each with what it holds the system to. docs/checker.md explains them. */
export const rules = {
  one_end: "an attempt ends once: one accepted call, and then only repeats of it",
  same_answer: "the same call again gets the same answer",
  one_completion: "a task is completed by one attempt, the last one it was leased to",
  stale_accept:
    "nothing is accepted of an attempt that is over: superseded, expired, past its deadline, canceled, handed back",
  unknown_token: "nothing is accepted for a token that was never handed out",
  two_live: "a task is leased again only after its lease has ended",
  lease_numbers: "lease numbers are unique and grow, and a token holds its number",
  attempt_numbers: "attempts of a task are counted 1, 2, 3, ...; only what was handed back is counted again",
  ended_task: "a task that is over is not handed out, started or changed, unless it is replayed",
  dead_session: "a session that is over claims nothing and beats no more",
  lost_list: "a heartbeat names every lease sent that is over, every time",
  nonces: "an attempt is bound to one invocation",
  created_once: "a dedupe key makes one task, and every answer names it",
  lost_task: "a task that was created is there",
  unasked_task: "there is no task that nobody created",
  place: "a task is in exactly one place: ready, waiting, leased or over",
  stuck_task: "a task ends, or what it waits for is there to see",
  lost_attempt: "an attempt that was handed out is there",
  attempt_state: "an attempt ended as its caller was told",
  task_state: "a task is in the state that its attempts and its callers' answers say",
  counts: "attempt, failures and lost leases add up, and keep to their bounds",
  dead_errors: "a dead task keeps the error of every attempt",
  commit_numbers: "commit numbers of a dataset are 1, 2, 3, ... without a gap",
  commit_owner: "a commit belongs to exactly one accepted completion, and an accepted completion has its commits",
  answers: "an answer has the form of its call",
} as const;
export type Rule = keyof typeof rules;

export interface Violation {
  readonly rule: Rule;
  readonly what: string;
  readonly why: string;
  readonly task?: string | undefined;
  readonly lease?: number | undefined;
  /** Lines of the history, the last one where it was seen; empty when the database alone shows it. */
  readonly lines: readonly number[];
  /** Judged by time: by how much it was too late, nanoseconds. A clock that was set by as much takes it back. */
  readonly marginNs?: number | undefined;
}

/** Violations kept with their words; all are counted. */
const keptMax = 200;

export class Verdict {
  readonly #found: Violation[] = [];
  readonly #counts = new Map<Rule, number>();
  readonly #facts = new Map<string, number>();
  /** Judged by time and too close to be sure, as the clock was set meanwhile. */
  #takenBack = 0;

  add(violation: Violation): void {
    this.#counts.set(violation.rule, (this.#counts.get(violation.rule) ?? 0) + 1);
    // Those judged by time are all kept: they may be taken back at the end.
    if (this.#found.length < keptMax || violation.marginNs !== undefined) this.#found.push(violation);
  }

  count(fact: string, by = 1): void {
    this.#facts.set(fact, (this.#facts.get(fact) ?? 0) + by);
  }

  fact(name: string): number {
    return this.#facts.get(name) ?? 0;
  }

  get facts(): ReadonlyMap<string, number> {
    return this.#facts;
  }

  /** Takes back what a clock that was set by `stepNs` explains. */
  settleClock(stepNs: number): void {
    for (let index = this.#found.length - 1; index >= 0; index -= 1) {
      const violation = this.#found[index];
      if (violation?.marginNs === undefined || violation.marginNs > stepNs) continue;
      this.#found.splice(index, 1);
      this.#counts.set(violation.rule, (this.#counts.get(violation.rule) ?? 1) - 1);
      this.#takenBack += 1;
    }
    if (this.#takenBack > 0) this.count("taken back, as the clock was set", this.#takenBack);
  }

  /** The first ones, with their words. */
  get violations(): readonly Violation[] {
    return this.#found.slice(0, keptMax);
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  of(rule: Rule): number {
    return this.#counts.get(rule) ?? 0;
  }
}
