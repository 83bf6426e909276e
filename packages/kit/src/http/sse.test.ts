import fc from "fast-check";
import { expect, test } from "vitest";
import { beatText, EventReader, eventText, type ReceivedEvent } from "./sse.ts";

function readAll(pieces: readonly string[], charsMax = 1_000_000): ReceivedEvent[] {
  const reader = new EventReader(charsMax);
  return pieces.flatMap((piece) => [...reader.push(piece)]);
}

test("an event is its id, its name and its data on one line", () => {
  expect(eventText({ event: "log", data: { a: "x\ny" }, id: "7.1" })).toBe(
    'id: 7.1\nevent: log\ndata: {"a":"x\\ny"}\n\n',
  );
  expect(eventText({ event: "end", data: {} })).toBe("event: end\ndata: {}\n\n");
});

test("a name or an id of two lines is refused: it would be read as another field", () => {
  expect(() => eventText({ event: "a\ndata: evil", data: 1 })).toThrow("one line");
  expect(() => eventText({ event: "a", data: 1, id: "1\r2" })).toThrow("one line");
});

test("what was written is read again, wherever it is cut and whatever lies between", () => {
  const events = fc.array(
    fc.record({
      event: fc.stringMatching(/^[a-z]{1,9}$/),
      data: fc.jsonValue(),
      id: fc.stringMatching(/^[0-9.]{1,9}$/),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(events, fc.array(fc.nat(400), { maxLength: 20 }), (written, cuts) => {
      const text = written.map((one) => `${beatText}${eventText(one)}`).join("");
      const places = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
      const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
      expect(readAll(pieces)).toEqual(written.map((one) => ({ ...one, data: JSON.stringify(one.data) })));
    }),
  );
});

test("lines may end as the standard allows, also across two pieces", () => {
  const read = [{ event: "a", data: "1", id: "x" }];
  expect(readAll(["id: x\revent: a\rdata: 1\r\r", ":"])).toEqual(read);
  expect(readAll(["id: x\r\nevent: a\r\nda", "ta: 1\r", "\n\r", "\n"])).toEqual(read);
});

test("an event that was cut off is none, and neither is one without data", () => {
  expect(readAll(["event: a\ndata: 1\n"])).toEqual([]);
  expect(readAll(["event: a\n\nevent: b\ndata: 2\n\n"])).toEqual([{ event: "b", data: "2", id: undefined }]);
});

test("data of several lines is put together, unknown fields are passed over, a nameless event is a message", () => {
  expect(readAll(["data: 1\nretry: 5\ndata:2\ndata\n\n"])).toEqual([
    { event: "message", data: "1\n2\n", id: undefined },
  ]);
});

test("an event without end is not gathered for ever", () => {
  expect(() => readAll(["data: ", "x".repeat(60), "x".repeat(60)], 100)).toThrow("longer than 100 characters");
  expect(() =>
    readAll(
      Array.from({ length: 60 }, () => "data: x\n"),
      100,
    ),
  ).toThrow("longer than 100 characters");
  expect(
    readAll(
      Array.from({ length: 60 }, () => "data: x\n\n"),
      100,
    ),
  ).toHaveLength(60);
});
