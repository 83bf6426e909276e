/** Waits for a condition, and never for a time alone. */
import { setTimeout as pause } from "node:timers/promises";
import { machineMs } from "./clock.ts";
import { pollMs } from "./limits.ts";

/** Resolves when `holds` does. Throws, saying `what`, when it does not within `timeoutMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = pollMs,
): Promise<void> {
  const endMs = machineMs() + timeoutMs;
  while (!(await holds())) {
    if (machineMs() >= endMs) throw new Error(`not within ${timeoutMs / 1_000} s: ${what}`);
    await pause(everyMs);
  }
}
