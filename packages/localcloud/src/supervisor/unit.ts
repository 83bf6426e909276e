/** What the supervisor supervises: a process of a role (`process-unit.ts`), or a service that lives in or below us. */
import type { Service } from "@trace/kit";

export interface UnitExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines it wrote. */
  readonly tail: string;
}

export interface Unit extends Service {
  readonly name: string;
  /** Names of the units that are ready before this one starts. */
  readonly after: readonly string[];
  /** Whether it is started again when it ends by itself. */
  readonly restart: boolean;
  readonly pid: number | undefined;
  /** Called when it ends without having been asked to, after it was ready. Before that, `start` rejects. */
  onExit(listener: (exit: UnitExit) => void): void;
}

/** A service that may tell of its process: `EmbeddedPostgres` does, an endpoint inside this process does not. */
export interface WatchedService extends Service {
  readonly pid?: number | undefined;
  onExit?(listener: (exit: UnitExit) => void): void;
}

/** Supervises a service like a process: start, restart with backoff, stop in order, status. */
export function serviceUnit(options: {
  readonly name: string;
  readonly service: WatchedService;
  readonly after?: readonly string[] | undefined;
  readonly restart?: boolean | undefined;
}): Unit {
  const { name, service, after = [], restart = true } = options;
  return {
    name,
    after,
    restart,
    get pid() {
      return service.pid;
    },
    start: () => service.start(),
    stop: () => service.stop(),
    onExit: (listener) => service.onExit?.(listener),
  };
}
