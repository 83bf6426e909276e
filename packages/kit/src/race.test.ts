/** Race points: two callers in the one order that a test wants, and nothing at all in production. */
import { expect, test } from "vitest";
import { noRace, type RacePoints, TestRace } from "./race.ts";

/** Reads, passes the point, writes: two at once lose an update, unless something in between is looked at again. */
class Counter {
  value = 0;
  readonly #race: RacePoints;

  constructor(race: RacePoints) {
    this.#race = race;
  }

  async add(): Promise<void> {
    const read = this.value;
    const paused = this.#race.reach("counter:read");
    if (paused) await paused;
    this.value = read + 1;
  }
}

test("in production a point gives nothing to wait for", () => {
  expect(noRace.reach("counter:read")).toBeUndefined();
  expect(new TestRace().reach("counter:read")).toBeUndefined();
});

test("a caller stands at the point until it is resumed, and another passes it: the update is lost every time", async () => {
  const race = new TestRace();
  const counter = new Counter(race);
  const pause = race.pauseAt("counter:read");
  const first = counter.add();
  await pause.reached;
  await counter.add();
  expect(counter.value).toBe(1);
  pause.resume();
  await first;
  expect(counter.value).toBe(1); // two additions
  await counter.add();
  expect(counter.value).toBe(2);
  expect(race.timesReached("counter:read")).toBe(3);
});

test("a pause for several callers is reached when all of them are there", async () => {
  const race = new TestRace();
  const counter = new Counter(race);
  const pause = race.pauseAt("counter:read", { times: 2 });
  let reached = false;
  void pause.reached.then(() => {
    reached = true;
  });
  const first = counter.add();
  await new Promise(setImmediate);
  expect(reached).toBe(false);
  const second = counter.add();
  await pause.reached;
  await counter.add(); // the third passes
  pause.resume();
  await Promise.all([first, second]);
  expect(counter.value).toBe(1);
});

test("two pauses at one point hold a caller each, and let them go in any order", async () => {
  const race = new TestRace();
  const [one, two] = [race.pauseAt("here"), race.pauseAt("here")];
  const order: string[] = [];
  const calls = ["first", "second"].map((name) => Promise.resolve(race.reach("here")).then(() => order.push(name)));
  await Promise.all([one.reached, two.reached]);
  two.resume();
  await calls[1];
  one.resume();
  await calls[0];
  expect(order).toEqual(["second", "first"]);
});

test("a failure is thrown where the caller stands; the next caller passes", async () => {
  const race = new TestRace();
  const counter = new Counter(race);
  const pause = race.pauseAt("counter:read");
  const broken = counter.add();
  await pause.reached;
  pause.fail(new Error("connection lost"));
  await expect(broken).rejects.toThrow("connection lost");
  await counter.add();
  expect(counter.value).toBe(1);
});

test("a point that nobody reaches fails the test by name, and tells which points there were", async () => {
  const race = new TestRace();
  race.reach("counter:write");
  const pause = race.pauseAt("counter:raed", { timeoutMs: 1 });
  await expect(pause.reached).rejects.toThrow(/'counter:raed' was not reached .* counter:write \(1x\)/);
});

test("a pause that is ended before its point was reached stops nobody, and says so to who waits", async () => {
  const race = new TestRace();
  const pause = race.pauseAt("counter:read");
  race.resumeAll();
  await expect(pause.reached).rejects.toThrow("ended before the point was reached");
  expect(race.reach("counter:read")).toBeUndefined();
});

test("a pause for nobody is a mistake", () => {
  expect(() => new TestRace().pauseAt("here", { times: 0 })).toThrow(RangeError);
});
