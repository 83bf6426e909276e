/**
 * The store that an attempt writes with: opened with keys of the attempt alone, which open its own prefixes and nothing else
 * and end by themselves soon after its lease. Whoever gets hold of them, or goes on after losing the lease, can spoil nothing
 * that was committed. Keys are asked for when something is first to be stored, and anew before they end. There may be several
 * sets, each for some of the attempt's prefixes: which store to use depends on the key that is to be written.
 */
import type { StagingCredentials, StagingKeys } from "@trace/contracts";
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
  readonly stores: readonly { readonly prefixes: readonly string[]; readonly store: WriteStore }[];
  /** Of the set that ends first: they are replaced together. */
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

  /** Keys that are needed soon are asked for while there is other work. Throws what asking for them throws. */
  async ready(): Promise<void> {
    await this.#opening();
  }

  /** The store as it is to be used for the next call on a key; not kept by the caller. Throws what asking for keys throws. */
  async store(key: string): Promise<WriteStore> {
    const { stores } = await this.#opening();
    const opened = stores.find(({ prefixes }) => prefixes.some((prefix) => key.startsWith(prefix)));
    // Its places come with its task and its keys from the same rows.
    if (opened === undefined) throw new Error(`no keys of this attempt open ${key}`);
    return opened.store;
  }

  async #opening(): Promise<Opened> {
    const held = this.#current;
    if (held !== undefined) {
      const opened = await held;
      if (opened.endsAtMs - this.#parts.clock.nowMs() > keysRenewMs) return opened;
    }
    // Whoever comes first asks; the others wait for the same answer, and fresh keys are taken however soon they end.
    const renewed = this.#current === held ? this.#renew() : this.#current;
    return renewed ?? this.#renew();
  }

  /** The store refused its keys: others are asked for. False where there are no others. */
  async renew(refused: WriteStore): Promise<boolean> {
    if (refused === this.#parts.own) return false;
    const held = this.#current;
    const inHand = await held?.catch(() => undefined);
    // Somebody else may have got others meanwhile.
    const isInHand = inHand?.stores.some(({ store }) => store === refused) ?? false;
    if (isInHand && this.#current === held) this.#current = undefined;
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
    const { ask, own } = this.#parts;
    const answer = await ask();
    if (answer === undefined) {
      return { stores: [{ prefixes: [""], store: own }], endsAtMs: Number.POSITIVE_INFINITY };
    }
    if (this.#closed) throw new Error("an operator stored something after it had ended");
    return {
      stores: answer.keys.map((keys) => ({ prefixes: keys.prefixes, store: this.#storeWith(keys) })),
      endsAtMs: Math.min(...answer.keys.map(({ expires_at }) => Date.parse(expires_at))),
    };
  }

  #storeWith(keys: StagingKeys): WriteStore {
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = keys;
    const store = this.#parts.open({ accessKeyId, secretAccessKey, sessionToken });
    this.#opened.push(store);
    return store;
  }
}
