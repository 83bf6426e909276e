/** Lifetimes. A constructor takes what a thing needs; `start` and `stop` bound how long it lives. */

export interface Service {
  /** Resolves when the service is ready to be used. */
  start(): Promise<void>;
  /** Resolves when nothing of it is left running. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts in order; on a failure stops what was started, newest first, and throws the first error. */
export async function startAll(services: readonly Service[]): Promise<void> {
  const started: Service[] = [];
  for (const service of services) {
    try {
      await service.start();
      started.push(service);
    } catch (error) {
      // Why it did not start matters more than what then failed to stop; the latter travels beside it.
      await stopAll(started).catch((stopping: unknown) => {
        if (error instanceof Error) Object.assign(error, { stopping });
      });
      throw error;
    }
  }
}

/** Stops in reverse order; every one is tried; throws what failed afterwards. */
export async function stopAll(services: readonly Service[]): Promise<void> {
  const failures: unknown[] = [];
  for (const service of services.toReversed()) {
    try {
      await service.stop();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "not everything stopped cleanly");
}
