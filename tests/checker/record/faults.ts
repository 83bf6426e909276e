/** What the recorder can do to calls on their way: the settings, and the calls that nobody made. */
import { requireProbabilities } from "../../faults/counts.ts";

export interface CallFaults {
  /** Per call: the dispatcher answers, the connection to the caller is reset instead. */
  readonly loseAnswer: number;
  /** Per call: it is held back before a dispatcher sees it. */
  readonly delay: number;
  readonly delayMsMax: number;
  /** Per completion, release and start: the same call once more, beside the first one or up to `repeatMsMax` after it. */
  readonly repeat: number;
  readonly repeatMsMax: number;
  /** Per completion that was answered: the same tokens with another result, up to `repeatMsMax` later. */
  readonly contradict: number;
}

export const noCallFaults: CallFaults = {
  loseAnswer: 0,
  delay: 0,
  delayMsMax: 1_000,
  repeat: 0,
  repeatMsMax: 1_000,
  contradict: 0,
};

export const callFaultKinds = ["loseAnswer", "delay", "repeat", "contradict"] as const;
export type CallFaultKind = (typeof callFaultKinds)[number];

export function checkCallFaults(faults: CallFaults): void {
  requireProbabilities({ ...faults }, callFaultKinds);
  if (!(faults.delayMsMax >= 0) || !(faults.repeatMsMax >= 0)) throw new RangeError("a delay is 0 or more");
}

/** Calls that may be made again by anybody at any time, and then must change nothing. */
const repeatable = new Set(["POST /v1/completions", "POST /v1/releases", "POST /v1/starts"]);

export function isRepeatable(route: string): boolean {
  return repeatable.has(route);
}

/** The same tokens with another result; undefined when the call is none that can be contradicted. */
export function contradiction(route: string, body: string): string | undefined {
  if (route !== "POST /v1/completions") return undefined;
  const { items } = JSON.parse(body) as { items: { lease_token: string; result: { kind: string } }[] };
  return JSON.stringify({
    items: items.map(({ lease_token, result }) => ({
      lease_token,
      result: result.kind === "snooze" ? { kind: "success", outputs: [] } : { kind: "snooze", delay_ms: 0 },
    })),
  });
}
