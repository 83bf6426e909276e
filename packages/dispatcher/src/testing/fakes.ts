/** In-memory stand-ins for the object store and SQS, in the shapes the dispatcher uses, with their failures at command. */
import { createHash } from "node:crypto";
import { TraceError } from "@trace/contracts";
import {
  type BusEvent,
  type EntryFault,
  type EventBus,
  eventsBatchMax,
  type ListedObject,
  type ListedUpload,
  type ListOptions,
  type MessageQueue,
  type ObjectHead,
  type ObjectStore,
} from "@trace/kit";

interface Stored {
  readonly body: Uint8Array;
  readonly sha256: string | undefined;
  readonly modifiedAt: Date;
}

export class MemoryStore {
  readonly objects = new Map<string, Stored>();
  /** The next calls fail as when the store cannot be reached. */
  away = false;
  /** Begun in parts, and neither finished nor given up. */
  readonly uploads: ListedUpload[] = [];
  /** Calls made of head and get. */
  reads = 0;

  put(
    bucket: string,
    key: string,
    body: Uint8Array | string,
    options: { checksum?: boolean; modifiedAt?: Date } = {},
  ): string {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { modifiedAt = new Date() } = options;
    const kept = options.checksum === false ? undefined : sha256;
    this.objects.set(`${bucket}/${key}`, { body: bytes, sha256: kept, modifiedAt });
    return sha256;
  }

  head(bucket: string, key: string): Promise<ObjectHead | undefined> {
    this.#look();
    const object = this.objects.get(`${bucket}/${key}`);
    return Promise.resolve(
      object === undefined ? undefined : { bytes: object.body.length, etag: '"e"', sha256: object.sha256 },
    );
  }

  get(bucket: string, key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    this.#look();
    const body = this.objects.get(`${bucket}/${key}`)?.body;
    if (body !== undefined && body.length > bytesMax) {
      throw new TraceError("TR-4009", { detail: `${key} is larger than ${bytesMax} bytes` });
    }
    return Promise.resolve(body);
  }

  list({ bucket, prefix, after = "", max = 1_000 }: ListOptions): Promise<{ objects: ListedObject[]; more: boolean }> {
    this.#look();
    const keys = [...this.objects.keys()]
      .filter((name) => name.startsWith(`${bucket}/${prefix}`))
      .map((name) => name.slice(bucket.length + 1))
      .filter((key) => key > after)
      .sort();
    const objects = keys.slice(0, max).map((key) => {
      const { body, modifiedAt } = this.objects.get(`${bucket}/${key}`) as Stored;
      return { key, bytes: body.length, modifiedAt };
    });
    return Promise.resolve({ objects, more: keys.length > max });
  }

  deleteMany(bucket: string, keys: readonly string[]): Promise<void> {
    this.#look();
    for (const key of keys) this.objects.delete(`${bucket}/${key}`);
    return Promise.resolve();
  }

  listUploads(_bucket: string, prefix: string): Promise<{ uploads: ListedUpload[]; more: boolean }> {
    this.#look();
    return Promise.resolve({ uploads: this.uploads.filter(({ key }) => key.startsWith(prefix)), more: false });
  }

  abortUpload(_bucket: string, upload: ListedUpload): Promise<void> {
    this.#look();
    this.uploads.splice(this.uploads.indexOf(upload), 1);
    return Promise.resolve();
  }

  range(bucket: string, key: string, part: { start: number; end: number }): Promise<Uint8Array | undefined> {
    this.#look();
    return Promise.resolve(this.objects.get(`${bucket}/${key}`)?.body.subarray(part.start, part.end));
  }

  presignGet(bucket: string, key: string): string {
    return `https://store.test/${bucket}/${key}?signed`;
  }

  /** As the class that the dispatcher takes: its private fields are all that is missing. */
  asObjectStore(): ObjectStore {
    return this as unknown as ObjectStore;
  }

  #look(): void {
    this.reads += 1;
    if (this.away) throw new TraceError("TR-4006", { detail: "the object store is away" });
  }
}

/** Calls that a test holds back, lets go and makes fail. */
class Destination {
  calls = 0;
  /** Calls on their way now, and the most there ever were. */
  inFlight = 0;
  inFlightMost = 0;
  /** Set: every call fails as when the service cannot be reached. */
  away = false;
  /** So many calls more are taken; after them it is away. */
  takes = Number.POSITIVE_INFINITY;
  #held: PromiseWithResolvers<void> | undefined;

  /** From now on calls wait until they are let go. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  letGo(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  protected async arrive(name: string): Promise<void> {
    this.calls += 1;
    this.inFlight += 1;
    this.inFlightMost = Math.max(this.inFlightMost, this.inFlight);
    await this.#held?.promise;
    this.inFlight -= 1;
    this.takes -= 1;
    if (this.away || this.takes < 0) throw new Error(`${name} is away`);
  }
}

export class MemoryQueue extends Destination {
  /** Messages taken, in order. */
  readonly sent: { queue: string; body: { queue: string; task_ids: string[] } }[] = [];
  /** Messages with these ids are refused by the sender's fault, for this reason. */
  refuse: (taskIds: readonly string[]) => string | undefined = () => undefined;
  /** Messages with these ids cannot be taken this time. */
  fail: (taskIds: readonly string[]) => boolean = () => false;

  async send(queue: string, bodies: readonly string[]): Promise<(EntryFault | undefined)[]> {
    await this.arrive("SQS");
    return bodies.map((text) => {
      const body = JSON.parse(text) as { queue: string; task_ids: string[] };
      const reason = this.refuse(body.task_ids);
      if (reason !== undefined) return { reason, blamed: true };
      if (this.fail(body.task_ids)) return { reason: "InternalError: not now", blamed: false };
      this.sent.push({ queue, body });
      return undefined;
    });
  }

  ids(): string[] {
    return this.sent.flatMap(({ body }) => body.task_ids);
  }

  asMessageQueue(): MessageQueue {
    return this as unknown as MessageQueue;
  }
}

export class MemoryBus extends Destination {
  /** Events taken, in order. */
  readonly taken: BusEvent[] = [];
  faultOf: (event: BusEvent) => EntryFault | undefined = () => undefined;

  fitting(events: readonly BusEvent[]): number {
    return Math.min(events.length, eventsBatchMax);
  }

  async put(events: readonly BusEvent[]): Promise<(EntryFault | undefined)[]> {
    await this.arrive("EventBridge");
    return events.map((event) => {
      const fault = this.faultOf(event);
      if (fault === undefined) this.taken.push(event);
      return fault;
    });
  }

  asEventBus(): EventBus {
    return this as unknown as EventBus;
  }
}
