/** What is known of every attempt and commit, put together from the facts: who published what, and the states that follow. */
import type { Claim, Content, End, History, Revert, Row, Shape } from "./facts.ts";
import { apply, type ModelFile, type Step } from "./model.ts";
import type { Verdict } from "./verdict.ts";

export interface Attempt {
  readonly claim: Claim;
  /** Every completion that was called for it, in the order sent. */
  readonly ends: readonly End[];
}

/** A dataset with every commit and what it holds there. */
export interface Told {
  readonly name: string;
  readonly shape: Shape;
  /** Commit n is at n - 1. */
  readonly steps: readonly Step[];
}

export const never = Number.POSITIVE_INFINITY;

export function answeredBy(span: { readonly answeredMs: number | undefined }): number {
  return span.answeredMs ?? never;
}

export class World {
  readonly history: History;
  readonly attempts = new Map<number, Attempt>();
  /** By task, in the order of their leases. */
  readonly tasks = new Map<string, Attempt[]>();
  readonly told = new Map<string, Told>();
  readonly #reverts: ReadonlyMap<string, readonly Revert[]>;

  constructor(history: History, verdict: Verdict) {
    this.history = history;
    this.#reverts = Map.groupBy(history.reverts, (call) => call.reason);
    const ends = Map.groupBy(history.ends, (end) => end.lease);
    for (const claim of history.claims) {
      const called = (ends.get(claim.lease) ?? []).toSorted((a, b) => a.sentMs - b.sentMs);
      this.attempts.set(claim.lease, { claim, ends: called });
    }
    for (const attempt of [...this.attempts.values()].sort((a, b) => a.claim.lease - b.claim.lease)) {
      const { task } = attempt.claim;
      this.tasks.set(task, [...(this.tasks.get(task) ?? []), attempt]);
    }
    for (const [name, shape] of history.shapes) {
      this.told.set(name, { name, shape, steps: this.#steps(name, shape, history.rows.get(name) ?? [], verdict) });
    }
  }

  step(dataset: string, commit: number): Step | undefined {
    return this.told.get(dataset)?.steps[commit - 1];
  }

  /** The calls that asked for a revert; the same words may have been sent again. */
  revertsOf(row: Row): readonly Revert[] {
    return row.reason === undefined ? [] : (this.#reverts.get(row.reason) ?? []);
  }

  /** The call whose effect a commit is: the one that was accepted, or one whose answer nobody heard. */
  endOf(lease: number): End | undefined {
    const ends = this.attempts.get(lease)?.ends ?? [];
    return (
      ends.find((end) => end.accepted) ?? ends.find((end) => end.answeredMs === undefined && end.lie === undefined)
    );
  }

  /** Inputs of the attempts that made these files. */
  holders(files: readonly ModelFile[]): Claim[] {
    const leases = new Set(files.map((file) => file.lease));
    return [...leases].flatMap((lease) => this.attempts.get(lease)?.claim ?? []);
  }

  fingerprintOf(lease: number, dataset: string): string | undefined {
    return this.endOf(lease)?.contents.get(dataset)?.fingerprint;
  }

  #steps(name: string, shape: Shape, rows: readonly Row[], verdict: Verdict): Step[] {
    const steps: Step[] = [];
    for (const row of rows) {
      if (row.commit !== steps.length + 1) {
        verdict.add("numbers", name, `commit ${row.commit} follows commit ${steps.length}`, "numbers have no gaps");
        return steps;
      }
      steps.push(apply(shape, row, steps, this.#contentOf(name, row), this.revertsOf(row)[0]?.partitions));
    }
    return steps;
  }

  #contentOf(name: string, { lease }: Row): { content: Content; partition: string } | undefined {
    if (lease === undefined) return undefined;
    const content = this.endOf(lease)?.contents.get(name);
    const claim = this.attempts.get(lease)?.claim;
    return content === undefined || claim === undefined ? undefined : { content, partition: claim.partition };
  }
}
