import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { silentLog } from "@trace/kit";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogFile } from "../state/index.ts";
import {
  diskUsage,
  type ProcessSpec,
  ProcessUnit,
  pssOf,
  Supervisor,
  serviceUnit,
  type Timers,
  type UnitState,
} from "./index.ts";
import { startOrder } from "./order.ts";
import { asJsonLine, LineSplitter, messageOf } from "./output.ts";
import type { UnitExit } from "./unit.ts";

const log = silentLog();
const sleeper = "setInterval(() => {}, 1000)";
let root: string;
const stop: (() => Promise<void>)[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "trace-supervisor-"));
});

afterEach(async () => {
  for (const each of stop.splice(0)) await each();
  rmSync(root, { recursive: true, force: true });
});

function script(name: string, code: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  return { name, command: process.execPath, args: ["-e", code], env: {}, ...more };
}

function supervise(specs: readonly ProcessSpec[], timers?: Timers): Supervisor {
  const units = specs.map((spec) => new ProcessUnit(spec));
  const supervisor = new Supervisor({ units, log, timers, random: () => 0.5 });
  stop.push(() => supervisor.stop());
  return supervisor;
}

/** Resolves when the unit has come to the state. */
function reached(supervisor: Supervisor, name: string, state: UnitState): Promise<void> {
  return new Promise((resolve) => {
    const listener = (status: { name: string; state: UnitState }) => {
      if (status.name !== name || status.state !== state) return;
      supervisor.off("state", listener);
      resolve();
    };
    supervisor.on("state", listener);
  });
}

/** Time that stands still until a test moves it. */
class FakeTimers implements Timers {
  #now = 1_000_000;
  readonly pending: { at: number; ms: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.#now + ms, ms, run };
    this.pending.push(entry);
    return () => void this.pending.splice(this.pending.indexOf(entry), 1);
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const entry of this.pending.filter(({ at }) => at <= this.#now)) {
      this.pending.splice(this.pending.indexOf(entry), 1);
      entry.run();
    }
  }
}

/** A unit whose fate the test decides. */
function puppet(name: string, after: readonly string[] = [], journal: string[] = []) {
  let exit: (exit: UnitExit) => void = () => undefined;
  const state = { failNext: false, starts: 0 };
  const unit = serviceUnit({
    name,
    after,
    service: {
      start: () => {
        state.starts += 1;
        journal.push(`start ${name}`);
        return state.failNext ? Promise.reject(new Error(`${name} fails`)) : Promise.resolve();
      },
      stop: () => {
        journal.push(`stop ${name}`);
        return Promise.resolve();
      },
      onExit: (listener) => {
        exit = listener;
      },
    },
  });
  return { unit, state, die: () => exit({ code: 1, signal: null, tail: "boom" }) };
}

