/**
 * The store that an attempt writes with: opened with keys of the attempt alone, which open its own prefixes and nothing else
 * and end by themselves soon after its lease. Whoever gets hold of them, or goes on after losing the lease, can spoil nothing
 * that was committed. Keys are asked for when something is first to be stored, and anew before they end.
 */
import type { StagingCredentials } from "@trace/contracts";
import type { AwsCredentials, Clock, ObjectStore } from "@trace/kit";
import { keysRenewMs } from "../limits.ts";

export type WriteStore = Pick<ObjectStore, "put" | "startUpload" | "upload">;

export interface StoreWriterParts {
  /** Keys of this attempt; undefined where the installation hands out none. */
  readonly ask: () => Promise<StagingCredentials | undefined>;
  /** A store that uses these keys. */
  readonly open: (credentials: AwsCredentials) => WriteStore & Pick<ObjectStore, "stop">;
  /** The worker's own: used where there are no keys of attempts. */
  readonly own: WriteStore;
  readonly clock: Clock;
}

interface Opened {
  readonly store: WriteStore;
  /** Milliseconds since 1970, by the dispatcher's clock; the worker's own keys do not end. */
  readonly endsAtMs: number;
}

export class StoreWriter {
  readonly #parts: StoreWriterParts;
  readonly #opened: Pick<ObjectStore, "stop">[] = [];
  #current: Promise<Opened> | undefined;
  #closed = false;

  constructor(parts: StoreWriterParts) {
    this.#parts = parts;
  }

  /** The store as it is to be used for the next call; not kept by the caller. Throws what asking for keys throws. */
  async store(): Promise<WriteStore> {
    const held = this.#current;
    if (held !== undefined) {
      const { endsAtMs, store } = await held;
      if (endsAtMs - this.#parts.clock.nowMs() > keysRenewMs) return store;
    }
    // Whoever comes first asks; the others wait for the same answer, and fresh keys are taken however soon they end.
    const renewed = this.#current === held ? this.#renew() : this.#current;
    return (await (renewed ?? this.#renew())).store;
  }

  /** The store refused its keys: others are asked for. False where there are no others. */
  async renew(refused: WriteStore): Promise<boolean> {
    if (refused === this.#parts.own) return false;
    const held = this.#current;
    const inHand = await held?.catch(() => undefined);
    // Somebody else may have got others meanwhile.
    if (inHand?.store === refused && this.#current === held) this.#current = undefined;
    return true;
  }

  /** Nothing may be on its way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#current?.catch(() => undefined);
    await Promise.all(this.#opened.map((store) => store.stop()));
  }

  #renew(): Promise<Opened> {
    const asked = this.#open();
    this.#current = asked;
    asked.catch(() => {
      if (this.#current === asked) this.#current = undefined;
    });
    return asked;
  }

  async #open(): Promise<Opened> {
    const { ask, open, own } = this.#parts;
    const keys = await ask();
    if (keys === undefined) return { store: own, endsAtMs: Number.POSITIVE_INFINITY };
    if (this.#closed) throw new Error("an operator stored something after it had ended");
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = keys;
    const store = open({ accessKeyId, secretAccessKey, sessionToken });
    this.#opened.push(store);
    return { store, endsAtMs: Date.parse(keys.expires_at) };
  }
}
