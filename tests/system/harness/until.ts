/** Waiting in whole-system tests: a condition is asked again until it holds; nothing ever waits for time alone. */
import { setTimeout as pause } from "node:timers/promises";

const pollMs = 50;

/**
 * Resolves with the first answer of `condition` that is neither undefined nor false. A condition may throw while services
 * are down: that is "not yet", and the last such error is told when the time is up.
 */
export async function until<T>(
  what: string,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs: number,
): Promise<T> {
  const endsMs = performance.now() + timeoutMs;
  for (let last: unknown = "it never held"; ; ) {
    try {
      const answer = await condition();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= endsMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${String(last)}`, { cause: last });
    }
    await pause(pollMs);
  }
}
