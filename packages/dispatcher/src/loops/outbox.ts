/**
 * The outbox: performs what transactions decided, at least once, with no transaction open (invariant 2). One dispatcher
 * relays the lane at a time, by a session-level lock that Postgres frees when its holder dies in any way.
 *
 * Rows are merged per queue, so a burst of single creates costs few messages. A row goes only after its message was
 * taken; a crash between the two sends it twice, which is harmless: a message is a pointer.
 */
import { type Wakeup, wakeupTaskIdsMax } from "@trace/contracts";
import {
  backoffMs,
  type Database,
  type Log,
  Loop,
  type MessageQueue,
  sqsBatchMax,
  systemRandom,
  TestSignal,
} from "@trace/kit";
import { lanePauseBaseMs, lanePauseMaxMs, outboxEveryMs, outboxRowsMax, outboxTriesMax } from "../limits.ts";
import { blameOutbox, deleteOutbox, type ReadOutboxRow, readOutbox, tryOutboxLock } from "../sql/statements.gen.ts";
import type { WakeupRow } from "../wakeups.ts";

type Session = Awaited<ReturnType<Database["session"]>>;

export interface OutboxOptions {
  readonly db: Database;
  readonly queue: MessageQueue;
  /** SQS queue name by queue id. */
  readonly queueName: (queueId: number) => string;
  readonly log: Log;
  onSent(rows: number): void;
  onPaused(paused: boolean): void;
}

const lane = "sqs";

export class OutboxLane {
  /** Emitted when messages were sent and their rows are gone: how many rows. */
  readonly sent = new TestSignal<number>("outbox sent");
  readonly loop: Loop;
  readonly #options: OutboxOptions;
  #session: Session | undefined;
  #pauses = 0;
  #pausedUntilMs = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.loop = new Loop({ name: "outbox", everyMs: outboxEveryMs, log: options.log, pass: () => this.#pass() });
  }

  start(): Promise<void> {
    return this.loop.start();
  }

  async stop(): Promise<void> {
    await this.loop.stop();
    this.#session?.release(true);
    this.#session = undefined;
  }

  nudge(): void {
    this.loop.nudge();
  }

  /** Rows that were just written: the loop sends them when their writer's grace has passed. */
  take(_rows: readonly WakeupRow[]): void {
    this.loop.nudge();
  }

  async #pass(): Promise<"again" | "idle"> {
    if (performance.now() < this.#pausedUntilMs) return "idle";
    if (!(await this.#holdsLane())) return "idle";
    const rows = await this.#options.db.query(readOutbox, { lane, limit: outboxRowsMax });
    if (rows.length === 0) return "idle";
    const byQueue = new Map<number, ReadOutboxRow[]>();
    for (const row of rows) byQueue.set(row.queue_id, [...(byQueue.get(row.queue_id) ?? []), row]);
    for (const [queueId, queued] of byQueue) {
      let refused: ReadonlyMap<string, string>;
      try {
        refused = await this.#send(queueId, queued);
      } catch (error) {
        this.#pause(error);
        return "idle";
      }
      await this.#settle(queued, refused);
    }
    if (this.#pauses > 0) {
      this.#pauses = 0;
      this.#options.onPaused(false);
      this.#options.log.info("the outbox lane goes on");
    }
    return rows.length === outboxRowsMax ? "again" : "idle";
  }

  /** True while this process holds the lane. The lock lives on a connection of its own; when that dies another is tried. */
  async #holdsLane(): Promise<boolean> {
    if (this.#session !== undefined) {
      try {
        await this.#session.raw("select 1");
        return true;
      } catch {
        // The connection, and the lock with it, is gone: fall through and try for the lock on a new one.
        this.#session.release(true);
        this.#session = undefined;
      }
    }
    const session = await this.#options.db.session();
    try {
      const [row] = await session.db.query(tryOutboxLock, { lane });
      if (row?.locked === true) {
        this.#session = session;
        return true;
      }
      session.release();
      return false;
    } catch (error) {
      session.release(true);
      throw error;
    }
  }

  /** Sends the rows' ids, merged. Returns the ids of messages that SQS refused, with its reason; throws when SQS is away. */
  async #send(queueId: number, rows: readonly ReadOutboxRow[]): Promise<ReadonlyMap<string, string>> {
    const name = this.#options.queueName(queueId);
    const ids = [...new Set(rows.flatMap((row) => row.task_ids))];
    const messages: Wakeup[] = [];
    for (let from = 0; from < ids.length; from += wakeupTaskIdsMax) {
      messages.push({ queue: name, task_ids: ids.slice(from, from + wakeupTaskIdsMax) });
    }
    const refused = new Map<string, string>();
    for (let from = 0; from < messages.length; from += sqsBatchMax) {
      const batch = messages.slice(from, from + sqsBatchMax);
      const reasons = await this.#options.queue.send(
        `trace-${name}`,
        batch.map((message) => JSON.stringify(message)),
      );
      for (const [index, reason] of reasons.entries()) {
        if (reason !== undefined) for (const id of batch[index]?.task_ids ?? []) refused.set(id, reason);
      }
    }
    return refused;
  }

  /** Rows whose messages were taken go; the others, and only they, are blamed. */
  async #settle(rows: readonly ReadOutboxRow[], refused: ReadonlyMap<string, string>): Promise<void> {
    const blamed = rows.filter((row) => row.task_ids.some((id) => refused.has(id)));
    const taken = rows.filter((row) => !blamed.includes(row));
    for (const row of blamed)
      await this.#blame(row, refused.get(row.task_ids.find((id) => refused.has(id)) ?? "") ?? "");
    if (taken.length === 0) return;
    await this.#options.db.query(deleteOutbox, { outbox_ids: taken.map((row) => row.outbox_id) });
    this.#options.onSent(taken.length);
    this.sent.emit(taken.length);
  }

  async #blame(row: ReadOutboxRow, reason: string): Promise<void> {
    const [tried] = await this.#options.db.query(blameOutbox, {
      outbox_id: row.outbox_id,
      error: reason.slice(0, 1_000),
      tries_max: outboxTriesMax,
    });
    const fields = { outboxId: row.outbox_id, tries: tried?.tries, reason };
    if (tried?.failed) this.#options.log.error(fields, "an outbox row was refused too often and is kept as failed");
    else this.#options.log.warn(fields, "an outbox row was refused");
  }

  #pause(error: unknown): void {
    const ms = Math.min(
      lanePauseMaxMs,
      backoffMs({ baseMs: lanePauseBaseMs, maxMs: lanePauseMaxMs }, this.#pauses, systemRandom),
    );
    this.#pausedUntilMs = performance.now() + ms;
    if (this.#pauses++ === 0) this.#options.onPaused(true);
    this.#options.log.warn(
      { error, pausedMs: Math.round(ms) },
      "SQS cannot be reached: the outbox lane pauses; workers go on by polling",
    );
  }
}
