/** The bar of one piece of work: on a terminal, in a log, and where nobody is spoken to. */
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { Cli } from "../cli.ts";
import type { TextSink } from "../io.ts";
import { progressAfterMs, redrawMs, runLineEveryMs } from "../limits.ts";
import { Harness } from "../testing/harness.ts";
import { LiveBlock } from "./live.ts";
import { ProgressReport } from "./report.ts";
import { columnsOf } from "./width.ts";

class Screen implements TextSink {
  text = "";
  columns: number | undefined;
  readonly rows = 24;
  readonly isTTY: boolean;

  constructor(columns: number | undefined) {
    this.columns = columns;
    this.isTTY = columns !== undefined;
  }

  write(text: string): void {
    this.text += text;
  }
}

function world(columns: number | undefined, options: Partial<Cli["options"]> = {}) {
  const screen = new Screen(columns);
  let nowMs = 0;
  const io = {
    ...new Harness({ cwd: "/", env: { TERM: "xterm" } }).io(),
    stderr: screen,
    clock: { nowMs: () => nowMs },
  };
  const cli = new Cli(io, { json: false, color: true, quiet: false, debug: false, ...options });
  const report = new ProgressReport(cli, "fetching");
  const show = (atMs: number, done: number) => {
    nowMs = atMs;
    report.show({ done, total: 84_000_000, unit: "bytes" });
  };
  return { screen, report, show };
}

test("on a terminal it is one line that is redrawn, says how long, and is gone at the end", () => {
  const { screen, report, show } = world(100);
  show(0, 0);
  show(progressAfterMs - 1, 1_000_000);
  expect(screen.text).toBe("");
  show(progressAfterMs + redrawMs, 2_100_000);
  const first = stripVTControlCharacters(screen.text).trim();
  expect(first).toBe("░░░░░░░░░░░░░░░░░░░░░░░░  fetching, 2.1 MB of 84 MB (2 %), 4.0 MB/s, about 20 s left");
  show(progressAfterMs + redrawMs + 1, 2_200_000);
  expect(stripVTControlCharacters(screen.text).trim()).toBe(first);
  report.end();
  // The cursor goes back over the line, everything below goes, and the cursor is shown again.
  expect(screen.text.endsWith("\u001b[1A\r\u001b[0J\u001b[?25h")).toBe(true);
});

test("a terminal that became narrow is drawn for as it is now", () => {
  const { screen, show } = world(100);
  show(1_000, 1);
  screen.columns = 44;
  screen.text = "";
  show(2_000, 42_000_000);
  for (const line of stripVTControlCharacters(screen.text).split("\n")) expect(columnsOf(line.trim())).toBeLessThan(44);
});

test("a block on a terminal that became narrower is taken back with the rows it wrapped into", () => {
  const screen = new Screen(100);
  const block = new LiveBlock(screen);
  block.draw(["x".repeat(90), `\u001b[36m${"y".repeat(41)}\u001b[39m`, ""]);
  screen.columns = 40;
  screen.text = "";
  block.draw(["z"]);
  // 90 columns are three rows of 40, 41 are two, an empty line is one.
  expect(screen.text).toBe("\u001b[6A\r\u001b[0Jz\n");
});

test("in a log it is a line every 10 s", () => {
  const { screen, report, show } = world(undefined);
  for (let second = 0; second <= 25; second++) show(second * 1_000, second * 2_000_000);
  report.end();
  expect(screen.text.trimEnd().split("\n")).toEqual([
    "fetching, 20 MB of 84 MB (23 %), 2.0 MB/s, about 30 s left",
    "fetching, 40 MB of 84 MB (47 %), 2.0 MB/s, about 20 s left",
  ]);
  expect(runLineEveryMs).toBe(10_000);
});

test.each([{ json: true }, { quiet: true }])("with %j nothing is said", (options) => {
  for (const columns of [100, undefined]) {
    const { screen, report, show } = world(columns, options);
    show(20_000, 1);
    report.end();
    expect(screen.text).toBe("");
  }
});
