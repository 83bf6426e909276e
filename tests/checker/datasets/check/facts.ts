/**
 * What callers saw, in the words of the checker: claims, ends of attempts, reads, reverts, purges and pins, each with when it was
 * sent and when its answer was there, milliseconds of one clock. Imports nothing of the product: what the product says of itself is
 * what is to be judged.
 */

/** A span in which something was decided; without an answer it may be decided at any time after it was sent, or never. */
export interface Span {
  readonly sentMs: number;
  /** Undefined: no answer came. */
  readonly answeredMs: number | undefined;
}

export interface StagedFile {
  readonly key: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  /** `''`: the one partition of a dataset that has none. */
  readonly partition: string;
}

export interface Input {
  readonly dataset: string;
  readonly commit: number;
  /** Only what was added after it. */
  readonly from: number | undefined;
}

export interface Claim extends Span {
  readonly lease: number;
  readonly task: string;
  readonly inputs: readonly Input[];
  /** The partition that its outputs are for; `''` where they have none or name their own. */
  readonly partition: string;
  /** The append key that the task was created with. */
  readonly asked: string | undefined;
}

/** What an attempt staged for one dataset. */
export interface Content {
  readonly files: readonly StagedFile[];
  readonly fingerprint: string | undefined;
}

export interface Published {
  readonly dataset: string;
  readonly commit: number;
  readonly outcome: string;
}

/** A completion that may publish. */
export interface End extends Span {
  readonly lease: number;
  /** The same for calls of the same words. */
  readonly words: string;
  /** By dataset; a dataset that is said to be unchanged has only the fingerprint. */
  readonly contents: ReadonlyMap<string, Content>;
  /** How the manifest lies; undefined: it does not. */
  readonly lie: string | undefined;
  readonly accepted: boolean;
  readonly code: string | undefined;
  readonly published: readonly Published[];
}

/** An attempt handed its task back, or failed it. */
export interface Other extends Span {
  readonly lease: number;
  readonly accepted: boolean;
}

export interface Revert extends Span {
  readonly dataset: string;
  readonly to: number;
  readonly expectedHead: number;
  readonly partitions: readonly string[] | undefined;
  /** Says which call made a commit. */
  readonly reason: string;
  readonly commit: number | undefined;
  readonly code: string | undefined;
}

export interface Purge extends Span {
  readonly dataset: string;
  readonly before: number;
  readonly code: string | undefined;
}

export interface Pin extends Span {
  readonly dataset: string;
  readonly commit: number;
  /** On the same clock. */
  readonly expiresMs: number | undefined;
  droppedMs: number | undefined;
}

export interface Replay extends Span {
  readonly task: string;
}

export interface Asked {
  readonly dataset: string;
  readonly version?: number | undefined;
  /** UTC, microseconds. */
  readonly moment?: string | undefined;
  readonly partitions?: readonly string[] | undefined;
  /** Of an attempt's input: only what was added after it. */
  readonly from?: number | undefined;
}

/** One dataset as a reader saw it. `list`: what `Lists` knows the files by. */
export interface Seen {
  readonly commit: number;
  readonly committedAt: string | null;
  readonly list: string;
}

export interface Read extends Span {
  readonly asked: readonly Asked[];
  /** In the order asked; undefined: refused. */
  readonly seen: readonly Seen[] | undefined;
  readonly code: string | undefined;
}

/** A commit as the history of its dataset tells it. */
export interface Row {
  readonly commit: number;
  readonly kind: "replace" | "append" | "revert";
  readonly committedAt: string;
  readonly lease: number | undefined;
  readonly appendKey: string | undefined;
  readonly revertedTo: number | undefined;
  readonly reason: string | undefined;
  readonly purged: boolean;
}

/** How a dataset is written. */
export interface Shape {
  readonly strategy: "replace" | "append";
  /** One attempt writes all partitions there are. */
  readonly whole: boolean;
  /** It reads news only: its slices are ranges of this input. */
  readonly news: string | undefined;
}

export interface History {
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Datasets that are always committed together. */
  readonly together: readonly (readonly [string, string])[];
  readonly rows: ReadonlyMap<string, readonly Row[]>;
  readonly claims: readonly Claim[];
  readonly ends: readonly End[];
  readonly others: readonly Other[];
  readonly reverts: readonly Revert[];
  readonly purges: readonly Purge[];
  readonly pins: readonly Pin[];
  readonly replays: readonly Replay[];
  readonly reads: readonly Read[];
}
