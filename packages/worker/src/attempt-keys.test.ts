/** Keys of an attempt: asked for with its lease token when something is to be stored, and gone with it. */
import { type StagingCredentials, type StagingKeys, TraceError } from "@trace/contracts";
import type { AwsCredentials } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import { Bench, noopJob } from "./testing/bench.ts";
import { MemoryStore } from "./testing/memory-store.ts";
import { recordingLog } from "./testing/recording-log.ts";

let bench: Bench;
afterEach(() => bench.stop());

const keys: StagingKeys = {
  prefixes: ["d/one/", "d/two/"],
  access_key_id: "ATTEMPTKEY",
  secret_access_key: "secret-of-the-attempt",
  session_token: "token-of-the-attempt",
  expires_at: new Date(Date.now() + 86_400_000).toISOString(),
};

class Opened extends MemoryStore {
  readonly credentials: AwsCredentials;
  stopped = false;

  constructor(credentials: AwsCredentials) {
    super();
    this.credentials = credentials;
  }

  override stop(): Promise<void> {
    this.stopped = true;
    this.journal.note();
    return Promise.resolve();
  }
}

/** What is written is a file of the attempt's own. */
const key = "d/one/0.parquet";
const answers: StagingCredentials[] = [{ keys: [keys] }];

async function start(credentials: StagingCredentials[]) {
  const opened: Opened[] = [];
  const { entries, log } = recordingLog();
  const openStore = (credentials: AwsCredentials) => {
    const store = new Opened(credentials);
    opened.push(store);
    return store;
  };
  bench = await Bench.start({ deps: { openStore, log } });
  bench.dispatcher.credentials = credentials;
  bench.wake([noopJob()]);
  return { opened, entries, dispatcher: bench.dispatcher, running: await bench.operator.nth(0) };
}

describe("what an attempt writes with", () => {
  it("is a store opened with its own keys, asked for with its own token when it is first needed", async () => {
    const { dispatcher, opened, running } = await start(answers);
    expect(dispatcher.credentialsAsked).toEqual([]);
    const store = await running.context.writer.store(key);
    expect(store).toBe(opened[0]);
    expect(opened[0]?.credentials).toEqual({
      accessKeyId: "ATTEMPTKEY",
      secretAccessKey: "secret-of-the-attempt",
      sessionToken: "token-of-the-attempt",
    });
    expect(await running.context.writer.store(key)).toBe(store);
    expect(dispatcher.credentialsAsked).toEqual([...dispatcher.leases.keys()]);
  });

  it("is closed when the attempt ends", async () => {
    const { dispatcher, opened, running } = await start(answers);
    await running.context.writer.store(key);
    running.end();
    await dispatcher.until("the completion", () => dispatcher.completed.size === 1);
    expect(opened.map(({ stopped }) => stopped)).toEqual([true]);
  });

  it("is the worker's own store where the installation has no keys for attempts", async () => {
    const { opened, running } = await start([]);
    expect(await running.context.writer.store(key)).toBe(bench.store);
    expect(opened).toEqual([]);
  });

  it("is waited for while the dispatcher or its token service is away", async () => {
    const { dispatcher, opened, running } = await start(answers);
    dispatcher.before.credentials = () => {
      const asked = dispatcher.credentialsAsked.length;
      if (asked === 1) throw new TraceError("TR-1009", { detail: "Postgres is away" });
      if (asked === 2) throw new TraceError("TR-4006", { detail: "the token service is away" });
    };
    const store = running.context.writer.store(key);
    for (let steps = 0; dispatcher.credentialsAsked.length < 3; steps += 1) {
      if (steps > 1_000) throw new Error("did not come: the third call");
      await bench.timers.advance(10);
      await fetch(`http://127.0.0.1:${bench.worker.opsPort}/healthz`);
    }
    expect(await store).toBe(opened[0]);
  });

  it("is nothing for an attempt whose lease is gone", async () => {
    const { dispatcher, opened, running } = await start(answers);
    dispatcher.before.credentials = () => {
      throw new TraceError("TR-3001", { detail: "the lease is not live" });
    };
    await expect(running.context.writer.store(key)).rejects.toMatchObject({ code: "TR-3001" });
    expect(opened).toEqual([]);
  });

  it("is in no log", async () => {
    const { dispatcher, entries, running } = await start(answers);
    await running.context.writer.store(key);
    running.fail(new TraceError("TR-4008", { detail: "the store refused" }));
    await dispatcher.until("the failure", () => dispatcher.completed.size === 1);
    const said = JSON.stringify(entries, (_, value) => (value instanceof Error ? String(value) : value));
    const logged = [...bench.store.objects.values()].join("\n");
    for (const secret of [keys.secret_access_key, keys.session_token]) {
      expect(said).not.toContain(secret);
      expect(logged).not.toContain(secret);
    }
  });
});
