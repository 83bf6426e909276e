/** EventBridge for services: PutEvents, with "this event is bad" told from "the bus is away". */
import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from "@aws-sdk/client-eventbridge";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { Service } from "../service.ts";
import type { EntryFault } from "./sqs.ts";

/** EventBridge takes at most ten events in one call (API reference, PutEvents: "Array Members: Maximum number of 10"). */
export const eventsBatchMax = 10;
/**
 * Bytes of one call, counted as `entryBytes` does. The user guide ("Calculating PutEvents event entry size") bounds the
 * entries at 256 KB and does not say whether one or all: this holds for both.
 */
export const eventsBytesMax = 256 * 1024;
/** A call that is not answered within this is given up, milliseconds. */
export const eventsPutMs = 10_000;

/**
 * What says that an event itself is wrong (API reference, PutEventsResultEntry). The other errors that do not pass by
 * themselves (access, account, source or type not allowed) are mistakes in the set-up of the bus: every event would meet
 * them, and goes once they are mended.
 */
const blamingCodes = new Set(["InvalidArgument", "MalformedDetail"]);

export interface BusEvent {
  /** Becomes the DetailType. */
  readonly type: string;
  readonly time: Date;
  readonly detail: unknown;
}

export interface EventBusOptions {
  /** Undefined: AWS itself. */
  readonly endpoint?: string | undefined;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Name or ARN of the bus. EventBridge takes events for a bus that does not exist, and drops them. */
  readonly bus: string;
  readonly source: string;
}

export class EventBus implements Service {
  readonly #client: EventBridgeClient;
  readonly #options: EventBusOptions;

  constructor(options: EventBusOptions) {
    this.#options = options;
    this.#client = new EventBridgeClient({
      region: options.region,
      credentials: options.credentials,
      maxAttempts: 2,
      requestHandler: new NodeHttpHandler({ connectionTimeout: 2_000, socketTimeout: 30_000 }),
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    });
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  /** How many of the events, from the first one on, fit in one call; at least one, of any size. */
  fitting(events: readonly BusEvent[]): number {
    let bytes = 0;
    for (const [index, event] of events.slice(0, eventsBatchMax).entries()) {
      bytes += entryBytes(this.#entry(event));
      if (index > 0 && bytes >= eventsBytesMax) return index;
    }
    return Math.min(events.length, eventsBatchMax);
  }

  /**
   * Puts as many events as fit in one call. The answer has, per event, nothing or why this one was not taken; a throw means
   * that the bus did not take the call, and nothing is known to be wrong with any of them.
   */
  async put(events: readonly BusEvent[]): Promise<(EntryFault | undefined)[]> {
    const entries = events.map((event) => this.#entry(event));
    const [first] = entries;
    if (first === undefined) return [];
    if (entries.length === 1 && entryBytes(first) >= eventsBytesMax) {
      return [{ reason: `the event has ${entryBytes(first)} bytes, ${eventsBytesMax} are too many`, blamed: true }];
    }
    try {
      return await this.#put(entries);
    } catch (error) {
      // The call as a whole was judged invalid. Alone, each event shows whether it is the one.
      if (!(error instanceof Error) || error.name !== "ValidationException") throw error;
      if (entries.length === 1) return [{ reason: `${error.name}: ${error.message}`, blamed: true }];
    }
    const faults: (EntryFault | undefined)[] = [];
    for (const event of events) faults.push(...(await this.put([event])));
    return faults;
  }

  async #put(entries: PutEventsRequestEntry[]): Promise<(EntryFault | undefined)[]> {
    const abortSignal = AbortSignal.timeout(eventsPutMs);
    const answer = await this.#client.send(new PutEventsCommand({ Entries: entries }), { abortSignal });
    const results = answer.Entries ?? [];
    if (results.length !== entries.length) {
      throw new Error(`EventBridge answered ${results.length} results to ${entries.length} events`);
    }
    return results.map(({ ErrorCode, ErrorMessage }) =>
      ErrorCode === undefined
        ? undefined
        : { reason: `${ErrorCode}: ${ErrorMessage ?? ""}`, blamed: blamingCodes.has(ErrorCode) },
    );
  }

  #entry(event: BusEvent): PutEventsRequestEntry {
    return {
      EventBusName: this.#options.bus,
      Source: this.#options.source,
      DetailType: event.type,
      Time: event.time,
      Detail: JSON.stringify(event.detail),
    };
  }
}

/** As EventBridge counts (user guide, "Calculating PutEvents event entry size"): 14 for the time, and UTF-8 of the rest. */
function entryBytes({ Source = "", DetailType = "", Detail = "" }: PutEventsRequestEntry): number {
  return 14 + Buffer.byteLength(Source) + Buffer.byteLength(DetailType) + Buffer.byteLength(Detail);
}
