/**
 * The outbox lane of wake-ups, for SQS: the writer sends what this process has just committed, the relay what is due and
 * still there, whoever wrote it. A wake-up said twice is harmless: a message is a pointer to rows.
 */
import {
  type Database,
  type Log,
  type Loop,
  type MessageQueue,
  type RacePoints,
  type Random,
  type Service,
  systemRandom,
  type TestSignal,
} from "@trace/kit";
import { outboxLagMs, wakeupLateMs, wakeupSendsInFlightMax } from "../limits.ts";
import { deleteOutbox, type ReadWakeupsRow, readWakeups } from "../sql/statements.gen.ts";
import type { WakeupRow } from "../wakeups.ts";
import { WakeupHold } from "./outbox-hold.ts";
import { LanePause } from "./outbox-pause.ts";
import { type LaneRow, Relay } from "./outbox-relay.ts";
import { inFlight, Unsent } from "./outbox-unsent.ts";
import { callsOf, sendCall, type WakeupCall, type WakeupCounts } from "./outbox-wakeups.ts";
import { WakeupWriter } from "./outbox-writer.ts";

export interface OutboxOptions {
  readonly db: Database;
  readonly queue: MessageQueue;
  /** SQS queue name by queue id. */
  readonly queueName: (queueId: number) => string;
  readonly log: Log;
  readonly random?: Random;
  readonly monotonicMs?: () => number;
  readonly race?: RacePoints;
  onSent(counts: WakeupCounts): void;
  /** What becomes ready in this queue is likely to be claimed here at once. */
  isAwaited?(queueId: number): boolean;
  /** So many rows went unsent, because their tasks were claimed first. */
  onSpared?(rows: number): void;
  /** The writer left so many rows to the loop. */
  onLeft?(rows: number): void;
  onPaused(paused: boolean): void;
}

type SentRow = LaneRow<string> & WakeupRow & ReadWakeupsRow;

export class OutboxLane implements Service {
  /** Emitted when rows were sent and are gone: how many. */
  readonly sent: TestSignal<number>;
  readonly loop: Loop;
  readonly #options: OutboxOptions;
  readonly #relay: Relay<string, SentRow>;
  readonly #writer: WakeupWriter;
  readonly #hold: WakeupHold;

  constructor(options: OutboxOptions) {
    this.#options = options;
    const { db, log, race } = options;
    const monotonicMs = options.monotonicMs ?? (() => performance.now());
    const pause = new LanePause({
      saying: "SQS cannot be reached, and workers go on by polling",
      random: options.random ?? systemRandom,
      log,
      monotonicMs,
      onPaused: options.onPaused,
    });
    this.#writer = new WakeupWriter({
      pause,
      monotonicMs,
      race,
      send: (call) => this.#send(call, new Unsent()),
      delete: (outboxIds) => this.#delete(outboxIds),
      onLeft: options.onLeft ?? (() => undefined),
    });
    this.#hold = new WakeupHold({
      isAwaited: options.isAwaited ?? (() => false),
      say: (rows) => this.#writer.take(rows),
      forget: (rows) => {
        options.onSpared?.(rows.length);
        this.#writer.forget(rows);
      },
    });
    this.#relay = new Relay({
      db,
      pause,
      log,
      monotonicMs,
      race,
      lane: {
        name: "sqs",
        read: async (from, place, limit) => {
          const bounds = { lag_ms: outboxLagMs, late_ms: wakeupLateMs, limit };
          const rows = await from.query(readWakeups, { ...place, ...bounds });
          return rows.map((row) => ({ ...row, items: row.task_ids }));
        },
        send: (rows) => this.#sendAll(rows),
        columns: (ids) => ({ task_ids: ids, events: null }),
        inHand: (outboxId) => this.#hold.holds(outboxId) || this.#writer.holds(outboxId),
      },
    });
    this.sent = this.#relay.sent;
    this.loop = this.#relay.loop;
  }

  start(): Promise<void> {
    return this.#relay.start();
  }

  async stop(): Promise<void> {
    this.#hold.stop();
    await Promise.all([this.#writer.stop(), this.#relay.stop()]);
  }

  /** Sends rows that this process has just committed. Takes no time; what cannot be sent now is left to the loop. */
  take(rows: readonly WakeupRow[]): void {
    this.#hold.take(rows);
  }

  /** These tasks were claimed here: nobody has to be told of them any more. */
  claimed(taskIds: readonly string[]): void {
    this.#hold.claimed(taskIds);
  }

  async #sendAll(rows: readonly SentRow[]): Promise<Unsent<string>> {
    const unsent = new Unsent<string>();
    const left = (call: WakeupCall) => {
      for (const row of call) unsent.add(row.outbox_id, row.task_ids);
    };
    const unmade = await inFlight(callsOf(rows), wakeupSendsInFlightMax, async (call) => {
      try {
        await this.#send(call, unsent);
        return true;
      } catch (error) {
        unsent.away ??= error;
        left(call);
        return false;
      }
    });
    for (const call of unmade) left(call);
    return unsent;
  }

  async #send(call: WakeupCall, unsent: Unsent<string>): Promise<Unsent<string>> {
    const { onSent, queue, queueName } = this.#options;
    const counts = await sendCall(queue, queueName(call[0].queue_id), call, unsent);
    if (counts.messages > 0) onSent(counts);
    return unsent;
  }

  async #delete(outboxIds: readonly number[]): Promise<void> {
    try {
      await this.#options.db.query(deleteOutbox, { outbox_ids: outboxIds });
      this.sent.emit(outboxIds.length);
    } catch (error) {
      this.#options.log.warn(
        { error, rows: outboxIds.length },
        "wake-ups were sent and not deleted; they are sent again",
      );
    }
  }
}
