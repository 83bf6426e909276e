/** How long to wait before trying again. */
import type { Random } from "./clock.ts";

export interface BackoffRule {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * `min(max, base * 2^tries) * rand(0.5..1.5)`: doubling keeps a broken peer from being hammered, the jitter keeps
 * many clients from coming back together.
 */
export function backoffMs(rule: BackoffRule, tries: number, random: Random): number {
  const exponent = Math.min(tries, 30);
  return Math.min(rule.maxMs, rule.baseMs * 2 ** exponent) * (0.5 + random());
}
