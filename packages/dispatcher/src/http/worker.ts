/** Handlers of the worker API. */
import type { workerRoutes } from "@trace/contracts";
import type { Handlers } from "@trace/kit";
import type { Claims } from "../claims.ts";
import type { Completions } from "../completions.ts";
import type { Sessions } from "../sessions.ts";

export interface WorkerServices {
  readonly claims: Claims;
  readonly completions: Completions;
  readonly sessions: Sessions;
  onClaimed(queue: string, tasks: number): void;
}

export function workerHandlers(services: WorkerServices): Handlers<typeof workerRoutes, true> {
  const { claims, completions, sessions } = services;
  return {
    openSession: ({ body }) => sessions.open(body),
    heartbeat: async ({ params, body }) => ({
      lost: await sessions.beat(params.session_id, body.leases, body.progress),
    }),
    closeSession: async ({ params }) => {
      await sessions.close(params.session_id);
      return {};
    },
    claim: async ({ body }) => {
      const claimed = await claims.claim(body);
      if (claimed.tasks.length > 0) services.onClaimed(body.queue, claimed.tasks.length);
      return claimed;
    },
    release: async ({ body }) => ({ items: await completions.release(body.items.map((item) => item.lease_token)) }),
    complete: async ({ body }) => ({ items: await completions.complete(body.items) }),
  };
}
