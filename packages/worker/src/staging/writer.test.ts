/** Which keys an attempt writes with, and when it asks for others. */
import type { StagingCredentials, StagingKeys } from "@trace/contracts";
import { TraceError } from "@trace/contracts";
import type { AwsCredentials } from "@trace/kit";
import { describe, expect, it } from "vitest";
import { keysRenewMs } from "../limits.ts";
import { MemoryStore } from "../testing/memory-store.ts";
import { StoreWriter } from "./writer.ts";

const key = "d/one/0.parquet";
const startMs = Date.UTC(2026, 0, 1);

class Scene {
  nowMs = startMs;
  readonly own = new MemoryStore();
  readonly opened: AwsCredentials[] = [];
  readonly stopped: string[] = [];
  /** Life of each set of keys handed out in order, milliseconds; undefined where there are none. */
  lives: (number | undefined | Error)[];
  asked = 0;
  /** Sets of keys beside the first. */
  more: (expiresAt: string) => StagingKeys[] = () => [];
  readonly writer: StoreWriter;

  constructor(...lives: (number | undefined | Error)[]) {
    this.lives = lives;
    this.writer = new StoreWriter({
      ask: async () => this.#ask(),
      open: (credentials) => {
        this.opened.push(credentials);
        const store = new MemoryStore();
        store.stop = async () => void this.stopped.push(credentials.accessKeyId);
        return store;
      },
      own: this.own,
      clock: { nowMs: () => this.nowMs },
    });
  }

  #ask(): StagingCredentials | undefined {
    const life = this.lives[Math.min(this.asked, this.lives.length - 1)];
    this.asked += 1;
    if (life instanceof Error) throw life;
    if (life === undefined) return undefined;
    const expires_at = new Date(this.nowMs + life).toISOString();
    const one = {
      access_key_id: `K${this.asked}`,
      secret_access_key: "s",
      session_token: `t${this.asked}`,
      expires_at,
    };
    return { keys: [{ prefixes: ["d/zero/", "d/one/"], ...one }, ...this.more(expires_at)] };
  }
}

describe("the store that an attempt writes with", () => {
  it("is opened with keys that are asked for once, by however many at the same time", async () => {
    const scene = new Scene(900_000);
    const stores = await Promise.all([scene.writer.store(key), scene.writer.store(key), scene.writer.store(key)]);
    expect(new Set(stores).size).toBe(1);
    expect(scene.opened).toEqual([{ accessKeyId: "K1", secretAccessKey: "s", sessionToken: "t1" }]);
    expect(scene.asked).toBe(1);
  });

  it("is opened anew when its keys end within two minutes, and not sooner", async () => {
    const scene = new Scene(900_000);
    const first = await scene.writer.store(key);
    scene.nowMs += 900_000 - keysRenewMs - 1;
    expect(await scene.writer.store(key)).toBe(first);
    scene.nowMs += 1;
    const second = await scene.writer.store(key);
    expect(second).not.toBe(first);
    expect(await scene.writer.store(key)).toBe(second);
    expect(scene.asked).toBe(2);
  });

  it("is taken as it is when fresh keys end soon: each call asks once, and none goes round in circles", async () => {
    const scene = new Scene(1_000);
    await scene.writer.store(key);
    expect(scene.asked).toBe(1);
    await scene.writer.store(key);
    expect(scene.asked).toBe(2);
  });

  it("is the worker's own where there are no keys of attempts, and is never refused to be renewed", async () => {
    const scene = new Scene(undefined);
    expect(await scene.writer.store(key)).toBe(scene.own);
    scene.nowMs += 86_400_000;
    expect(await scene.writer.store(key)).toBe(scene.own);
    expect(scene.asked).toBe(1);
    expect(await scene.writer.renew(scene.own)).toBe(false);
  });

  it("is opened with other keys after a refusal of those in hand", async () => {
    const scene = new Scene(900_000);
    const first = await scene.writer.store(key);
    expect(await scene.writer.renew(first)).toBe(true);
    expect(await scene.writer.store(key)).not.toBe(first);
    // Somebody else had the first one refused as well; the second one is not thrown away for it.
    expect(await scene.writer.renew(first)).toBe(true);
    await scene.writer.store(key);
    expect(scene.asked).toBe(2);
  });

  it("is asked for again after an answer that failed, which is thrown", async () => {
    const scene = new Scene(new TraceError("TR-3001", { detail: "the lease is not live" }), 900_000);
    await expect(scene.writer.store(key)).rejects.toMatchObject({ code: "TR-3001" });
    await scene.writer.store(key);
    expect(scene.opened).toHaveLength(1);
  });

  describe("with several sets of keys, each for some prefixes", () => {
    const second = (expires_at: string): StagingKeys[] => [
      { prefixes: ["d/two/"], access_key_id: "SECOND", secret_access_key: "s", session_token: "t", expires_at },
    ];

    it("is the one of the prefix of the key, asked for together", async () => {
      const scene = new Scene(900_000);
      scene.more = second;
      const [one, zero, two] = await Promise.all(
        [key, "d/zero/a", "d/two/deep/a"].map((each) => scene.writer.store(each)),
      );
      expect(scene.opened.map(({ accessKeyId }) => accessKeyId)).toEqual(["K1", "SECOND"]);
      expect(one).toBe(zero);
      expect(two).not.toBe(one);
      expect(scene.asked).toBe(1);
      await scene.writer.close();
      expect(scene.stopped).toEqual(["K1", "SECOND"]);
    });

    it("is none for a key that no set opens, and never the worker's own", async () => {
      const scene = new Scene(900_000);
      scene.more = second;
      for (const other of ["d/three/a", "d/tw", "d/two", "e/d/two/a", ""]) {
        await expect(scene.writer.store(other)).rejects.toThrow(`no keys of this attempt open ${other}`);
      }
    });

    it("is replaced with all others when the first of them ends, or one of them is refused", async () => {
      const scene = new Scene(900_000);
      scene.more = () => second(new Date(startMs + 300_000).toISOString());
      const before = await scene.writer.store("d/two/a");
      scene.nowMs += 300_000 - keysRenewMs;
      scene.more = second;
      const two = await scene.writer.store("d/two/a");
      expect(two).not.toBe(before);
      const one = await scene.writer.store(key);
      expect(scene.asked).toBe(2);
      expect(await scene.writer.renew(two)).toBe(true);
      expect(await scene.writer.store(key)).not.toBe(one);
      expect(scene.asked).toBe(3);
    });
  });

  it("is asked for before it is needed, by who has other work meanwhile", async () => {
    const scene = new Scene(900_000);
    await scene.writer.ready();
    await scene.writer.store(key);
    expect(scene.asked).toBe(1);
  });

  it("is stopped with its attempt, each that was opened, and the worker's own is not", async () => {
    const scene = new Scene(1_000, 900_000);
    await scene.writer.store(key);
    await scene.writer.close();
    expect(scene.stopped).toEqual(scene.opened.map(({ accessKeyId }) => accessKeyId));
    const without = new Scene(undefined);
    await without.writer.close();
    expect(without.asked).toBe(0);
  });
});
