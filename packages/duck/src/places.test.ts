import { describe, expect, it } from "vitest";
import { Places } from "./places.ts";

describe("places", () => {
  it("are given in order of arrival, and a place given back twice counts once", async () => {
    const places = new Places(1);
    const never = new AbortController().signal;
    const first = await places.take(never);
    const order: string[] = [];
    const arrived = (name: string) => (giveBack: () => void) => {
      order.push(name);
      return giveBack;
    };
    const second = places.take(never).then(arrived("second"));
    const third = places.take(never).then(arrived("third"));
    first();
    first();
    const giveBack = await second;
    expect(order).toEqual(["second"]);
    giveBack();
    await third;
    expect(order).toEqual(["second", "third"]);
  });

  it("are not taken by who gave up waiting", async () => {
    const places = new Places(1);
    const first = await places.take(new AbortController().signal);
    const impatient = new AbortController();
    const waiting = places.take(impatient.signal);
    impatient.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    first();
    await expect(places.take(new AbortController().signal)).resolves.toBeTypeOf("function");
  });
});
