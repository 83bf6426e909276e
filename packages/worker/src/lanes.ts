/** Many items, a few at a time. */

/**
 * Calls `work` for each item, in order of their beginning and `count` at once at most. The first failure aborts the signal that
 * the others watch, is waited with until they have ended, and is thrown: nothing goes on behind the caller's back.
 */
export async function inLanes<T>(
  items: readonly T[],
  count: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal, index: number) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < items.length && !both.aborted; index = next++) {
      await work(items[index] as T, both, index);
    }
  };
  const lanes = Array.from({ length: Math.min(count, items.length) }, () =>
    lane().catch((error: unknown) => {
      stop.abort(error);
      throw error;
    }),
  );
  await Promise.allSettled(lanes);
  signal.throwIfAborted();
  stop.signal.throwIfAborted();
}
