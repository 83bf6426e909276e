/** Which keys an attempt writes with, and when it asks for others. */
import type { StagingCredentials } from "@trace/contracts";
import { TraceError } from "@trace/contracts";
import type { AwsCredentials } from "@trace/kit";
import { describe, expect, it } from "vitest";
import { keysRenewMs } from "../limits.ts";
import { MemoryStore } from "../testing/memory-store.ts";
import { StoreWriter } from "./writer.ts";

const startMs = Date.UTC(2026, 0, 1);

class Scene {
  nowMs = startMs;
  readonly own = new MemoryStore();
  readonly opened: AwsCredentials[] = [];
  readonly stopped: string[] = [];
  /** Life of each set of keys handed out in order, milliseconds; undefined where there are none. */
  lives: (number | undefined | Error)[];
  asked = 0;
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
    return { access_key_id: `K${this.asked}`, secret_access_key: "s", session_token: `t${this.asked}`, expires_at };
  }
}

describe("the store that an attempt writes with", () => {
  it("is opened with keys that are asked for once, by however many at the same time", async () => {
    const scene = new Scene(900_000);
    const stores = await Promise.all([scene.writer.store(), scene.writer.store(), scene.writer.store()]);
    expect(new Set(stores).size).toBe(1);
    expect(scene.opened).toEqual([{ accessKeyId: "K1", secretAccessKey: "s", sessionToken: "t1" }]);
    expect(scene.asked).toBe(1);
  });

  it("is opened anew when its keys end within two minutes, and not sooner", async () => {
    const scene = new Scene(900_000);
    const first = await scene.writer.store();
    scene.nowMs += 900_000 - keysRenewMs - 1;
    expect(await scene.writer.store()).toBe(first);
    scene.nowMs += 1;
    const second = await scene.writer.store();
    expect(second).not.toBe(first);
    expect(await scene.writer.store()).toBe(second);
    expect(scene.asked).toBe(2);
  });

  it("is taken as it is when fresh keys end soon: each call asks once, and none goes round in circles", async () => {
    const scene = new Scene(1_000);
    await scene.writer.store();
    expect(scene.asked).toBe(1);
    await scene.writer.store();
    expect(scene.asked).toBe(2);
  });

  it("is the worker's own where there are no keys of attempts, and is never refused to be renewed", async () => {
    const scene = new Scene(undefined);
    expect(await scene.writer.store()).toBe(scene.own);
    scene.nowMs += 86_400_000;
    expect(await scene.writer.store()).toBe(scene.own);
    expect(scene.asked).toBe(1);
    expect(await scene.writer.renew(scene.own)).toBe(false);
  });

  it("is opened with other keys after a refusal of those in hand", async () => {
    const scene = new Scene(900_000);
    const first = await scene.writer.store();
    expect(await scene.writer.renew(first)).toBe(true);
    expect(await scene.writer.store()).not.toBe(first);
    // Somebody else had the first one refused as well; the second one is not thrown away for it.
    expect(await scene.writer.renew(first)).toBe(true);
    await scene.writer.store();
    expect(scene.asked).toBe(2);
  });

  it("is asked for again after an answer that failed, which is thrown", async () => {
    const scene = new Scene(new TraceError("TR-3001", { detail: "the lease is not live" }), 900_000);
    await expect(scene.writer.store()).rejects.toMatchObject({ code: "TR-3001" });
    await scene.writer.store();
    expect(scene.opened).toHaveLength(1);
  });

  it("is stopped with its attempt, each that was opened, and the worker's own is not", async () => {
    const scene = new Scene(1_000, 900_000);
    await scene.writer.store();
    await scene.writer.close();
    expect(scene.stopped).toEqual(scene.opened.map(({ accessKeyId }) => accessKeyId));
    const without = new Scene(undefined);
    await without.writer.close();
    expect(without.asked).toBe(0);
  });
});
