/** The ports of a state folder's services: the preferred one if free, else any; remembered, so that addresses stay. */
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "@trace/kit";
import { stateLimits } from "./limits.ts";

const host = "127.0.0.1";

/** Binds `port` (0: any) on loopback, lets it go, and returns its number; undefined when somebody has it. */
export function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(undefined);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}

export interface PortChoice {
  /** What it had last time. */
  readonly remembered: number | undefined;
  readonly preferred: number;
  /** Given to other services of this folder in this run. */
  readonly taken: ReadonlySet<number>;
  /**
   * Until when to wait for the remembered port, by the clock: the last run was killed and its processes may hold it for a
   * moment. One time for all services of a folder, so that ports held by a stranger cost one wait and not one each.
   */
  readonly waitUntilMs: number;
}

async function rememberedIfFree(choice: PortChoice, clock: Clock): Promise<number | undefined> {
  const { remembered } = choice;
  if (remembered === undefined || choice.taken.has(remembered)) return undefined;
  for (;;) {
    const port = await tryPort(remembered);
    if (port !== undefined || clock.nowMs() >= choice.waitUntilMs) return port;
    await pause(stateLimits.portPollMs);
  }
}

/**
 * Remembered, then preferred, then any. Free means free now: whoever listens on it later may still lose a race, and
 * then says so with its own error.
 */
export async function choosePort(choice: PortChoice, clock: Clock): Promise<number> {
  const remembered = await rememberedIfFree(choice, clock);
  if (remembered !== undefined) return remembered;
  if (!choice.taken.has(choice.preferred)) {
    const preferred = await tryPort(choice.preferred);
    if (preferred !== undefined) return preferred;
  }
  for (;;) {
    const port = await tryPort(0);
    if (port !== undefined && !choice.taken.has(port)) return port;
  }
}
