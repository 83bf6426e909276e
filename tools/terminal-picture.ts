/**
 * Draws what a terminal showed as SVG, for the pictures of docs/: text that a reader can select, in the colours of the
 * terminal, a few kilobytes.
 *
 *   script -qec "npm run trace -- deploy flights.yaml --check" capture.txt
 *   node tools/terminal-picture.ts "A DAG file with two errors" < capture.txt > docs/pictures/dag-error.svg
 *
 * Lines as they stand at the end; a block that is redrawn is drawn as often as it was written, so capture such a command
 * with its output in a pipe.
 */
import { readFileSync } from "node:fs";

const colors: Readonly<Record<number, string>> = {
  31: "#f47067",
  32: "#6bc46d",
  33: "#daaa3f",
  34: "#539bf5",
  35: "#b083f0",
  36: "#39c5cf",
  90: "#768390",
  91: "#ff938a",
};
const plainColor = "#adbac7";
const cellWidth = 8.43;
const lineHeight = 18;
const margin = 16;
const headHeight = 32;

interface Style {
  readonly color: string;
  readonly bold: boolean;
  readonly dim: boolean;
}
interface Piece extends Style {
  readonly column: number;
  readonly text: string;
}
const plain: Style = { color: plainColor, bold: false, dim: false };

/** The picture of a capture; `title` is what a screen reader says of it. */
export function terminalPicture(capture: string, title: string): string {
  const lines = capture
    .replace(/^Script started .*\n/, "")
    .replace(/\n?Script done .*\n?$/, "")
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/\r+$/, "").replace(/^.*\r/, ""));
  let style = plain;
  const drawn = lines.map((line) => {
    const pieces: Piece[] = [];
    style = piecesOf(line, style, pieces);
    return pieces;
  });
  const columns = Math.max(40, ...drawn.map((pieces) => Math.max(0, ...pieces.map(endOf))));
  const width = Math.ceil(2 * margin + columns * cellWidth);
  const height = headHeight + lineHeight * (drawn.length + 1);
  const texts = drawn.map((pieces, index) => textOf(pieces, headHeight + lineHeight * (index + 1)));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" role="img"><title>${escaped(title)}</title><rect width="${width}" height="${height}" rx="8" fill="#22272e"/><circle cx="20" cy="18" r="6" fill="#f47067"/><circle cx="40" cy="18" r="6" fill="#daaa3f"/><circle cx="60" cy="18" r="6" fill="#6bc46d"/>`,
    ...texts,
    "</svg>",
    "",
  ].join("\n");
}

function endOf(piece: Piece): number {
  return piece.column + piece.text.length;
}

/** Cuts a line where its style changes. Returns the style that the next line begins with. */
function piecesOf(line: string, from: Style, pieces: Piece[]): Style {
  let style = from;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal obeys begins with one.
  for (const [part] of line.matchAll(/\u001b\[[0-9;?]*[A-Za-z]|[^\u001b]+|\u001b/g)) {
    if (part.startsWith("\u001b")) {
      if (part.endsWith("m")) style = styled(style, part.slice(2, -1));
      continue;
    }
    pieces.push({ ...style, column, text: part });
    column += part.length;
  }
  return style;
}

function styled(style: Style, codes: string): Style {
  let { color, bold, dim } = style;
  for (const code of codes.split(";").map(Number)) {
    if (code === 0) ({ color, bold, dim } = plain);
    else if (code === 1) bold = true;
    else if (code === 2) dim = true;
    else if (code === 22) bold = dim = false;
    else if (code === 39) color = plainColor;
    else color = colors[code] ?? color;
  }
  return { color, bold, dim };
}

function textOf(pieces: readonly Piece[], y: number): string {
  const spans = pieces.map((piece) => {
    const x = (margin + piece.column * cellWidth).toFixed(1);
    const weight = piece.bold ? ' font-weight="bold"' : "";
    const opacity = piece.dim ? ' opacity=".6"' : "";
    return `<tspan x="${x}" fill="${piece.color}"${weight}${opacity}>${escaped(piece.text)}</tspan>`;
  });
  return `<text y="${y}" xml:space="preserve">${spans.join("")}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

if (process.argv[1] === import.meta.filename) {
  const [title] = process.argv.slice(2);
  if (title === undefined) {
    console.error('usage: node tools/terminal-picture.ts "title" < capture.txt > picture.svg');
    process.exitCode = 2;
  } else {
    process.stdout.write(terminalPicture(readFileSync(0, "utf8"), title));
  }
}
