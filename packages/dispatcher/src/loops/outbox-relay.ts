/**
 * The loop of one outbox lane: sends what is due and still there, at least once, with no transaction open (invariant 2). One
 * dispatcher relays a lane at a time, by a session-level lock that Postgres frees when its holder dies in any way.
 *
 * A row goes only after it was taken. A crash between the two sends it twice, which whoever hears it must bear.
 */
import { type Database, type Log, Loop, noRace, type Queryable, type RacePoints, TestSignal } from "@trace/kit";
import {
  failedForgetEveryMs,
  failedForgottenMax,
  failedKeptMs,
  outboxEveryMs,
  outboxRetryBaseMs,
  outboxRetryMaxMs,
  outboxRowsMax,
  outboxSweepEveryMs,
  outboxSweepShare,
  outboxTriesMax,
} from "../limits.ts";
import {
  blameOutbox,
  deleteOutbox,
  forgetFailedOutbox,
  freeOutboxLock,
  keepOfOutbox,
  tryOutboxLock,
} from "../sql/statements.gen.ts";
import type { LanePause, Turn } from "./outbox-pause.ts";
import type { Left, Unsent } from "./outbox-unsent.ts";

export interface LaneRow<T> {
  readonly outbox_id: number;
  readonly due_at: string;
  /** What it says: task ids, or events. */
  readonly items: readonly T[];
}

/** Behind which row to read on; null: where rows came due a moment ago. */
export interface Place {
  readonly from_due_at: string | null;
  readonly from_outbox_id: number;
}

/** What is of one lane only. */
export interface Lane<T, R extends LaneRow<T>> {
  readonly name: "sqs" | "events";
  read(db: Queryable, from: Place, limit: number): Promise<R[]>;
  /** Never throws for a destination that is away: it says so, and names all that was not taken. */
  send(rows: readonly R[]): Promise<Unsent<T>>;
  /** Items as the columns of a row. */
  columns(items: readonly T[]): { readonly task_ids: readonly string[] | null; readonly events: string | null };
  /** The row is on its way already. */
  inHand(outboxId: number): boolean;
}

export interface RelayOptions<T, R extends LaneRow<T>> {
  readonly db: Database;
  readonly lane: Lane<T, R>;
  readonly pause: LanePause;
  readonly log: Log;
  readonly monotonicMs: () => number;
  readonly race?: RacePoints | undefined;
}

type Session = Awaited<ReturnType<Database["session"]>>;

const beginning: Place = { from_due_at: "-infinity", from_outbox_id: 0 };
const lately: Place = { from_due_at: null, from_outbox_id: 0 };

export class Relay<T, R extends LaneRow<T>> {
  /** Emitted when rows were taken and are gone: how many. */
  readonly sent = new TestSignal<number>("outbox sent");
  readonly loop: Loop;
  readonly #options: RelayOptions<T, R>;
  readonly #race: RacePoints;
  #session: Session | undefined;
  /** Where a sweep reads on. Between sweeps only what came due lately is looked for. */
  #place: Place | undefined;
  #sweepMs = 0;
  #nextSweepMs = 0;
  #nextForgetMs = 0;

