import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dagSourceBytesMax } from "../limits.ts";
import { decodeDag } from "./decode.ts";
import { parseDag } from "./parse.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");

describe("the bytes of a DAG file", () => {
  test("in Latin-1 are refused at the first byte that is no UTF-8", () => {
    const decoded = decodeDag(latin1("dag: d\n# ascii\nsql: select 'caf\xe9', 'd\xe9'\n"), "cafe.yaml");
    expect(decoded).toMatchObject({
      ok: false,
      diagnostics: [{ code: "TR-2026", severity: "error", file: "cafe.yaml", line: 3, column: 17 }],
    });
    expect(JSON.stringify(decoded)).toContain("0xe9");
  });

  test.each([
    ["an overlong form", [0x61, 0xc0, 0xaf], 2],
    ["half of a surrogate pair", [0x61, 0x62, 0xed, 0xa0, 0x80], 3],
    ["a character cut off by the end", [0xe2, 0x82], 1],
    ["a bad byte behind a replacement mark of the file's own", [0xef, 0xbf, 0xbd, 0x61, 0xff], 3],
    ["a bad byte behind a character of two code units", [0xf0, 0x9f, 0x98, 0x80, 0x80], 3],
  ])("with %s are refused", (_, bytes, column) => {
    expect(decodeDag(Uint8Array.from(bytes), "f")).toMatchObject({
      ok: false,
      diagnostics: [{ code: "TR-2026", line: 1, column }],
    });
  });

  test("are taken as they are when they are UTF-8, byte order mark and replacement mark included", () => {
    for (const text of ["", "dag: d", "\ufeffdag: d", "caf\u00e9 \ufffd \u{1f600}"]) {
      expect(decodeDag(Buffer.from(text), "f")).toEqual({ ok: true, text });
    }
  });

  test("whatever they are, are refused or give back the same bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        fc.pre(!(bytes[0] === 0xff && bytes[1] === 0xfe) && !(bytes[0] === 0xfe && bytes[1] === 0xff));
        const decoded = decodeDag(bytes, "f");
        if (decoded.ok) expect(Buffer.from(decoded.text)).toEqual(Buffer.from(bytes));
        else expect(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)).toThrow();
      }),
    );
  });

  test("beyond the bound are refused for their number, counted before decoding", () => {
    const decoded = decodeDag(Buffer.alloc(dagSourceBytesMax + 1, 0xe9), "f");
    expect(decoded).toMatchObject({ ok: false, diagnostics: [{ code: "TR-2014" }] });
    expect(JSON.stringify(decoded)).toContain((dagSourceBytesMax + 1).toLocaleString("en"));
    // As text, each of these bytes would weigh three.
    expect(decodeDag(Buffer.alloc(dagSourceBytesMax, 0xe9), "f")).toMatchObject({ diagnostics: [{ code: "TR-2026" }] });
  });

  test("in UTF-16 are refused as no DAG", () => {
    const utf16 = Buffer.from("\ufeffdag: d\njobs:\n  a: { operator: noop }\n", "utf16le");
    const decoded = decodeDag(utf16, "f");
    expect(decoded.ok && parseDag(decoded.text, "f")).toMatchObject({
      ok: false,
      diagnostics: [{ code: "TR-2006" }, {}],
    });
  });
});
