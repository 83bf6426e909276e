/** Monotonic time and timers as an argument: leases and timeouts must not follow a clock that people set. */

export interface Timers {
  /** Milliseconds that only grow; no relation to the time of day. */
  monotonicMs(): number;
  /** Calls once after `ms`; the answer takes it back. */
  after(ms: number, call: () => void): () => void;
}

export const systemTimers: Timers = {
  monotonicMs: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` or when the signal aborts, whichever is first. Never rejects: the caller looks at its signal. */
export function wait(timers: Timers, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = timers.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Resolves when the signal aborts. */
export function abortOf(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