  constructor(options: RelayOptions<T, R>) {
    this.#options = options;
    this.#race = options.race ?? noRace;
    const name = `outbox ${options.lane.name}`;
    this.loop = new Loop({ name, everyMs: outboxEveryMs, log: options.log, pass: () => this.#pass() });
  }

  start(): Promise<void> {
    return this.loop.start();
  }

  async stop(): Promise<void> {
    await this.loop.stop();
    const session = this.#session;
    this.#session = undefined;
    try {
      await session?.db.query(freeOutboxLock, { lane: this.#options.lane.name });
      session?.release();
    } catch {
      session?.release(true); // The lock ends with the connection.
    }
  }

  async #pass(): Promise<"again" | "idle"> {
    const { lane, pause } = this.#options;
    const turn = pause.enter();
    if (turn === undefined) return "idle";
    try {
      const rows = await this.#read(turn.probe ? 1 : outboxRowsMax);
      const more = this.#place !== undefined;
      await this.#relay(
        rows.filter((row) => !lane.inHand(row.outbox_id)),
        turn,
      );
      return more ? "again" : "idle";
    } finally {
      turn.left();
    }
  }

  /** The next rows; none while another dispatcher holds the lane. Sets where to read on, if there is more. */
  async #read(limit: number): Promise<R[]> {
    const { lane, monotonicMs } = this.#options;
    const session = await this.#holdLane();
    if (session === undefined) return [];
    const startMs = monotonicMs();
    if (startMs >= this.#nextForgetMs) await this.#forgetFailed(session.db, startMs);
    const sweeps = this.#place !== undefined || startMs >= this.#nextSweepMs;
    const rows = await this.#use(session, lane.read(session.db, this.#place ?? (sweeps ? beginning : lately), limit));
    if (sweeps) this.#sweepMs += monotonicMs() - startMs;
    const last = rows.length === limit ? rows.at(-1) : undefined;
    this.#place = last && { from_due_at: last.due_at, from_outbox_id: last.outbox_id };
    if (sweeps && last === undefined) {
      this.#nextSweepMs = monotonicMs() + Math.max(outboxSweepEveryMs, outboxSweepShare * this.#sweepMs);
      this.#sweepMs = 0;
    }
    return rows;
  }

  /** The connection that holds the lane's lock; a lock lasts as long as its connection. */
  async #holdLane(): Promise<Session | undefined> {
    if (this.#session !== undefined) return this.#session;
    const { db, lane } = this.#options;
    const session = await db.session();
    try {
      const [row] = await session.db.query(tryOutboxLock, { lane: lane.name });
      if (row?.locked !== true) {
        session.release();
        return undefined;
      }
    } catch (error) {
      session.release(true);
      throw error;
    }
    this.#session = session;
    return session;
  }

  /** A connection that fails may have lost the lock, so it is given up and the next pass tries for the lock on another. */
  async #use<A>(session: Session, query: Promise<A>): Promise<A> {
    try {
      return await query;
    } catch (error) {
      this.#session = undefined;
      session.release(true);
      throw error;
    }
  }

  async #relay(rows: readonly R[], turn: Turn): Promise<void> {
    if (rows.length === 0) return;
    const unsent = await this.#options.lane.send(rows);
    if (unsent.heard && unsent.away === undefined) turn.passed();
    if (unsent.away !== undefined) {
      turn.failed(unsent.away);
      // What was passed over is sent again from the beginning.
      this.#place = undefined;
      this.#nextSweepMs = 0;
    }
    const paused = this.#race.reach("outbox:sent");
    if (paused) await paused;
    await this.#settle(rows, unsent);
  }

  /** Rows that were taken go; of others only what is left stays; those that were blamed, and only they, count a try. */
  async #settle(rows: readonly R[], unsent: Unsent<T>): Promise<void> {
    const { db, lane } = this.#options;
    const taken: number[] = [];
    for (const row of rows) {
      const left = unsent.of(row.outbox_id);
      if (left === undefined) taken.push(row.outbox_id);
      else if (left.reason !== undefined) await this.#blame(row, left, left.reason);
      else if (left.items.length < row.items.length) {
        await db.query(keepOfOutbox, { outbox_id: row.outbox_id, ...lane.columns(left.items) });
      }
    }
    if (taken.length === 0) return;
    await db.query(deleteOutbox, { outbox_ids: taken });
    this.sent.emit(taken.length);
  }

  async #blame(row: R, left: Left<T>, reason: string): Promise<void> {
    const { db, lane, log } = this.#options;
    const [tried] = await db.query(blameOutbox, {
      outbox_id: row.outbox_id,
      ...lane.columns(left.items),
      error: reason.slice(0, 1_000),
      tries_max: outboxTriesMax,
      retry_base_ms: outboxRetryBaseMs,
      retry_max_ms: outboxRetryMaxMs,
    });
    const fields = { lane: lane.name, outboxId: row.outbox_id, tries: tried?.tries, reason };
    if (tried?.failed) log.error(fields, "an outbox row was refused too often and is kept as failed");
    else log.warn(fields, "an outbox row was refused");
  }

  async #forgetFailed(db: Queryable, nowMs: number): Promise<void> {
    this.#nextForgetMs = nowMs + failedForgetEveryMs;
    const gone = await db.query(forgetFailedOutbox, { older_than_ms: failedKeptMs, limit: failedForgottenMax });
    if (gone.length > 0)
      this.#options.log.warn({ rows: gone.length }, "forgot failed outbox rows that nobody looked at");
  }
}
