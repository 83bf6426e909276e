/** The few ANSI codes we use, and when: the only file that writes an escape. */

export type Paint = (text: string) => string;

export interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

const plain: Paint = (text) => text;
const sgr =
  (on: number, off: number): Paint =>
  (text) =>
    text === "" ? "" : `\u001b[${on}m${text}\u001b[${off}m`;

export const noColors: Palette = { bold: plain, dim: plain, red: plain, green: plain, yellow: plain, cyan: plain };

export const ansiColors: Palette = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39),
};

/** Colours are for terminals whose owner did not refuse them (https://no-color.org: set and not empty). */
export function wantsColor(parts: { isTTY: boolean; noColor: string | undefined; term: string | undefined }): boolean {
  return parts.isTTY && (parts.noColor ?? "") === "" && parts.term !== "dumb";
}

export const cursor = {
  hide: "\u001b[?25l",
  show: "\u001b[?25h",
  up: (lines: number) => (lines > 0 ? `\u001b[${lines}A` : ""),
  /** From the cursor to the end of the screen. */
  clearBelow: "\u001b[0J",
  clearLine: "\u001b[2K\r",
} as const;
