/** Handlers of the worker API. */
import type { workerRoutes } from "@trace/contracts";
import type { Handlers } from "@trace/kit";
import type { Completions } from "../completions.ts";
import type { LongPolls } from "../longpolls.ts";
import type { Sessions } from "../sessions.ts";
import type { Starts } from "../starts.ts";

export interface WorkerServices {
  readonly claims: LongPolls;
  readonly completions: Completions;
  readonly sessions: Sessions;
  readonly starts: Starts;
}

export function workerHandlers(services: WorkerServices): Handlers<typeof workerRoutes, true> {
  const { claims, completions, sessions, starts } = services;
  return {
    openSession: ({ body }) => sessions.open(body),
    heartbeat: async ({ params, body }) => ({
      lost: await sessions.beat(params.session_id, body.leases, body.progress),
    }),
    closeSession: async ({ params }) => {
      await sessions.close(params.session_id);
      return {};
    },
    claim: ({ body }, _caller, signal) => claims.claim(body, signal),
    start: async ({ body }) => ({ items: await starts.start(body.items) }),
    release: async ({ body }) => ({ items: await completions.release(body.items.map((item) => item.lease_token)) }),
    complete: async ({ body }) => ({ items: await completions.complete(body.items) }),
  };
}
