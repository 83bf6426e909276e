/**
 * Whether a commit is news. Attempts of one partition may end in another order than they began, may have begun before somebody
 * took back what they build on, and may run a second time; readers must never be moved back by any of it.
 */

/** One input as an attempt read it. */
export interface ReadInput {
  readonly dataset_id: number;
  /** Number of the generation; a later one is newer whatever its commits, and that which the job reads now is the latest. */
  readonly generation: number;
  readonly commit: number;
}

export type Order = "newer" | "older" | "same" | "incomparable";

/** How what was read by one attempt stands to what was read by another. An input that only one of them has says nothing. */
export function compareInputs(ours: readonly ReadInput[], theirs: readonly ReadInput[]): Order {
  const others = new Map(theirs.map((input) => [input.dataset_id, input]));
  let newer = false;
  let older = false;
  for (const input of ours) {
    const other = others.get(input.dataset_id);
    if (other === undefined) continue;
    const by = input.generation - other.generation || input.commit - other.commit;
    if (by > 0) newer = true;
    if (by < 0) older = true;
  }
  if (newer && older) return "incomparable";
  return newer ? "newer" : older ? "older" : "same";
}

/** What is known of one output when its generation is locked. */
export interface OutputFacts {
  readonly strategy: "replace" | "append";
  /** The head of the dataset when the attempt was claimed. */
  readonly claimedHead: number;
  /** The newest revert of the partitions that the attempt writes; 0: none. */
  readonly revertedCommit: number;
  readonly ours: readonly ReadInput[];
  /** What the content of those partitions, or of the append's slice, was made from. */
  readonly lasts: readonly (readonly ReadInput[])[];
  /** Of an append: the slice as the dataset has it, and the head when the task fixed it or was asked for it by hand. */
  readonly slice: { readonly revertedCommit: number | null; readonly fixedAtHead: number } | null;
  /** The dataset holds the same content already, live, at this commit. */
  readonly sameContent: number | null;
}

export type Verdict =
  /** It moves the dataset. */
  | "commit"
  /** It is what is there. */
  | "unchanged"
  /** It is what is there, and what is there was made from older inputs: these are noted, or an attempt in between would count as news. */
  | "confirmed"
  /** What is there was made from newer inputs: the attempt's work is done, and of no use. */
  | "superseded"
  /** Somebody took back the partition while the attempt ran: its work counts for nothing, and is to be done again. */
  | "reverted"
  /** The slice was taken back and stays so until it is asked for by hand. */
  | "withdrawn"
  /** Newer in one input and older in another: only a new attempt, which reads the heads, can tell. */
  | "incomparable";

/** The rule of blueprint section 8. A table of tests stands beside it (supersede.test.ts). */
export function judgeOutput(facts: OutputFacts): Verdict {
  if (facts.strategy === "append") {
    const { slice } = facts;
    if (slice !== null && slice.revertedCommit !== null && slice.revertedCommit > slice.fixedAtHead) return "withdrawn";
  } else if (facts.revertedCommit > facts.claimedHead) return "reverted";
  const orders = facts.lasts.map((last) => compareInputs(facts.ours, last));
  if (orders.includes("incomparable") || (orders.includes("older") && orders.includes("newer"))) return "incomparable";
  if (orders.includes("older")) return "superseded";
  if (facts.sameContent === null) return "commit";
  return orders.includes("newer") ? "confirmed" : "unchanged";
}
