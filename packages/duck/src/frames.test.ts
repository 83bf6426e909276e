import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, FrameReader } from "./frames.ts";

describe("frames", () => {
  it("arrive whole and in order, however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.integer({ min: 1, max: 50 }), (messages, step) => {
        const stream = Buffer.concat(messages.map(encodeFrame));
        const got: unknown[] = [];
        const reader = new FrameReader(1_000_000, (message) => got.push(message));
        for (let at = 0; at < stream.length; at += step) reader.push(stream.subarray(at, at + step));
        expect(JSON.stringify(got)).toBe(JSON.stringify(messages));
      }),
    );
  });

  it("above the bound are refused by their length alone, before their body comes", () => {
    const reader = new FrameReader(10, () => {});
    expect(() => reader.push(Buffer.from([0, 0, 0, 11]))).toThrow(RangeError);
  });

  it("that hold no JSON are refused", () => {
    const reader = new FrameReader(10, () => {});
    expect(() => reader.push(Buffer.from([0, 0, 0, 1, 0x7b]))).toThrow(SyntaxError);
  });
});