function isAlive(pid: number): boolean {
  try {
    // A zombie answers to signal 0; where nobody reaps it, it is still gone.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await pause(10);
}

describe("restarts", () => {
  test("come after 1, 2, 4 ... 30 seconds, and begin again at 1 after a healthy minute", async () => {
    const timers = new FakeTimers();
    const { unit, die, state } = puppet("role");
    const supervisor = new Supervisor({ units: [unit], log, timers, random: () => 0.5 });
    await supervisor.start();
    const pauses: number[] = [];
    for (let round = 0; round < 7; round++) {
      die();
      expect(supervisor.status()[0]).toMatchObject({
        state: "backoff",
        restarts: round,
        lastFailure: "ended with code 1: boom",
      });
      pauses.push(timers.pending[0]?.ms ?? Number.NaN);
      const ready = reached(supervisor, "role", "ready");
      timers.advance(60_000 * 0.9);
      await ready;
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    timers.advance(60_000);
    die();
    expect(timers.pending[0]?.ms).toBe(1_000);
    await supervisor.stop();
    expect(timers.pending).toEqual([]);
    expect(state.starts).toBe(8);
  });

  test("that fail are failures too, and a crash loop is visible", async () => {
    const timers = new FakeTimers();
    const { unit, die, state } = puppet("role");
    const supervisor = new Supervisor({ units: [unit], log, timers, random: () => 0.5 });
    await supervisor.start();
    state.failNext = true;
    die();
    const failed = reached(supervisor, "role", "backoff");
    timers.advance(1_000);
    await failed;
    expect(supervisor.status()[0]).toMatchObject({ state: "backoff", restarts: 1, lastFailure: "role fails" });
    expect(timers.pending[0]?.ms).toBe(2_000);
    await supervisor.stop();
    expect(supervisor.status()[0]?.state).toBe("stopped");
  });

  test("bring a killed process back under a new id", async () => {
    const timers = new FakeTimers();
    const supervisor = supervise([script("role", sleeper)], timers);
    await supervisor.start();
    const before = supervisor.status()[0]?.pid ?? 0;
    const backoff = reached(supervisor, "role", "backoff");
    process.kill(before, "SIGKILL");
    await backoff;
    const ready = reached(supervisor, "role", "ready");
    timers.advance(1_000);
    await ready;
    const after = supervisor.status()[0]?.pid;
    expect(after).toBeDefined();
    expect(after).not.toBe(before);
  });

  test("are not made for a process that may end", async () => {
    const timers = new FakeTimers();
    const supervisor = supervise(
      [script("once", "setTimeout(() => process.exit(3), 200)", { restart: false })],
      timers,
    );
    const exited = once(supervisor, "exit");
    await supervisor.start();
    expect(await exited).toMatchObject(["once", { code: 3 }]);
    expect(supervisor.status()[0]?.state).toBe("exited");
    expect(timers.pending).toEqual([]);
  });
});

describe("start and stop", () => {
  test("follow what waits for what", async () => {
    const journal: string[] = [];
    const units = [
      puppet("dispatcher", ["state", "sqs"], journal).unit,
      puppet("worker", ["dispatcher"], journal).unit,
      puppet("state", [], journal).unit,
      puppet("sqs", [], journal).unit,
    ];
    const supervisor = new Supervisor({ units, log });
    await supervisor.start();
    expect(journal.slice(2)).toEqual(["start dispatcher", "start worker"]);
    journal.length = 0;
    await supervisor.stop();
    expect(journal.slice(0, 2)).toEqual(["stop worker", "stop dispatcher"]);
    expect(journal.slice(2).sort()).toEqual(["stop sqs", "stop state"]);
  });

  test("of a stack that does not come up leave nothing running, and say why", async () => {
    const supervisor = supervise([
      script("good", sleeper),
      script("bad", "console.error('no database'); process.exit(4)", {
        after: ["good"],
        ready: () => Promise.resolve(false),
      }),
    ]);
    const good = reached(supervisor, "good", "ready").then(() => supervisor.status()[0]?.pid ?? 0);
    await expect(supervisor.start()).rejects.toMatchObject({
      code: "TR-6020",
      why: expect.stringContaining("no database"),
    });
    expect(isAlive(await good)).toBe(false);
    expect(supervisor.status().map(({ state }) => state)).toEqual(["stopped", "stopped"]);
  });

  test("a process that ignores SIGTERM is killed after its bound, with what it started", async () => {
    const deaf = `process.on("SIGTERM", () => {});
      const child = require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(sleeper)}], { stdio: "ignore" });
      require("node:fs").writeFileSync(process.env.PIDFILE, String(child.pid)); ${sleeper}`;
    const pidFile = join(root, "pid");
    const ready = async () => {
      try {
        return readFileSync(pidFile, "utf8") !== "";
      } catch {
        return false;
      }
    };
    const supervisor = supervise([script("deaf", deaf, { env: { PIDFILE: pidFile }, stopMaxMs: 100, ready })]);
    await supervisor.start();
    const grandchild = Number(readFileSync(pidFile, "utf8"));
    expect(isAlive(grandchild)).toBe(true);
    await supervisor.stop();
    expect(supervisor.status()[0]?.pid).toBeUndefined();
    await gone(grandchild);
  });

  test("a process that is not ready in time is stopped and named", async () => {
    const supervisor = supervise([script("slow", sleeper, { ready: () => Promise.resolve(false), readyMaxMs: 100 })]);
    await expect(supervisor.start()).rejects.toMatchObject({
      code: "TR-6020",
      message: expect.stringContaining("slow"),
    });
  });

  test("a program that is not there is named", async () => {
    const supervisor = supervise([script("none", "", { command: join(root, "nothing") })]);
    await expect(supervisor.start()).rejects.toMatchObject({ code: "TR-6021", where: join(root, "nothing") });
  });

  test("readiness is a 2xx answer, not just an answer", async () => {
    let status = 503;
    const asked: number[] = [];
    const server = createServer((_, response) => {
      asked.push(status);
      response.writeHead(status).end();
      if (asked.length === 3) status = 200;
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const supervisor = supervise([script("http", sleeper, { readyUrl: `http://127.0.0.1:${port}/readyz` })]);
    await supervisor.start();
    server.close();
    expect(asked).toEqual([503, 503, 503, 200]);
  });

  test("a stranger that is ready on the port is not the child: readiness names its process", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { "x-trace-pid": process.pid }).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const readyUrl = `http://127.0.0.1:${port}/readyz`;
    const supervisor = supervise([script("http", sleeper, { readyUrl, readyMaxMs: 300 })]);
    await expect(supervisor.start()).rejects.toMatchObject({ code: "TR-6020", where: readyUrl });
    server.close();
  });

  test("a stop while a restart is being made leaves nothing running", async () => {
    const timers = new FakeTimers();
    const supervisor = supervise([script("role", sleeper)], timers);
    await supervisor.start();
    const backoff = reached(supervisor, "role", "backoff");
    process.kill(supervisor.status()[0]?.pid ?? 0, "SIGKILL");
    await backoff;
    timers.advance(1_000);
    const restarted = supervisor.status()[0]?.pid ?? 0;
    expect(restarted).toBeGreaterThan(0);
    await supervisor.stop();
    await gone(restarted);
    expect(supervisor.status()[0]).toMatchObject({ state: "stopped", pid: undefined });
  });
});

test("kill -9 of the supervisor leaves no child behind", async () => {
  const fixture = fileURLToPath(new URL("../fixtures/supervising.ts", import.meta.url));
  const supervisor: ChildProcess = fork(fixture, [], { execArgv: [] });
  const [{ pids }] = (await once(supervisor, "message")) as [{ pids: number[] }];
  expect(pids).toHaveLength(2);
  for (const pid of pids) expect(isAlive(pid)).toBe(true);
  supervisor.kill("SIGKILL");
  await Promise.all(pids.map(gone));
});

describe("output", () => {
  test("goes to the role's log file and to the listener, as JSON lines", async () => {
    const path = join(root, "role.log");
    const seen: string[] = [];
    const spec = script(
      "role",
      `console.log('{"message":"json","n":1}'); console.error("plain"); process.stdout.write("no end");`,
    );
    const unit = new ProcessUnit(
      { ...spec, restart: false },
      { logFile: new LogFile({ path }), onLine: (line) => seen.push(line) },
    );
    const exited = new Promise<UnitExit>((resolve) => unit.onExit(resolve));
    await unit.start();
    expect((await exited).tail.split("\n").sort()).toEqual(["json", "no end", "plain"]);
    const lines = readFileSync(path, "utf8").trim().split("\n");
    expect(lines.sort()).toEqual([...seen].sort());
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(parsed).toContainEqual({ message: "json", n: 1 });
    expect(parsed).toContainEqual(
      expect.objectContaining({ message: "plain", stream: "stderr", role: "role", level: "warn" }),
    );
  });

  test("is cut into the same lines wherever the chunks end", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (chunks) => {
        const lines: string[] = [];
        const splitter = new LineSplitter((line) => lines.push(line));
        for (const chunk of chunks) splitter.add(chunk);
        splitter.end();
        const whole = chunks
          .join("")
          .split("\n")
          .map((line) => line.replace(/\r$/, ""));
        expect(lines).toEqual(whole.filter((line) => line !== ""));
      }),
    );
  });

  test("without an end is given out in pieces", () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    splitter.add("x".repeat(200_000));
    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(64 * 1024);
  });

  test("is always one JSON object a line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (line) => {
        const json = asJsonLine(line, { role: "r", pid: 1, stream: "stdout", time: "t" });
        expect(json).not.toContain("\n");
        expect(typeof JSON.parse(json)).toBe("object");
        expect(typeof messageOf(json)).toBe("string");
      }),
    );
  });
});

