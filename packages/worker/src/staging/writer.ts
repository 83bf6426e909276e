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
    for (;;) {
      this.#current ??= this.#open();
      const asked = this.#current;
      const { endsAtMs, store } = await asked.catch((error: unknown) => {
        if (this.#current === asked) this.#current = undefined;
        throw error;
      });
      if (endsAtMs - this.#parts.clock.nowMs() > keysRenewMs) return store;
      // Fresh keys that end so soon are the best there are: the lease is about to end as well.
      if (this.#current === asked) {
        this.#current = this.#open();
        return (await this.#current).store;
      }
    }
  }

  /** The store refused the keys in hand: others are asked for. False where there are no others. */
  renew(refused: WriteStore): boolean {
    if (refused === this.#parts.own) return false;
    this.#current = undefined;
    return true;
  }

  /** Nothing may be on its way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#current?.catch(() => undefined);
    await Promise.all(this.#opened.map((store) => store.stop()));
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
