/** Watching a task whose life is in Postgres: what the rows say at each step is what its watcher is told. */
import type { LogLine } from "@trace/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noopDag, until, World } from "./testing/world.ts";
import type { WatchEvent } from "./watcher.ts";
import { Watching } from "./watching.ts";

let world: World;
let logs: Map<string, string>;
let looks = 0;

beforeAll(async () => {
  world = await World.open();
  await world.deploy(noopDag);
});
afterAll(() => world.close());

function write(taskId: string, leaseNo: number, ...messages: string[]): void {
  const lines = messages.map((message): LogLine => ({ time: "2026-11-23T08:00:00.000Z", level: "info", message }));
  logs.set(`logs/${taskId}/${leaseNo}.jsonl`, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** A watching that looks again as soon as it is awaited, on a store that holds `logs`. */
function watching(): Watching {
  return new Watching({
    listing: world.listing,
    scratchBucket: "scratch",
    store: {
      head: async (_, key) => {
        const text = logs.get(key);
        return text === undefined ? undefined : { bytes: text.length, etag: `"${text.length}"`, sha256: undefined };
      },
      range: async (_, key, { start, end }) => Buffer.from(logs.get(key) ?? "").subarray(start, end),
    },
    pause: (_, signal) =>
      new Promise((resolve) => {
        const turn = setTimeout(resolve, 5);
        signal.addEventListener("abort", () => {
          clearTimeout(turn);
          resolve();
        });
      }),
    monotonicMs: () => ++looks * 10_000,
  });
}

test("a task is followed from its creation through a failure and a lost worker to its end", async () => {
  logs = new Map();
  const [taskId = ""] = await world.create("plain", "noop");
  const events: WatchEvent[] = [];
  const stream = { signal: new AbortController().signal, lastEventId: undefined };
  const reading = (async () => {
    for await (const event of watching().watch({ orgId: world.orgId, taskId, attempt: undefined }, stream)) {
      events.push(event);
    }
  })();
  /** Waits until the watcher was told of the task in this state, with attempts in these. */
  const told = async (state: string, ...attempts: string[]) => {
    const newest = () => events.findLast((event) => event.event === "task")?.data;
    const found = () => [newest()?.state, ...(newest()?.attempts ?? []).map((attempt) => attempt.state)].join();
    await until(() => Promise.resolve(found() === [state, ...attempts].join()));
    return newest();
  };
  const lines = () =>
    events.flatMap(({ event, data }) =>
      event === "log" ? data.lines.map(({ message }) => `${data.attempt}/${data.lease_no} ${message}`) : [],
    );
  const said = (line: string) => until(() => Promise.resolve(lines().at(-1) === line));

  expect(await told("queued")).toMatchObject({ waiting_for: "worker", attempt: 0 });
  const first = await world.claimOne();
  await told("running", "running");
  write(taskId, first.lease_no, "opening");
  await said(`1/${first.lease_no} opening`);
  write(taskId, first.lease_no, "opening", "it failed");
  await world.fail(first);
  expect(await told("queued", "failed")).toMatchObject({ waiting_for: "due", failures: 1 });
  await said(`1/${first.lease_no} it failed`);

  await world.makeDue();
  const second = await world.claimOne();
  write(taskId, second.lease_no, "held up");
  await told("running", "failed", "running");
  await world.expireSessions();
  await world.reap();
  expect(await told("queued", "failed", "expired")).toMatchObject({ lease_losses: 1 });
  await said(`2/${second.lease_no} held up`);

  const third = await world.claimOne();
  write(taskId, third.lease_no, "again", "done");
  await world.succeed(third);
  await reading;
  expect(events.slice(-1)).toMatchObject([{ event: "end", data: { state: "completed" } }]);
  await told("completed", "failed", "expired", "succeeded");
  expect(lines()).toEqual([
    `1/${first.lease_no} opening`,
    `1/${first.lease_no} it failed`,
    `2/${second.lease_no} held up`,
    `3/${third.lease_no} again`,
    `3/${third.lease_no} done`,
  ]);
});

test("a task of another organisation cannot be watched", async () => {
  logs = new Map();
  const [taskId = ""] = await world.create("plain", "noop");
  const stream = { signal: new AbortController().signal, lastEventId: undefined };
  const events = watching().watch({ orgId: world.orgId + 1, taskId, attempt: undefined }, stream);
  await expect(events.next()).rejects.toMatchObject({ code: "TR-1006" });
});