describe("the order", () => {
  test("puts each after what it waits for, whatever the list", () => {
    const graph = fc.integer({ min: 1, max: 12 }).chain((size) =>
      fc.tuple(
        fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 30 }),
        fc.shuffledSubarray(
          Array.from({ length: size }, (_, index) => index),
          { minLength: size },
        ),
      ),
    );
    fc.assert(
      fc.property(graph, ([edges, shuffled]) => {
        const units = shuffled.map((index) => ({
          name: `u${index}`,
          after: edges.filter(([from, to]) => from === index && to < index).map(([, to]) => `u${to}`),
        }));
        const names = startOrder(units).map(({ name }) => name);
        expect(names).toHaveLength(units.length);
        for (const { name, after } of units) {
          for (const other of after) expect(names.indexOf(other)).toBeLessThan(names.indexOf(name));
        }
      }),
    );
  });

  test.each([
    [
      "a circle",
      [
        { name: "a", after: ["b"] },
        { name: "b", after: ["a"] },
      ],
      "a -> b -> a",
    ],
    ["an unknown name", [{ name: "a", after: ["c"] }], "c"],
    [
      "a name used twice",
      [
        { name: "a", after: [] },
        { name: "a", after: [] },
      ],
      "Two",
    ],
  ])("refuses %s", (_, units, words) => {
    expect(() => startOrder(units)).toThrow(
      expect.objectContaining({ code: "TR-6021", message: expect.stringContaining(words) }),
    );
  });
});

describe("usage", () => {
  test.runIf(process.platform === "linux")("counts a process with its children", async () => {
    const child = new ProcessUnit(script("child", sleeper));
    stop.push(() => child.stop());
    await child.start();
    const alone = await pssOf([child.pid ?? 0]);
    const both = await pssOf([process.pid]);
    expect(alone).toBeGreaterThan(1024 * 1024);
    expect(both).toBeGreaterThan(alone ?? 0);
    expect(await pssOf([])).toBe(0);
  });

  test("counts blocks, once per file, and nothing for what is not there", () => {
    writeFileSync(join(root, "file"), Buffer.alloc(100_000, 1));
    const bytes = diskUsage([root]);
    expect(bytes).toBeGreaterThanOrEqual(100_000);
    expect(diskUsage([root, join(root, "file"), root])).toBe(bytes);
    expect(diskUsage([join(root, "missing")])).toBe(0);
  });
});
