/** What every figure rests on: the arithmetic, who is counted as foreign, which rounds count, and children that fail. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Child } from "../../bench/harness/child.ts";
import { type CpuSample, cpuSeconds, foreignCores, parseStat, parseStolen } from "../../bench/harness/cpu.ts";
import { median, percentile, perSecond, rounded } from "../../bench/harness/numbers.ts";
import { readOptions } from "../../bench/tasks/options.ts";
import { alternate, counting, middle, noise, type Round } from "../../bench/tasks/rounds.ts";
import type { Cost } from "../../bench/tasks/side.ts";

describe("figures", () => {
  test("a median is the middle one, or between the two in the middle, in whatever order they came", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([10, 2, 4, 1])).toBe(3);
    expect(() => median([])).toThrow("nothing");
  });

  test("a percentile is a value that was measured", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 1)).toBe(100);
    expect(percentile([7], 0.01)).toBe(7);
  });

  test("a rate is told to three digits", () => {
    expect(perSecond(51_049)).toBe("51,000/s");
    expect(perSecond(4_987.4)).toBe("4,990/s");
    expect(rounded(123.4)).toBe("123");
  });
});

describe("processor time", () => {
  const ticks = (parent: number, count: number) => ({ parent, ticks: count });

  function sample(atMs: number, processes: Record<number, { parent: number; ticks: number }>): CpuSample {
    const map = new Map(Object.entries(processes).map(([pid, times]) => [Number(pid), times]));
    return { atMs, processes: map, stolenTicks: 0 };
  }

  test("is read past a name that holds blanks and parentheses, ended children included", () => {
    const line = "4242 (a) R 9 (b) S 17 4242 4242 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5 6 7";
    expect(parseStat(line)).toEqual({ parent: 17, ticks: 127 });
    expect(() => parseStat("nothing")).toThrow("/proc");
    expect(parseStolen("cpu  3959 5035 3059 179512 194 0 51 12 0 0\ncpu0 1 2")).toBe(12);
  });

  test("of a tree counts what ended in it, because its parent has it", () => {
    const before = sample(0, { 10: ticks(1, 0), 11: ticks(10, 100), 12: ticks(11, 50) });
    const after = sample(1_000, { 10: ticks(1, 0), 11: ticks(10, 250) });
    expect(cpuSeconds(before, after, 10)).toBe(1);
  });

  test("is foreign when it is neither ours nor the kernel's", () => {
    const before = sample(0, { 1: ticks(0, 0), 2: ticks(0, 0), 5: ticks(2, 0), 10: ticks(1, 0), 20: ticks(1, 0) });
    const after = sample(2_000, {
      1: ticks(0, 0),
      2: ticks(0, 0),
      5: ticks(2, 80),
      10: ticks(1, 150),
      20: ticks(1, 60),
    });
    expect(foreignCores(before, after, 10)).toBeCloseTo(0.3);
  });
});

describe("rounds", () => {
  interface Figures {
    readonly speed: number;
    readonly cost: Cost;
  }
  const cost = (foreign: number) => ({ foreign }) as Cost;

  function contender(name: string, foreign: readonly number[], log: string[]) {
    let turn = 0;
    return {
      name,
      run: () => {
        log.push(name);
        const figures = { speed: turn, cost: cost(foreign[turn] ?? 0) };
        turn += 1;
        return Promise.resolve(figures);
      },
    };
  }

  const run = (contenders: ReturnType<typeof contender>[], rounds: number) =>
    alternate<Figures>(
      contenders,
      rounds,
      () => undefined,
      (figures) => String(figures.speed),
    );

  test("go in turn; a noisy one is done again and does not count", async () => {
    const log: string[] = [];
    const rounds = await run([contender("a", [0, 0.9, 0.1], log), contender("b", [0, 0], log)], 2);
    expect(log).toEqual(["a", "b", "a", "b", "a"]);
    expect(counting(rounds.get("a") ?? []).map(({ speed }) => speed)).toEqual([0, 2]);
    expect(middle(rounds.get("a"), ({ speed }) => speed)).toBe(1);
    expect(noise(rounds)).toEqual(["1 of 3 rounds of a were noisy and are left out"]);
  });

  test("end on a machine that is never quiet, and say that the figure is not to be trusted", async () => {
    const log: string[] = [];
    const rounds = await run([contender("a", [1, 1, 1, 1, 1, 1], log)], 2);
    expect(log).toHaveLength(4);
    expect(noise(rounds)).toEqual(["all 4 rounds of a were noisy: its figure is not to be trusted"]);
  });

  test("of nothing have no middle", () => {
    expect(() => middle<Figures>([] as Round<Figures>[], ({ speed }) => speed)).toThrow("nothing");
  });
});

describe("the command line", () => {
  test("measures everything but the soak, or what was named", () => {
    expect(readOptions([]).only).toEqual(["drain", "hundreds", "singles", "latency", "pinned", "finished", "floor"]);
    const some = readOptions(["--only", "drain,floor", "--rounds", "5", "--tasks", "1000", "--json"]);
    expect(some).toMatchObject({ only: ["drain", "floor"], rounds: 5, tasks: 1_000, warmupTasks: 1_000, json: true });
  });

  test.each([[["--only", "drains"]], [["--rounds", "0"]], [["--tasks", "many"]], [["--fast"]]])(
    "refuses %j and shows what there is",
    (args) => {
      expect(() => readOptions(args)).toThrow("npm run bench -- tasks [options]");
    },
  );
});

describe("a child process", () => {
  const folder = mkdtempSync(join(tmpdir(), "trace-bench-child-"));
  const children: Child<{ kind: string }, { kind: string }>[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("that says it failed, or just ends, fails whoever waits for it", async () => {
    const file = join(folder, "child.mjs");
    const fails = `process.on("message", ({ kind }) => { if (kind === "end") process.exit(3); else process.send({ kind: "failed", error: "no" }) })`;
    writeFileSync(file, fails);
    const child = () => {
      const made = new Child<{ kind: string }, { kind: string }>("child", file, {});
      children.push(made);
      return made;
    };
    await expect(child().ask({ kind: "work" }, "done")).rejects.toThrow("child: no");
    const ended = child();
    await expect(ended.ask({ kind: "end" }, "done")).rejects.toThrow("child ended with 3");
    await expect(ended.next("done")).rejects.toThrow("child ended with 3");
  });
});
