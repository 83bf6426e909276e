import { expect, test } from "vitest";
import { ManualTimer } from "./timer.ts";

test("what is due runs in its order and at its time, what it sets runs too, the rest waits", () => {
  const timer = new ManualTimer(1_000);
  const ran: string[] = [];
  const note = (name: string) => () => void ran.push(`${name}@${timer.nowMs()}`);
  timer.after(20, note("second"));
  timer.after(10, () => {
    note("first")();
    timer.after(5, note("between"));
  });
  timer.after(31, note("later"));
  timer.advance(30);
  expect(ran).toEqual(["first@1010", "between@1015", "second@1020"]);
  expect(timer.nowMs()).toBe(1_030);
  timer.advance(1);
  expect(ran.at(-1)).toBe("later@1031");
});

test("what was taken back does not run", () => {
  const timer = new ManualTimer();
  const ran: string[] = [];
  const cancel = timer.after(1, () => ran.push("never"));
  timer.after(1, () => ran.push("kept"));
  cancel();
  timer.advance(1);
  expect(ran).toEqual(["kept"]);
});
