import { expect, test } from "vitest";
import { SeededRandom } from "./random.ts";

const draws = (random: SeededRandom, count: number) => Array.from({ length: count }, () => random.next());

test("a seed gives the same draws every time, another seed others", () => {
  expect(draws(new SeededRandom(7), 100)).toEqual(draws(new SeededRandom("7"), 100));
  expect(draws(new SeededRandom(8), 100)).not.toEqual(draws(new SeededRandom(7), 100));
  // Fixed, so that a seed found years ago still repeats what it found.
  expect(draws(new SeededRandom("fixed"), 3)).toEqual([0.8902009259909391, 0.2475007507018745, 0.13315348187461495]);
});

test("draws lie in [0, 1) and are spread evenly", () => {
  const all = draws(new SeededRandom(1), 100_000);
  expect(Math.min(...all.slice(0, 50_000))).toBeGreaterThanOrEqual(0);
  expect(Math.max(...all.slice(0, 50_000))).toBeLessThan(1);
  const tenths = new Map<number, number>();
  for (const draw of all) tenths.set(Math.floor(draw * 10), (tenths.get(Math.floor(draw * 10)) ?? 0) + 1);
  // 10,000 each with a standard deviation of 95.
  for (const count of tenths.values()) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  expect(tenths.size).toBe(10);
});

test("a chance of 0 never comes, of 1 always, of a third in a third", () => {
  const random = new SeededRandom(2);
  const hits = (probability: number) => Array.from({ length: 9_000 }, () => random.chance(probability)).filter(Boolean);
  expect(hits(0)).toHaveLength(0);
  expect(hits(1)).toHaveLength(9_000);
  expect(Math.abs(hits(1 / 3).length - 3_000)).toBeLessThan(250);
});

test("whole numbers include both ends and nothing beyond", () => {
  const random = new SeededRandom(3);
  const seen = new Set(Array.from({ length: 1_000 }, () => random.integer(-2, 2)));
  expect([...seen].toSorted((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
});

test("each of a list is picked, and nothing cannot be picked from", () => {
  const random = new SeededRandom(4);
  expect(new Set(Array.from({ length: 100 }, () => random.pick(["a", "b", "c"])))).toEqual(new Set(["a", "b", "c"]));
  expect(() => random.pick([])).toThrow(RangeError);
});

test("a shuffle keeps the elements, leaves the list as it was, and gives every order alike", () => {
  const random = new SeededRandom(5);
  const list = ["a", "b", "c"];
  const orders = new Map<string, number>();
  for (let n = 0; n < 6_000; n += 1) {
    const order = random.shuffle(list).join("");
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  expect([...orders.keys()].toSorted()).toEqual(["abc", "acb", "bac", "bca", "cab", "cba"]);
  for (const count of orders.values()) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  expect(list).toEqual(["a", "b", "c"]);
});

test("a fork draws apart from its origin and from other forks", () => {
  const random = new SeededRandom(6);
  const first = draws(random.fork("delay"), 10);
  random.next();
  expect(draws(random.fork("delay"), 10)).toEqual(first);
  expect(draws(random.fork("drop"), 10)).not.toEqual(first);
});
