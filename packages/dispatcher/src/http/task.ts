/** Handlers of the task API: what an attempt may ask for itself, opened by its own lease token and closed with its lease. */
import { leaseTokenSchema, type taskRoutes } from "@trace/contracts";
import type { Authenticate, Database, Handlers } from "@trace/kit";
import type { Claims } from "../claims.ts";
import type { Datasets } from "../datasets.ts";
import { decodeToken } from "../rules/token.ts";
import { type DescribeLeasesRow, describeLeases, saveProgress } from "../sql/statements.gen.ts";

/** Only a live lease opens the task API: an attempt that lost it learns so at its next call. */
export function taskAuthentication(db: Database): Authenticate<DescribeLeasesRow> {
  return async (bearer) => {
    if (!leaseTokenSchema.safeParse(bearer).success) return undefined;
    const [lease] = await db.query(describeLeases, { tokens: [decodeToken(bearer)] });
    return lease?.live ? lease : undefined;
  };
}

export function taskHandlers(
  db: Database,
  claims: Claims,
  datasets: Datasets,
): Handlers<typeof taskRoutes, DescribeLeasesRow> {
  return {
    describe: async (_, lease) => {
      const { lease_token: _secret, ...attempt } = claims.describe(lease);
      return attempt;
    },
    resolveInputs: async (_, lease) => ({ datasets: await datasets.resolveForLease(lease.lease_no) }),
    reportProgress: async ({ body }, lease) => {
      const progress = JSON.stringify([{ lease_no: lease.lease_no, progress: body }]);
      await db.query(saveProgress, { session_id: lease.session_id, progress });
      return {};
    },
  };
}
