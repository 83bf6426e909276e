/**
 * Finds what a TypeScript file imports, without a parser (TypeScript 7 offers none to programs). Reads the text once as
 * tokens, so that comments, strings, templates and regular expressions that only look like imports are not taken for
 * them, and code inside `${}` is read as code.
 */

export interface FoundImport {
  /** Undefined for `import(name)` and `require(name)` of what is not a plain string. */
  readonly specifier: string | undefined;
  /** From 1. */
  readonly line: number;
}

interface Token {
  readonly kind: "word" | "string" | "template" | "mark";
  /** The content of a string, without quotes and with its escapes undone; else the text itself. */
  readonly text: string;
  readonly offset: number;
}

/** Every static import, re-export, dynamic import, type import, `import x = require()`, `require()` and `import.meta.resolve()`. */
export function importsOf(source: string): FoundImport[] {
  const tokens = tokensOf(source);
  const found: FoundImport[] = [];
  let line = 1;
  let counted = 0;
  const lineOf = (offset: number): number => {
    for (; counted < offset; counted++) if (source[counted] === "\n") line += 1;
    return line;
  };
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token.kind !== "word" || next === undefined || isMember(tokens, index)) return;
    if ((token.text === "from" || token.text === "import") && next.kind === "string") {
      found.push({ specifier: next.text, line: lineOf(next.offset) });
      return;
    }
    if (token.text !== "import" && token.text !== "require") return;
    const open = callAfter(tokens, index);
    if (open === undefined) return;
    const argument = tokens[open + 1];
    const end = tokens[open + 2];
    const plain = argument?.kind === "string" && (end?.text === ")" || end?.text === ",");
    found.push({ specifier: plain ? argument.text : undefined, line: lineOf(token.offset) });
  });
  return found;
}

/** `thing.import(...)` and `{ from: "x" }` are not ours; `...import("x")` is. */
function isMember(tokens: readonly Token[], index: number): boolean {
  const before = tokens[index - 1];
  return before?.kind === "mark" && (before.text === "." || before.text === "?.") && tokens[index - 2]?.text !== ".";
}

/** The place of the `(` that opens a call of `import`, `require`, `require.resolve` or `import.meta.resolve`. */
function callAfter(tokens: readonly Token[], index: number): number | undefined {
  const text = (offset: number): string | undefined => tokens[index + offset]?.text;
  if (text(1) === "(") {
    // A method named so in a class or an object, `import(name) {`, is a definition and no call.
    return tokens[closing(tokens, index + 1) + 1]?.text === "{" ? undefined : index + 1;
  }
  if (text(1) === "." && text(2) === "resolve" && text(3) === "(") return index + 3;
  if (text(1) === "." && text(2) === "meta" && text(3) === "." && text(4) === "resolve" && text(5) === "(")
    return index + 5;
  return undefined;
}

/** The place of the `)` that closes the `(` at `open`. */
function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    const token = tokens[at];
    if (token?.kind !== "mark") continue;
    if (token.text === "(") depth += 1;
    if (token.text === ")") depth -= 1;
    if (depth === 0) return at;
  }
  return tokens.length;
}

/** After these words a `/` begins a regular expression, as it does after most marks. */
const beforeExpression = new Set(
  "return typeof instanceof in of new delete void throw case do else yield await default".split(" "),
);

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  /** Depth of braces inside each open `${`, innermost last. */
  const templates: number[] = [];
  let at = 0;
  while (at < source.length) {
    const char = source[at] ?? "";
    if (/\s/.test(char)) at += 1;
    else if (source.startsWith("//", at) || (at === 0 && source.startsWith("#!")))
      at = endOf(source.indexOf("\n", at), source);
    else if (source.startsWith("/*", at)) at = endOf(source.indexOf("*/", at + 2), source, 2);
    else if (char === '"' || char === "'") {
      const end = endOfString(source, at, char);
      tokens.push({ kind: "string", text: unescaped(source.slice(at + 1, end - 1)), offset: at });
      at = end;
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      if (char === "}") templates.pop();
      const start = at;
      const { end, opens } = endOfTemplatePart(source, at + 1);
      const whole = char === "`" && !opens;
      // A template without holes is as plain as a string; one with holes is computed.
      tokens.push({
        kind: whole ? "string" : "template",
        text: whole ? unescaped(source.slice(start + 1, end - 1)) : "`",
        offset: start,
      });
      if (opens) templates.push(0);
      at = end;
    } else if (char === "/" && beginsRegex(tokens.at(-1))) at = endOfRegex(source, at);
    else if (/[\p{ID_Start}$_#@]/u.test(char) || /[0-9]/.test(char)) {
      const word = /^[\p{ID_Continue}$#@\u200c\u200d]+/u.exec(source.slice(at, at + 256))?.[0] ?? char;
      tokens.push({ kind: "word", text: word, offset: at });
      at += word.length;
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && char === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === "}") templates[templates.length - 1] = depth - 1;
      tokens.push({ kind: "mark", text: char, offset: at });
      at += 1;
    }
  }
  return tokens;
}

function endOf(found: number, source: string, width = 0): number {
  return found === -1 ? source.length : found + width;
}

function endOfString(source: string, start: number, quote: string): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\") at += 1;
    else if (source[at] === quote || source[at] === "\n") return at + 1;
  }
  return source.length;
}

function endOfTemplatePart(source: string, start: number): { end: number; opens: boolean } {
  for (let at = start; at < source.length; at++) {
    if (source[at] === "\\") at += 1;
    else if (source[at] === "`") return { end: at + 1, opens: false };
    else if (source.startsWith("${", at)) return { end: at + 2, opens: true };
  }
  return { end: source.length, opens: false };
}

function beginsRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === "word") return beforeExpression.has(before.text);
  return before.kind === "mark" ? !")]}".includes(before.text) : before.kind === "template";
}

function endOfRegex(source: string, start: number): number {
  let inClass = false;
  for (let at = start + 1; at < source.length; at++) {
    const char = source[at];
    if (char === "\\") at += 1;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    // A line end: it was a division after all. Going on behind the slash loses nothing.
    else if (char === "\n") return start + 1;
    else if (char === "/" && !inClass) return at + 1;
  }
  return start + 1;
}

function unescaped(text: string): string {
  return text
    .replaceAll(
      /\\u\{([0-9a-fA-F]{1,6})\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})/g,
      (_, a?: string, b?: string, c?: string) =>
        String.fromCodePoint(Math.min(0x10ffff, Number.parseInt(a ?? b ?? c ?? "0", 16))),
    )
    .replaceAll(/\\(.)/gs, "$1");
}
