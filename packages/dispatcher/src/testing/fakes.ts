/** In-memory stand-ins for the object store and SQS, in the shapes the dispatcher uses, with their failures at command. */
import { createHash } from "node:crypto";
import { TraceError } from "@trace/contracts";
import type { MessageQueue, ObjectHead, ObjectStore } from "@trace/kit";

interface Stored {
  readonly body: Uint8Array;
  readonly sha256: string | undefined;
}

export class MemoryStore {
  readonly objects = new Map<string, Stored>();
  /** The next calls fail as when the store cannot be reached. */
  away = false;
  /** Calls made of head and get. */
  reads = 0;

  put(bucket: string, key: string, body: Uint8Array | string, options: { checksum?: boolean } = {}): string {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.objects.set(`${bucket}/${key}`, { body: bytes, sha256: options.checksum === false ? undefined : sha256 });
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

export class MemoryQueue {
  /** Bodies taken, in order. */
  readonly sent: { queue: string; body: { queue: string; task_ids: string[] } }[] = [];
  /** Set: every call fails as when SQS cannot be reached. */
  away = false;
  calls = 0;
  /** Says why an entry is refused by its sender's fault; undefined takes it. */
  refuse: (taskIds: readonly string[]) => string | undefined = () => undefined;

  send(queue: string, bodies: readonly string[]): Promise<(string | undefined)[]> {
    this.calls += 1;
    if (this.away) return Promise.reject(new Error("SQS is away"));
    return Promise.resolve(
      bodies.map((text) => {
        const body = JSON.parse(text) as { queue: string; task_ids: string[] };
        const reason = this.refuse(body.task_ids);
        if (reason === undefined) this.sent.push({ queue, body });
        return reason;
      }),
    );
  }

  ids(): string[] {
    return this.sent.flatMap(({ body }) => body.task_ids);
  }

  asMessageQueue(): MessageQueue {
    return this as unknown as MessageQueue;
  }
}
