/** A destination that is away is left alone, ever longer, and tried with one call before others follow. */
import { silentLog } from "@trace/kit";
import { beforeEach, expect, test } from "vitest";
import { lanePauseBaseMs, lanePauseMaxMs } from "../limits.ts";
import { LanePause, type Turn } from "./outbox-pause.ts";

let nowMs: number;
let told: boolean[];
let pause: LanePause;

beforeEach(() => {
  nowMs = 1_000;
  told = [];
  pause = new LanePause({
    saying: "it is away",
    random: () => 0.5,
    log: silentLog(),
    monotonicMs: () => nowMs,
    onPaused: (paused) => told.push(paused),
  });
});

function enter(): Turn {
  const turn = pause.enter();
  if (turn === undefined) throw new Error("nobody may call now");
  return turn;
}

function waitForTurn(): Turn {
  for (;;) {
    const turn = pause.enter();
    if (turn !== undefined) return turn;
    nowMs += 500;
  }
}

test("any number may call while all goes well", () => {
  const turns = [enter(), enter(), enter()];
  expect(turns.map((turn) => turn.probe)).toEqual([false, false, false]);
  for (const turn of turns) turn.passed();
  expect(told).toEqual([]);
});

test("calls that fail together pause once, and nobody calls until the time is over", () => {
  const turns = [enter(), enter()];
  for (const turn of turns) turn.failed(new Error("away"));
  expect(told).toEqual([true]);
  nowMs += lanePauseBaseMs - 1;
  expect(pause.enter()).toBeUndefined();
  nowMs += 1;
  expect(enter().probe).toBe(true);
});

test("one call tries; while it is on its way nobody else calls, and when it came through all do", () => {
  enter().failed(new Error("away"));
  nowMs += lanePauseBaseMs;
  const probe = enter();
  expect(pause.enter()).toBeUndefined();
  probe.passed();
  expect(told).toEqual([true, false]);
  expect(enter().probe).toBe(false);
});

test("each try that fails doubles the pause, up to its bound, and a success begins anew", () => {
  const pauses: number[] = [];
  let turn = enter();
  for (let n = 0; n < 12; n += 1) {
    turn.failed(new Error("away"));
    const from = nowMs;
    turn = waitForTurn();
    pauses.push(nowMs - from);
  }
  expect(pauses.slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * lanePauseBaseMs));
  expect(pauses.at(-1)).toBe(lanePauseMaxMs);
  turn.passed();
  enter().failed(new Error("away"));
  nowMs += lanePauseBaseMs;
  expect(enter().probe).toBe(true);
});

test("one who was to try and had nothing to say leaves the try to the next", () => {
  enter().failed(new Error("away"));
  nowMs += lanePauseBaseMs;
  const first = enter();
  first.left();
  const second = enter();
  expect(second.probe).toBe(true);
  first.left(); // late, and no longer his
  expect(pause.enter()).toBeUndefined();
});

test("the answer to a call of before the pause neither ends nor prolongs it", () => {
  const [slow, slower, failing] = [enter(), enter(), enter()];
  failing.failed(new Error("away"));
  slow.passed();
  expect(pause.enter()).toBeUndefined();
  nowMs += lanePauseBaseMs;
  const probe = enter();
  slower.failed(new Error("away"));
  expect(told).toEqual([true]);
  probe.passed();
  expect(told).toEqual([true, false]);
});
