/** A recorded call and what became of it, as the rules see them. */
import type { Via } from "../history/lines.ts";
import type { World } from "./world.ts";

export interface OpenCall {
  readonly call: number;
  readonly start: number;
  readonly line: number;
  readonly via: Via;
  readonly body: unknown;
  /** The last part of a path that names something: a session, a task. */
  readonly id: string;
  /** The lease token that opened it. */
  readonly as: string | undefined;
}

/** `refused`: it had no effect. `unknown`: it may have had one, now or soon. */
export interface Outcome {
  readonly kind: "answered" | "refused" | "unknown";
  readonly at: number;
  readonly line: number;
  readonly body: unknown;
  /** Why it was refused; empty when no dispatcher saw it. */
  readonly code: string;
}

export interface CallRules {
  /** The call is on its way: what it asks for may be so from now on. */
  begin?(world: World, call: OpenCall): void;
  settle?(world: World, call: OpenCall, outcome: Outcome): void;
}

/** Refusals of one item that say "not now": it may have taken effect all the same, and the same call may be made again. */
const notNow = new Set(["TR-1000", "TR-1007", "TR-1008", "TR-1009", "TR-1010", "TR-4006", "TR-4007"]);

export function isNotNow(code: string): boolean {
  return notNow.has(code);
}
