import { expect, it } from "vitest";
import { noopJob } from "../testing/bench.ts";
import { testContext } from "../testing/context.ts";
import { ManualTimers } from "../testing/manual-timers.ts";
import { noop } from "./noop.ts";

it("works for as long as its job says, and tells how far it is", async () => {
  const timers = new ManualTimers();
  const { context, progress, remove } = await testContext(noopJob({ durationMs: 2_500 }), { services: { timers } });
  let ended = false;
  const run = noop.run(context).then((outputs) => {
    ended = true;
    return outputs;
  });
  await timers.advance(2_499);
  expect(ended).toBe(false);
  await timers.advance(1);
  expect(await run).toEqual([]);
  expect(progress.map(({ done }) => done)).toEqual([0, 1_000, 2_000, 2_500]);
  expect(progress.every(({ total, unit }) => total === 2_500 && unit === "ms")).toBe(true);
  await remove();
});

it("has nothing to report when it works for no time", async () => {
  const { context, progress, said, remove } = await testContext(noopJob({ durationMs: 0 }));
  expect(await noop.run(context)).toEqual([]);
  expect([progress, said]).toEqual([[], []]);
  await remove();
});

it("ends at once when it is aborted", async () => {
  const timers = new ManualTimers();
  const { abort, context, remove } = await testContext(noopJob({ durationMs: 2_500 }), { services: { timers } });
  const run = noop.run(context);
  abort.abort(new Error("lost"));
  await expect(run).rejects.toThrow("lost");
  await remove();
});
