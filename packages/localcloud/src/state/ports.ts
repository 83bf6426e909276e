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
  /** The last run was killed: its processes may hold the remembered port for a moment. */
  readonly waitForRemembered: boolean;
}

async function rememberedIfFree(choice: PortChoice, clock: Clock): Promise<number | undefined> {
  const { remembered } = choice;
  if (remembered === undefined || choice.taken.has(remembered)) return undefined;
  const until = clock.nowMs() + (choice.waitForRemembered ? stateLimits.portReleaseMaxMs : 0);
  for (;;) {
    const port = await tryPort(remembered);
    if (port !== undefined || clock.nowMs() >= until) return port;
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
