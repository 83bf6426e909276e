/** Handlers of the task API: what an attempt may ask for itself, opened by its own lease token and closed with its lease. */
import { leaseTokenSchema, type taskRoutes } from "@trace/contracts";
import type { Authenticate, Database, Handlers } from "@trace/kit";
import type { Claims } from "../claims.ts";
import { stale } from "../completions.ts";
import type { Credentials } from "../credentials.ts";
import type { Resolver } from "../resolve.ts";
import { storableRecord } from "../rules/text.ts";
import { decodeToken, leaseNoOf, taskNoOf } from "../rules/token.ts";
import { type DescribeLeasesRow, describeLeases, findAttempts, saveProgress } from "../sql/statements.gen.ts";

/** Only a live lease opens the task API: an attempt that lost it learns so at its next call, by TR-3001. */
export function taskAuthentication(db: Database): Authenticate<DescribeLeasesRow> {
  return async (bearer) => {
    if (!leaseTokenSchema.safeParse(bearer).success) return undefined;
    const token = decodeToken(bearer);
    const [lease] = await db.query(describeLeases, { tokens: [token] });
    if (lease?.live) return lease;
    const ended = await db.query(findAttempts, { lease_nos: [leaseNoOf(token)], task_ids: [taskNoOf(token)] });
    if (lease === undefined && !ended.some((attempt) => attempt.token.equals(token))) return undefined;
    throw stale();
  };
}

export function taskHandlers(
  db: Database,
  claims: Claims,
  resolver: Resolver,
  credentials: Credentials,
): Handlers<typeof taskRoutes, DescribeLeasesRow> {
  return {
    describe: (_, lease) => claims.describe(lease),
    resolveInputs: async (_, lease) => ({ datasets: await resolver.resolveForLease(lease.lease_no) }),
    createCredentials: (_, lease) => credentials.of(lease),
    reportProgress: async ({ body }, lease) => {
      const progress = JSON.stringify([{ lease_no: lease.lease_no, progress: storableRecord(body) }]);
      await db.query(saveProgress, { session_id: lease.session_id, progress });
      return {};
    },
  };
}
