import { expect, test } from "vitest";
import { type Service, startAll, stopAll } from "./service.ts";

function service(name: string, log: string[], fails: { start?: boolean; stop?: boolean } = {}): Service {
  const act = (what: "start" | "stop") => {
    log.push(`${what} ${name}`);
    return fails[what] ? Promise.reject(new Error(`${name} does not ${what}`)) : Promise.resolve();
  };
  return { start: () => act("start"), stop: () => act("stop") };
}

test("services start in order and stop in reverse", async () => {
  const log: string[] = [];
  const all = [service("a", log), service("b", log)];
  await startAll(all);
  await stopAll(all);
  expect(log).toEqual(["start a", "start b", "stop b", "stop a"]);
});

test("when one does not start, those before it are stopped and its error is thrown", async () => {
  const log: string[] = [];
  const all = [service("a", log), service("b", log), service("c", log, { start: true }), service("d", log)];
  await expect(startAll(all)).rejects.toThrow("c does not start");
  expect(log).toEqual(["start a", "start b", "start c", "stop b", "stop a"]);
});

test("why it did not start is not hidden by what then did not stop", async () => {
  const log: string[] = [];
  const all = [service("a", log, { stop: true }), service("b", log, { start: true })];
  await expect(startAll(all)).rejects.toThrow("b does not start");
});

test("every one is stopped, although some fail, and the failures are told together", async () => {
  const log: string[] = [];
  const all = [service("a", log, { stop: true }), service("b", log), service("c", log, { stop: true })];
  const error = await stopAll(all).catch((thrown: unknown) => thrown);
  expect((error as AggregateError).errors.map((one: Error) => one.message)).toEqual([
    "c does not stop",
    "a does not stop",
  ]);
  expect(log).toEqual(["stop c", "stop b", "stop a"]);
});
