import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ansiColors, noColors, wantsColor } from "./ansi.ts";
import { bytes, count, duration, moment, plural, relative } from "./format.ts";
import { LiveBlock } from "./live.ts";
import { renderMarkdown } from "./markdown.ts";
import { columnsOf, cut, pad, printable, wrap } from "./width.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: the point is to find them
const controls = /[\u0000-\u001f\u007f-\u009f\u202e]/;

describe("width", () => {
  test("counts columns as a terminal draws them", () => {
    expect(columnsOf("abc")).toBe(3);
    expect(columnsOf("東京")).toBe(4);
    expect(columnsOf("e\u0301")).toBe(1);
    expect(columnsOf("👩‍👩‍👧")).toBe(2);
  });

  test("a cut text is never wider than it may be, and says that it was cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 30 }), (raw, columns) => {
        const text = printable(raw);
        const kept = cut(text, columns);
        expect(columnsOf(kept)).toBeLessThanOrEqual(columns);
        if (kept !== text) expect(kept.endsWith("…")).toBe(true);
      }),
    );
  });

  test("a wide character that does not fit is left out whole", () => {
    expect(cut("東京都", 4)).toBe("東…");
    expect(pad("東", 4)).toBe("東  ");
  });

  test("nothing printable moves the cursor or reorders the line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (raw) => {
        expect(controls.test(printable(raw))).toBe(false);
      }),
    );
    expect(printable("a\u001b[2Jb\u202ec\nd\te")).toBe("a\ufffd[2Jb\ufffdc↵d e");
  });

  test("wrapping keeps every word and breaks none", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,12}$/)), fc.integer({ min: 12, max: 40 }), (words, columns) => {
        const lines = wrap(words.join(" "), columns);
        expect(lines.join(" ")).toBe(words.join(" "));
        for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(columns);
      }),
    );
    expect(wrap("see http://127.0.0.1:7401/a/long/path now", 10)).toEqual([
      "see",
      "http://127.0.0.1:7401/a/long/path",
      "now",
    ]);
  });
});

describe("format", () => {
  test("numbers carry a unit and are rounded for people", () => {
    expect(count(1707)).toBe("1,707");
    expect(plural(1, "row")).toBe("1 row");
    expect(plural(0, "row")).toBe("0 rows");
    expect([0, 512, 999, 1_000, 84_211, 4_200_000, 999_999_999].map(bytes)).toEqual([
      "0 B",
      "512 B",
      "999 B",
      "1.0 kB",
      "84 kB",
      "4.2 MB",
      "1.0 GB",
    ]);
    expect([0, 41.7, 999.4, 3_210, 59_949, 65_000, 7_380_000, 273_600_000].map(duration)).toEqual([
      "0 ms",
      "42 ms",
      "999 ms",
      "3.2 s",
      "59.9 s",
      "1 min 05 s",
      "2 h 03 min",
      "3 d 4 h",
    ]);
  });

  test("a duration never shows a part that is full", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400_000_000 }), (ms) => {
        expect(duration(ms)).not.toMatch(/\b1000 ms|\b60\.0 s|\b60 s|\b60 min|\b24 h/);
      }),
    );
  });

  test("moments are relative in lists and absolute where they are looked up", () => {
    const nowMs = Date.parse("2026-11-23T08:00:00Z");
    expect(relative("2026-11-23T07:57:00Z", nowMs)).toBe("3 min ago");
    expect(relative("2026-11-23T08:00:28Z", nowMs)).toBe("in 28 s");
    expect(relative("2026-11-23T08:00:00Z", nowMs)).toBe("now");
    expect(moment("2026-11-23T07:57:00.123Z")).toBe("2026-11-23 07:57:00 UTC");
    expect(moment("no time")).toBe("no time");
  });
});

describe("colour", () => {
  test("is for terminals whose owner did not refuse it", () => {
    const tty = { isTTY: true, noColor: undefined, term: "xterm" };
    expect(wantsColor(tty)).toBe(true);
    expect(wantsColor({ ...tty, noColor: "" })).toBe(true);
    expect(wantsColor({ ...tty, noColor: "1" })).toBe(false);
    expect(wantsColor({ ...tty, term: "dumb" })).toBe(false);
    expect(wantsColor({ ...tty, isTTY: false })).toBe(false);
  });
});

describe("markdown", () => {
  const page =
    "# TR-1: Title\n\nA `long command with` words.\n\n## Fix\n\n- one **two**\n- three\n\n```\ntrace up\n```\n";

  test("a page reads as text without colour", () => {
    expect(renderMarkdown(page, { width: 60, palette: noColors })).toEqual([
      "TR-1: Title",
      "",
      "  A `long command with` words.",
      "",
      "Fix",
      "",
      "  - one two",
      "  - three",
      "",
      "    trace up",
    ]);
  });

  test("a command is coloured and never broken over two lines", () => {
    const lines = renderMarkdown(page, { width: 24, palette: ansiColors });
    expect(lines.some((line) => line.includes(ansiColors.cyan("long command with")))).toBe(true);
  });
});

describe("live block", () => {
  function terminal() {
    const written: string[] = [];
    return { written, sink: { write: (text: string) => void written.push(text), isTTY: true, columns: 80, rows: 24 } };
  }

  test("each frame replaces the one before in a single write", () => {
    const { written, sink } = terminal();
    const block = new LiveBlock(sink);
    block.draw(["one", "two"]);
    block.draw(["three"]);
    expect(written).toEqual(["\u001b[?25lone\ntwo\n", "\u001b[2A\r\u001b[0Jthree\n"]);
  });

  test("an unchanged frame writes nothing, and the cursor comes back once", () => {
    const { written, sink } = terminal();
    const block = new LiveBlock(sink);
    block.draw(["one"]);
    block.draw(["one"]);
    block.end();
    block.end();
    expect(written).toEqual(["\u001b[?25lone\n", "\u001b[?25h"]);
  });

  test("a block that was never drawn leaves the terminal alone", () => {
    const { written, sink } = terminal();
    new LiveBlock(sink).end();
    expect(written).toEqual([]);
  });
});
