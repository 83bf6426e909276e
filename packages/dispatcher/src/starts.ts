/**
 * Starts: binds an attempt that is handed on to the invocation that runs it. Messages and events that invoke may come twice;
 * the first invocation to say its nonce has the attempt, and the others end.
 */
import { type ErrorRecord, TraceError, toErrorRecord } from "@trace/contracts";
import type { Database } from "@trace/kit";
import { stale } from "./completions.ts";
import { decodeToken, encodeToken } from "./rules/token.ts";
import { startAttempts } from "./sql/statements.gen.ts";

export interface StartAnswer {
  accepted: boolean;
  error?: ErrorRecord;
}

function startedElsewhere(): TraceError {
  return new TraceError("TR-3013", {
    detail: "another invocation has started this attempt",
    why: "an attempt runs once; the first nonce that arrived has it",
    fix: "end this invocation; the other one goes on",
  });
}

export class Starts {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** One answer per item, in order. */
  async start(items: readonly { readonly lease_token: string; readonly nonce: string }[]): Promise<StartAnswer[]> {
    // Of two items for one attempt in one call the first counts, as if it had come first.
    const firsts = new Map(items.toReversed().map((item) => [item.lease_token, item]));
    const first = [...firsts.values()];
    const ask = (some: typeof first) => {
      // In the order in which everybody locks leases.
      const ordered = some
        .map(({ lease_token, nonce }) => ({ token: decodeToken(lease_token), nonce }))
        .sort((a, b) => Buffer.compare(a.token, b.token));
      const params = { tokens: ordered.map(({ token }) => token), nonces: ordered.map(({ nonce }) => nonce) };
      return this.#db.query(startAttempts, params);
    };
    const rows = await ask(first);
    // What seems over is looked at once more, as in lockLive: a beat may have been committed while the lease was waited for.
    const found = new Set(rows.map((row) => encodeToken(row.token)));
    const missing = first.filter((item) => !found.has(item.lease_token));
    if (missing.length > 0) rows.push(...(await ask(missing)));
    const bound = new Map(rows.map((row) => [encodeToken(row.token), row.bound]));
    return items.map(({ lease_token, nonce }) => {
      const mine = bound.get(lease_token);
      if (mine === undefined) return { accepted: false, error: toErrorRecord(stale()) };
      if (mine && nonce === firsts.get(lease_token)?.nonce) return { accepted: true };
      return { accepted: false, error: toErrorRecord(startedElsewhere()) };
    });
  }
}
