/** Worker sessions: the heartbeat that keeps all leases of one worker process alive. */
import { type Progress, type Session, TraceError } from "@trace/contracts";
import { type Database, newId } from "@trace/kit";
import { sessionBeatMs, sessionTtlMs } from "./limits.ts";
import { storableRecord, storableText } from "./rules/text.ts";
import { beatSession, closeSession, leasesOfSession, openSession, saveProgress } from "./sql/statements.gen.ts";

export function sessionOver(sessionId: string): TraceError {
  return new TraceError("TR-3002", {
    detail: `worker session ${sessionId} is over`,
    why: `it went ${sessionTtlMs / 1000} s without a beat, was closed, or never was; its tasks belong to others now`,
    fix: "abort what runs under it and open a new session",
  });
}

export class Sessions {
  readonly #db: Database;
  /** Called when a session was closed with leases in hand, so that the reaper need not wait for its next pass. */
  readonly #onClosed: () => void;

  constructor(db: Database, onClosed: () => void) {
    this.#db = db;
    this.#onClosed = onClosed;
  }

  async open(worker: { worker: string; host: string; pid: number }): Promise<Session> {
    const sessionId = newId();
    await this.#db.query(openSession, {
      public_id: sessionId,
      worker: storableText(worker.worker),
      host: storableText(worker.host),
      pid: worker.pid,
      ttl_ms: sessionTtlMs,
    });
    return { session_id: sessionId, ttl_ms: sessionTtlMs, beat_ms: sessionBeatMs };
  }

  /** Extends the session, saves progress, and answers with those of `leaseNos` that are live no longer, every time. */
  async beat(
    sessionId: string,
    leaseNos: readonly number[],
    progress: readonly { lease_no: number; progress: Progress }[],
  ): Promise<number[]> {
    const [session] = await this.#db.query(beatSession, { public_id: sessionId, ttl_ms: sessionTtlMs });
    if (session === undefined) throw sessionOver(sessionId);
    if (progress.length > 0) {
      const storable = progress.map((one) => ({ lease_no: one.lease_no, progress: storableRecord(one.progress) }));
      await this.#db.query(saveProgress, { session_id: session.session_id, progress: JSON.stringify(storable) });
    }
    const rows = await this.#db.query(leasesOfSession, { session_id: session.session_id });
    const live = new Set(rows.map((row) => row.lease_no));
    return leaseNos.filter((leaseNo) => !live.has(leaseNo));
  }

  async close(sessionId: string): Promise<void> {
    const closed = await this.#db.query(closeSession, { public_id: sessionId });
    if (closed.length > 0) this.#onClosed();
  }
}
