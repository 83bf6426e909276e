/** What a benchmark and its worker and producer processes say to each other. Times are of `machineMs`. */
import { payloadBytes } from "./limits.ts";

/** The payload of every task: some 200 bytes of JSON, as an order or an event may be. */
export interface Payload {
  readonly n: number;
  /** When the create call was about to be made; 0 where latency is not measured. */
  readonly sent_ms: number;
  readonly note: string;
}

const frame = JSON.stringify({ n: 1_234_567, sent_ms: 123_456.789012, note: "" }).length;

export function payload(n: number, sentMs = 0): Payload {
  return { n, sent_ms: sentMs, note: "x".repeat(Math.max(0, payloadBytes - frame)) };
}

export interface StartWork {
  readonly kind: "start";
  /** Says `reached` when this many are done. */
  readonly reach: number;
  /** Keep how long each task took from its create call to the handler's first line. */
  readonly latencies: boolean;
}
export type ToWorker = StartWork | { readonly kind: "count" } | { readonly kind: "stop" };

export interface WorkCounts {
  /** Tasks whose end counts: accepted completions of ours, handlers that ran of graphile-worker's. */
  readonly done: number;
  /** The first claim, or the first handler; and the last task that is done. */
  readonly firstMs: number;
  readonly lastMs: number;
  readonly atMs: number;
  /** Wake-ups received; 0 where there are none. */
  readonly wakeups: number;
  readonly claims: number;
  /** Since the counts before. */
  readonly claimMs: readonly number[];
  readonly latenciesMs: readonly number[];
}
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "started" }
  | { readonly kind: "progress"; readonly done: number }
  | { readonly kind: "reached" }
  | { readonly kind: "counts"; readonly counts: WorkCounts }
  | { readonly kind: "stopped" };

/** Creates `tasks` of them in all, or goes on until it is stopped. */
export interface Produce {
  readonly kind: "produce";
  readonly tasks: number | null;
  readonly batch: number;
  readonly lanes: number;
  /** Most tasks created and not done. */
  readonly outstandingMax: number | null;
  /** Calls a second, at irregular times; null: as fast as can be. */
  readonly rate: number | null;
}
export type ToProducer =
  | Produce
  | { readonly kind: "done"; readonly done: number }
  | { readonly kind: "count" }
  | { readonly kind: "stop" };

export interface ProduceCounts {
  readonly created: number;
  readonly atMs: number;
  /** How long each call took, since the counts before. */
  readonly callMs: readonly number[];
}
export type FromProducer =
  | { readonly kind: "ready" }
  | { readonly kind: "produced"; readonly counts: ProduceCounts }
  | { readonly kind: "counts"; readonly counts: ProduceCounts };
