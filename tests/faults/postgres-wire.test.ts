/** Reading along with Postgres' protocol: wherever the bytes are cut into chunks, and whatever hides in SQL. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstWords, kindOfSql, MessageReader, textsOf } from "./postgres-wire.ts";

function typed(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeUInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

function startUp(code: number, rest = ""): Buffer {
  const body = Buffer.alloc(8 + rest.length);
  body.writeUInt32BE(body.length);
  body.writeUInt32BE(code, 4);
  body.write(rest, 8, "latin1");
  return body;
}

const version3 = 3 << 16;
const sslRequest = 80_877_103;

/** Everything that was read, with the place where each message ends in the whole. */
function readAll(reader: MessageReader, chunks: readonly Buffer[]): [string, string, number][] {
  const all: [string, string, number][] = [];
  let before = 0;
  for (const chunk of chunks) {
    for (const { type, body, end } of reader.read(chunk)) all.push([type, body.toString("latin1"), before + end]);
    before += chunk.length;
  }
  return all;
}

function cutAt(whole: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places.map((place) => place % (whole.length + 1)), whole.length].toSorted((a, b) => a - b);
  return edges.slice(1).map((edge, at) => whole.subarray(edges[at], edge));
}

test("a client's messages are the same however they are cut into chunks; unwanted bodies are not kept", () => {
  const session = startUp(version3, "user\0trace\0\0");
  const parts = [startUp(sslRequest), session, typed("p", "secret"), typed("Q", "commit\0"), typed("S", "")];
  const whole = Buffer.concat(parts);
  const expected = readAll(new MessageReader("client", ["Q"]), [whole]);
  expect(expected.map(([type]) => type)).toEqual(["start-up", "start-up", "p", "Q", "S"]);
  expect(expected.map(([, body]) => body).slice(2)).toEqual(["", "commit\0", ""]);
  expect(expected.map(([, , end]) => end)).toEqual(parts.map((_, at) => Buffer.concat(parts.slice(0, at + 1)).length));
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 12 }), (places) => {
      expect(readAll(new MessageReader("client", ["Q"]), cutAt(whole, places))).toEqual(expected);
    }),
  );
});

test("a server's refusal to encrypt is one byte, and messages follow it", () => {
  const reader = new MessageReader("server", ["Z"]);
  reader.expectByte();
  const answers = readAll(reader, [Buffer.from("N"), typed("R", "\0\0\0\0"), typed("Z", "I")]);
  expect(answers.map(([type, body]) => [type, body])).toEqual([
    ["byte", "N"],
    ["R", ""],
    ["Z", "I"],
  ]);
});

test("an error instead of that byte is a message", () => {
  const reader = new MessageReader("server", []);
  reader.expectByte();
  expect(readAll(reader, [typed("E", "SFATAL\0\0")]).map(([type]) => type)).toEqual(["E"]);
});

test("what is encrypted, or is no such protocol, is not read any further", () => {
  const encrypted = new MessageReader("server", []);
  encrypted.expectByte();
  readAll(encrypted, [Buffer.from("S"), typed("Z", "I")]);
  expect(encrypted.opaque).toBe(true);
  const other = new MessageReader("client", []);
  expect(readAll(other, [Buffer.from("GET / HTTP/1.1\r\n\r\n")])).toEqual([]);
  expect(other.opaque).toBe(true);
});

test("of a long message only the first part is looked at, and the next one is found", () => {
  const reader = new MessageReader("server", ["Q"]);
  const [long, next] = reader.read(Buffer.concat([typed("Q", "x".repeat(1_000_000)), typed("Q", "y")]));
  expect([long?.body.length, next?.body.toString()]).toEqual([64 * 1024, "y"]);
});

test("texts of a body end with a zero byte, the last one perhaps with the body", () => {
  expect(textsOf(Buffer.from("name\0select 1\0rest"), 2)).toEqual(["name", "select 1"]);
  expect(textsOf(Buffer.from("\0cut off"), 3)).toEqual(["", "cut off"]);
});

describe("kinds of SQL", () => {
  test.each([
    ["commit", "commit"],
    ["COMMIT AND CHAIN", "commit"],
    ["end", "commit"],
    ["/* why */ -- and so\n  Commit;", "commit"],
    ["begin; insert into t values (1); commit", "commit"],
    ["/* outer /* inner */ ; commit */ select 1", "statement"],
    ["select 'x; commit'", "statement"],
    ["select E'\\'; commit; '", "statement"],
    ["select 'it''s; commit'", "statement"],
    ['select 1 as "; commit"', "statement"],
    ["do $body$ begin; commit; end $body$", "statement"],
    ["select $1::text; -- ; commit", "statement"],
    ["with x as (update t set a = 1 returning a) select * from x", "statement"],
    ["(select 1)", "statement"],
    ["begin", "control"],
    ["start transaction isolation level serializable", "control"],
    ["rollback", "control"],
    ["set application_name = 'commit'", "control"],
    ["", "control"],
    ["-- nothing", "control"],
    ["/* not ended", "control"],
  ])("%j is a %s", (sql, kind) => {
    expect(kindOfSql(sql)).toBe(kind);
  });

  test("each statement of a text begins with its first word", () => {
    expect(firstWords("BEGIN; ; insert into t values ($$;$$) ;commit;")).toEqual(["begin", "insert", "commit"]);
  });

  test("any text is read to its end", () => {
    const piece = fc.constantFrom("'", '"', "$$", "$a$", "/*", "*/", "--", "\n", ";", "commit", " ", "E'", "\\", "x");
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        expect(["commit", "control", "statement"]).toContain(kindOfSql(pieces.join("")));
      }),
    );
  });
});
