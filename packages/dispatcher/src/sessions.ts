/** Worker sessions: the heartbeat that keeps all leases of one worker process alive. */
import { type Progress, type Session, TraceError } from "@trace/contracts";
import { type Database, newId } from "@trace/kit";
import { sessionBeatsPerTtl, sessionTtlMs } from "./limits.ts";
import { storableRecord, storableText } from "./rules/text.ts";
import { beatSession, closeSession, liveLeases, openSession, saveProgress } from "./sql/statements.gen.ts";

export function sessionOver(sessionId: string): TraceError {
  return new TraceError("TR-3002", {
    detail: `worker session ${sessionId} is over`,
    why: "it went too long without a beat, was closed, or never was; its tasks belong to others now",
    fix: "abort what runs under it and open a new session",
  });
}

export class Sessions {
  readonly #db: Database;
  /** Called when a session was closed with leases in hand, so that the reaper need not wait for its next pass. */
  readonly #onClosed: () => void;
  readonly #ttlMs: number;

  constructor(db: Database, onClosed: () => void, ttlMs = sessionTtlMs) {
    this.#db = db;
    this.#onClosed = onClosed;
    this.#ttlMs = ttlMs;
  }

  async open(worker: { worker: string; host: string; pid: number; slots: number }): Promise<Session> {
    const sessionId = newId();
    await this.#db.query(openSession, {
      public_id: sessionId,
      worker: storableText(worker.worker),
      host: storableText(worker.host),
      pid: worker.pid,
      slots: worker.slots,
      ttl_ms: this.#ttlMs,
    });
    return { session_id: sessionId, ttl_ms: this.#ttlMs, beat_ms: Math.floor(this.#ttlMs / sessionBeatsPerTtl) };
  }

  /** Extends the session, saves progress, and answers with those of `leaseNos` that are live no longer, every time. */
  async beat(
    sessionId: string,
    leaseNos: readonly number[],
    progress: readonly { lease_no: number; progress: Progress }[],
  ): Promise<number[]> {
    const [session] = await this.#db.query(beatSession, { public_id: sessionId, ttl_ms: this.#ttlMs });
    if (session === undefined) throw sessionOver(sessionId);
    if (progress.length > 0) {
      // In lease order, as everybody locks leases.
      const storable = progress
        .map((one) => ({ lease_no: one.lease_no, progress: storableRecord(one.progress) }))
        .sort((a, b) => a.lease_no - b.lease_no);
      await this.#db.query(saveProgress, { session_id: session.session_id, progress: JSON.stringify(storable) });
    }
    if (leaseNos.length === 0) return [];
    const rows = await this.#db.query(liveLeases, { session_id: session.session_id, lease_nos: leaseNos });
    const live = new Set(rows.map((row) => row.lease_no));
    return leaseNos.filter((leaseNo) => !live.has(leaseNo));
  }

  async close(sessionId: string): Promise<void> {
    const closed = await this.#db.query(closeSession, { public_id: sessionId });
    if (closed.length > 0) this.#onClosed();
  }
}
