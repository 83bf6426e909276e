import { describe, expect, it } from "vitest";
import { inLanes } from "./lanes.ts";

const never = new AbortController().signal;

describe("items in lanes", () => {
  it("are all worked on, never more at once than there are lanes", async () => {
    const seen: number[] = [];
    let active = 0;
    let most = 0;
    await inLanes([0, 1, 2, 3, 4, 5, 6], 3, never, async (item, _, index) => {
      expect(index).toBe(item);
      active += 1;
      most = Math.max(most, active);
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(item);
      active -= 1;
    });
    expect([seen.toSorted(), most]).toEqual([[0, 1, 2, 3, 4, 5, 6], 3]);
    await inLanes([], 3, never, () => Promise.reject(new Error("nothing to do")));
  });

  it("end with the first failure, which stops what is on its way and is thrown when that has ended", async () => {
    const begun: number[] = [];
    const ended: number[] = [];
    const run = inLanes([0, 1, 2, 3], 2, never, async (item, signal) => {
      begun.push(item);
      if (item === 0) throw new Error("broken");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      ended.push(item);
    });
    await expect(run).rejects.toThrow("broken");
    expect([begun, ended]).toEqual([[0, 1], [1]]);
  });

  it("end with the caller's reason when it aborts", async () => {
    const abort = new AbortController();
    const run = inLanes([0, 1], 1, abort.signal, async () => abort.abort(new Error("lease lost")));
    await expect(run).rejects.toThrow("lease lost");
  });
});
