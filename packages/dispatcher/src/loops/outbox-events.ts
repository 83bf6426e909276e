/** The outbox lane of events, for EventBridge. An event may be put twice: its detail names what it tells of. */
import {
  type BusEvent,
  type Database,
  type EventBus,
  eventsBatchMax,
  type Log,
  type Loop,
  type RacePoints,
  type Random,
  type Service,
  systemRandom,
  type TestSignal,
} from "@trace/kit";
import { eventPutsInFlightMax, outboxLagMs } from "../limits.ts";
import { readEvents } from "../sql/statements.gen.ts";
import { LanePause } from "./outbox-pause.ts";
import { type LaneRow, Relay } from "./outbox-relay.ts";
import { inFlight, Unsent } from "./outbox-unsent.ts";

/** An event as its row holds it. */
interface StoredEvent {
  readonly type: string;
  readonly time: string;
  readonly detail: unknown;
}

/** An event, and the row that it is of. */
interface Placed {
  readonly outboxId: number;
  readonly stored: StoredEvent;
  readonly event: BusEvent;
}

export interface EventsLaneOptions {
  readonly db: Database;
  readonly bus: EventBus;
  readonly log: Log;
  readonly random?: Random;
  readonly monotonicMs?: () => number;
  readonly race?: RacePoints;
  onSent(events: number): void;
  onPaused(paused: boolean): void;
}

export class EventsLane implements Service {
  /** Emitted when rows were sent and are gone: how many. */
  readonly sent: TestSignal<number>;
  readonly loop: Loop;
  readonly #options: EventsLaneOptions;
  readonly #relay: Relay<StoredEvent, LaneRow<StoredEvent>>;

  constructor(options: EventsLaneOptions) {
    this.#options = options;
    const { db, log, race } = options;
    const monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#relay = new Relay({
      db,
      log,
      monotonicMs,
      race,
      pause: new LanePause({
        saying: "EventBridge takes no events, and they wait",
        random: options.random ?? systemRandom,
        log,
        monotonicMs,
        onPaused: options.onPaused,
      }),
      lane: {
        name: "events",
        read: async (from, place, limit) => {
          const rows = await from.query(readEvents, { ...place, lag_ms: outboxLagMs, limit });
          return rows.map(({ events, ...row }) => ({ ...row, items: events as StoredEvent[] }));
        },
        send: (rows) => this.#sendAll(rows),
        columns: (events) => ({ task_ids: null, events: JSON.stringify(events) }),
        inHand: () => false,
      },
    });
    this.sent = this.#relay.sent;
    this.loop = this.#relay.loop;
  }

  start(): Promise<void> {
    return this.#relay.start();
  }

  stop(): Promise<void> {
    return this.#relay.stop();
  }

  async #sendAll(rows: readonly LaneRow<StoredEvent>[]): Promise<Unsent<StoredEvent>> {
    const unsent = new Unsent<StoredEvent>();
    const placed = rows.flatMap((row) =>
      row.items.map((stored) => ({
        outboxId: row.outbox_id,
        stored,
        event: { type: stored.type, time: new Date(stored.time), detail: stored.detail },
      })),
    );
    const left = (call: readonly Placed[]) => {
      for (const { outboxId, stored } of call) unsent.add(outboxId, [stored]);
    };
    const unmade = await inFlight(this.#callsOf(placed), eventPutsInFlightMax, async (call) => {
      try {
        await this.#put(call, unsent);
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

  /** Throws when the bus did not take the call, and also when it took no event and blamed none. */
  async #put(call: readonly Placed[], unsent: Unsent<StoredEvent>): Promise<void> {
    const faults = await this.#options.bus.put(call.map(({ event }) => event));
    const [first] = faults;
    if (first !== undefined && faults.every((fault) => fault?.blamed === false)) throw new Error(first.reason);
    unsent.heard = true;
    for (const [index, { outboxId, stored }] of call.entries()) {
      const fault = faults[index];
      if (fault !== undefined) unsent.add(outboxId, [stored], fault);
    }
    const taken = faults.filter((fault) => fault === undefined).length;
    if (taken > 0) this.#options.onSent(taken);
  }

  #callsOf(placed: readonly Placed[]): Placed[][] {
    const calls: Placed[][] = [];
    for (let from = 0; from < placed.length; ) {
      const rest = placed.slice(from, from + eventsBatchMax);
      const call = rest.slice(0, this.#options.bus.fitting(rest.map(({ event }) => event)));
      calls.push(call);
      from += call.length;
    }
    return calls;
  }
}
