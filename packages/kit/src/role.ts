/**
 * Runs one role as a process: starts it, stops it once on SIGTERM, SIGINT or when its supervisor is gone, and ends the
 * process with a code that says how it went.
 */
import type { Log } from "./log.ts";
import type { Service } from "./service.ts";

export interface RoleProcess {
  readonly log: Log;
  readonly service: Service;
  /** A stop that takes longer than this is cut, milliseconds. */
  readonly stopMsMax: number;
}

/** Resolves with the exit code when the role has stopped. */
export function runRole(role: RoleProcess): Promise<number> {
  const { log, service } = role;
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (why: string, code: number) => {
      if (stopping) return;
      stopping = true;
      log.info({ why }, "stopping");
      const cut = setTimeout(() => {
        log.error({ stopMsMax: role.stopMsMax }, "did not stop in time; ending the process");
        resolve(1);
      }, role.stopMsMax);
      service.stop().then(
        () => {
          clearTimeout(cut);
          log.info("stopped");
          resolve(code);
        },
        (error: unknown) => {
          clearTimeout(cut);
          log.error({ error }, "stopping failed");
          resolve(1);
        },
      );
    };
    process.on("SIGTERM", () => stop("SIGTERM", 0));
    process.on("SIGINT", () => stop("SIGINT", 0));
    // The supervisor holds the other end of the IPC channel; when it is killed the channel closes and nothing is orphaned.
    process.on("disconnect", () => stop("the supervisor is gone", 0));
    process.on("uncaughtException", (error) => {
      log.fatal({ error }, "uncaught error");
      stop("uncaught error", 1);
    });
    process.on("unhandledRejection", (error) => {
      log.fatal({ error }, "unhandled rejection");
      stop("unhandled rejection", 1);
    });
    service.start().then(
      () => {
        log.info("started");
        process.send?.({ kind: "started" });
      },
      (error: unknown) => {
        log.fatal({ error }, "cannot start");
        stop("cannot start", 1);
      },
    );
  });
}
