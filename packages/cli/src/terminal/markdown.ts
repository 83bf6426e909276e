/** A page of docs/errors on a terminal: headings, paragraphs, lists, code. Only what those pages use. */
import type { Palette } from "./ansi.ts";
import { printable, wrap } from "./width.ts";

export interface MarkdownOptions {
  readonly width: number;
  readonly palette: Palette;
}

const indent = "  ";
/** Stands for a space inside a code span, so that a command is not broken over two lines. */
const hardSpace = "\ue000";

/** Code spans keep their marks where there is no colour to tell them apart. */
function inline(text: string, { bold, cyan }: Palette, colored: boolean): string {
  if (!colored) return text.replaceAll(/\*\*([^*]+)\*\*/g, "$1");
  return text
    .replaceAll(/`([^`]+)`/g, (_, code: string) => cyan(code))
    .replaceAll(/\*\*([^*]+)\*\*/g, (_, strong: string) => bold(strong));
}

/** Lines of the page, without a line end after the last. */
export function renderMarkdown(source: string, options: MarkdownOptions): string[] {
  const { palette, width } = options;
  const colored = palette.bold("x") !== "x";
  const lines: string[] = [];
  let paragraph: string[] = [];
  let lead = "";
  let fenced = false;
  const flush = () => {
    if (paragraph.length > 0) {
      const hang = " ".repeat(lead.length);
      const text = paragraph.join(" ").replaceAll(/`[^`]+`/g, (code) => code.replaceAll(" ", hardSpace));
      const wrapped = wrap(text, width - indent.length - lead.length);
      wrapped.forEach((line, index) => {
        lines.push(`${indent}${index === 0 ? lead : hang}${line}`);
      });
    }
    paragraph = [];
    lead = "";
  };
  const blank = () => {
    if (lines.length > 0 && lines.at(-1) !== "") lines.push("");
  };
  for (const raw of source.split(/\r?\n/)) {
    const line = printable(raw);
    if (/^```/.test(line)) {
      flush();
      fenced = !fenced;
      continue;
    }
    if (fenced) {
      lines.push(`${indent}${indent}${palette.cyan(line)}`);
      continue;
    }
    const heading = /^(#{1,6}) +(.*)$/.exec(line);
    const item = /^( *)([-*]|\d+\.) +(.*)$/.exec(line);
    if (heading !== null) {
      flush();
      blank();
      lines.push(palette.bold(heading[2] ?? ""));
      if (heading[1]?.length === 1) lines.push("");
    } else if (item !== null) {
      flush();
      lead = `${item[1] ?? ""}${item[2] === "*" ? "-" : (item[2] ?? "-")} `;
      paragraph = [item[3] ?? ""];
    } else if (line.trim() === "") {
      flush();
      blank();
    } else {
      paragraph.push(line.trim());
    }
  }
  flush();
  while (lines.at(-1) === "") lines.pop();
  return collapse(lines).map((line) => {
    const text = line.replaceAll(hardSpace, " ");
    return text.includes("\u001b") ? text : inline(text, palette, colored);
  });
}

function collapse(lines: readonly string[]): string[] {
  return lines.filter((line, index) => line !== "" || lines[index - 1] !== "");
}
