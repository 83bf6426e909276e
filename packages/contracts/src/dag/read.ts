/**
 * Reads YAML into plain values and remembers where each stood. Everything that a hostile file could make large is
 * bounded here: tokens, values after aliases, nesting. Keys written twice are found here and not by the YAML library,
 * whose check takes quadratic time.
 */

import type { Alias, Document, Node, YAMLMap } from "yaml";
import { Composer, isAlias, isMap, isNode, isScalar, isSeq, Lexer, Parser } from "yaml";
import type { Problem } from "./diagnostic.ts";
import { quoted } from "./frame.ts";
import { dagAliasesMax, dagDepthMax, dagNodesMax, dagStrayTokensMax, dagTokensMax } from "./limits.ts";

export type Range = readonly [number, number];
export type Path = readonly (string | number)[];

export interface Place {
  /** Where the key stands; undefined for an item of a list and for the whole file. */
  readonly key: Range | undefined;
  readonly value: Range;
  /** The value is a mapping or a list, so its range may cover many lines. */
  readonly nested: boolean;
}

export interface ReadResult {
  /** Undefined when nothing could be read. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** The text is not YAML; what was read of it may be distorted. */
  readonly malformed: boolean;
  /** Where a value stands; for a path that is not there, where its nearest ancestor does. */
  readonly place: (path: Path) => Place;
}

const composerOptions = {
  version: "1.2",
  schema: "core",
  merge: false,
  uniqueKeys: false,
  strict: true,
  prettyErrors: false,
  logLevel: "silent",
} as const;

/** Never throws. */
export function readYaml(text: string): ReadResult {
  const problems: Problem[] = [];
  const whole: Place = { key: undefined, value: [0, 0], nested: true };
  const nothing = (malformed: boolean): ReadResult => ({ value: undefined, problems, malformed, place: () => whole });
  let composed: Composed;
  try {
    composed = compose(text);
  } catch (error) {
    // The library bounds its own nesting; this is for what it does not foresee, which must still be an answer.
    const reason = error instanceof Error ? error.message : String(error);
    problems.push({ code: "TR-2001", message: `the file cannot be read: ${reason}`, range: [0, 1] });
    return nothing(true);
  }
  if (composed.tooMany !== undefined) {
    const most = `${dagTokensMax.toLocaleString("en")} YAML tokens, or ${dagStrayTokensMax} directives and stray ones`;
    const message = `the file holds more than ${most}`;
    const suggestion = "split the DAG into several files";
    problems.push({ code: "TR-2014", message, suggestion, range: [composed.tooMany, composed.tooMany + 1] });
    return nothing(true);
  }
  const [document, second] = composed.documents;
  if (document === undefined) return nothing(false);
  document.errors.forEach((error, index) => {
    // After a first break the lines below it seem to be indented wrongly, every one of them: an echo.
    if (index === 0 || error.code !== "BAD_INDENT") problems.push(syntaxProblem(text, error));
  });
  for (const warning of document.warnings) problems.push(syntaxProblem(text, warning));
  if (second !== undefined) {
    const message = "the file holds more than one YAML document";
    const suggestion = "put each DAG in a file of its own, without '---' between";
    const at = second.contents?.range?.[0] ?? second.range[0];
    problems.push({ code: "TR-2015", message, suggestion, range: [at, at + 1] });
  }
  const values = new Values(document, problems);
  const value = document.contents === null ? undefined : values.of(document.contents, [], 0, undefined);
  return {
    value,
    problems,
    malformed: document.errors.length > 0 || values.partial,
    place: (path) => values.place(path),
  };
}

interface Composed {
  readonly documents: Document.Parsed[];
  readonly tooMany: number | undefined;
}

/** The library's own `parseDocument`, with a bound on tokens and without reading past a second document. */
function compose(text: string): Composed {
  const parser = new Parser();
  const composer = new Composer(composerOptions);
  const documents: Document.Parsed[] = [];
  let tokens = 0;
  let offset = 0;
  let strays = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens += 1;
    offset += lexeme.length;
    if (tokens > dagTokensMax) return { documents, tooMany: Math.min(offset, text.length) };
    for (const token of parser.next(lexeme)) {
      // The composer keeps an error object for each of these, which is what a hostile file of nothing else would cost.
      if (token.type === "directive" || token.type === "error") strays += 1;
      if (strays > dagStrayTokensMax) return { documents, tooMany: Math.min(offset, text.length) };
      documents.push(...composer.next(token));
    }
    // One document is complete once the next begins, so two here mean a third has begun: enough is known.
    if (documents.length > 1) return { documents, tooMany: undefined };
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(false, text.length));
  return { documents, tooMany: undefined };
}

const syntaxWords: Readonly<Record<string, { message: string; suggestion?: string }>> = {
  TAB_AS_INDENT: { message: "a tab cannot indent", suggestion: "indent with spaces" },
  BAD_INDENT: { message: "the indentation fits no line above", suggestion: "line it up with its neighbours" },
  MISSING_CHAR: { message: "a character is missing" },
  MULTIPLE_ANCHORS: { message: "one value can carry one anchor only" },
  BLOCK_AS_IMPLICIT_KEY: {
    message: "a second ': ' on one line",
    suggestion: "put the text in quotes if the colon belongs to it",
  },
  UNEXPECTED_TOKEN: { message: "this does not belong here" },
};

function syntaxProblem(text: string, error: { code: string; message: string; pos: [number, number] }): Problem {
  const range: Range = [error.pos[0], Math.max(error.pos[1], error.pos[0] + 1)];
  if (error.code === "RESOURCE_EXHAUSTION") {
    return { code: "TR-2018", message: "the file nests too deeply", suggestion: "a DAG file needs six levels", range };
  }
  if (error.code === "TAG_RESOLVE_FAILED") {
    const tag = quoted(text.slice(range[0], range[1]).split(/\s/)[0] ?? "");
    return { code: "TR-2021", message: `the tag ${tag} is not known here`, suggestion: "remove the tag", range };
  }
  const reason = error.message.replace(/\.$/, "");
  const known = syntaxWords[error.code];
  if (known === undefined) return { code: "TR-2001", message: `malformed YAML: ${reason}`, range };
  // The library's sentence says what is missing or unexpected; ours says what that means to the reader.
  const detail = error.code === "MISSING_CHAR" || error.code === "UNEXPECTED_TOKEN" ? ` (${reason})` : "";
  const message = `malformed YAML: ${known.message}${detail}`;
  return { code: "TR-2001", message, suggestion: known.suggestion, range };
}

/** Turns nodes into plain values, following aliases within bounds. */
class Values {
  readonly #problems: Problem[];
  readonly #targets: ReadonlyMap<Alias, Node>;
  readonly #places = new Map<string, Place>();
  readonly #open = new Set<Node>();
  #nodes = 0;
  #aliases = 0;
  #refused = false;
  /** Not everything could be read: a bound was met, or an alias stands for nothing. */
  partial = false;

  constructor(document: Document.Parsed, problems: Problem[]) {
    this.#problems = problems;
    this.#targets = aliasTargets(document);
  }

  place(path: Path): Place {
    for (let length = path.length; length >= 0; length--) {
      const place = this.#places.get(JSON.stringify(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return { key: undefined, value: [0, 0], nested: true };
  }

  of(node: unknown, path: Path, depth: number, key: Range | undefined, shownAt?: Range): unknown {
    if (!isNode(node) || this.#refused) return null;
    const range = shownAt ?? rangeOf(node) ?? key ?? [0, 0];
    this.#nodes += 1;
    if (this.#nodes > dagNodesMax) {
      const suggestion = "write the values out, or split the DAG into several files";
      return this.#refuse(
        "TR-2017",
        `the file holds more than ${dagNodesMax.toLocaleString("en")} values`,
        suggestion,
        range,
      );
    }
    if (depth > dagDepthMax) {
      const suggestion = "a DAG file needs six levels";
      return this.#refuse("TR-2018", `the file nests deeper than ${dagDepthMax} levels`, suggestion, range);
    }
    if (isAlias(node)) return this.#alias(node, path, depth, key, range);
    this.#places.set(JSON.stringify(path), { key, value: range, nested: !isScalar(node) });
    if (isScalar(node)) return node.value;
    this.#open.add(node);
    const value = isMap(node) ? this.#map(node, path, depth) : isSeq(node) ? this.#list(node.items, path, depth) : null;
    this.#open.delete(node);
    return value;
  }

  #alias(node: Alias, path: Path, depth: number, key: Range | undefined, range: Range): unknown {
    this.#aliases += 1;
    if (this.#aliases > dagAliasesMax) {
      return this.#refuse("TR-2017", `the file uses more than ${dagAliasesMax} aliases`, "write the values out", range);
    }
    const target = this.#targets.get(node);
    if (target === undefined) {
      this.partial = true;
      const message = `the alias *${node.source.slice(0, 60)} names no anchor above it`;
      this.#problems.push({ code: "TR-2001", message, path, range });
      return null;
    }
    if (this.#open.has(target)) {
      return this.#refuse(
        "TR-2017",
        `the anchor &${node.source.slice(0, 60)} contains itself`,
        "remove the alias",
        range,
      );
    }
    // A problem of the value itself is shown at the alias: there it was used, and there the job is.
    return this.of(target, path, depth + 1, key, range);
  }

  #list(items: readonly unknown[], path: Path, depth: number): unknown[] {
    const list: unknown[] = [];
    for (const item of items) {
      if (this.#refused) break;
      list.push(this.of(item, [...path, list.length], depth + 1, undefined));
    }
    return list;
  }

  #map(node: YAMLMap, path: Path, depth: number): Record<string, unknown> {
    // Without a prototype, so that no key of a file can mean anything but itself.
    const map: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      if (this.#refused) break;
      const key = isAlias(pair.key) ? this.#targets.get(pair.key) : pair.key;
      const range = (isNode(pair.key) ? rangeOf(pair.key) : undefined) ?? rangeOf(node) ?? [0, 0];
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== "string" || name === "__proto__") {
        this.#problems.push(badKey(isScalar(key) ? key.value : undefined, path, range));
        continue;
      }
      if (name === "<<") {
        const suggestion = "write the keys out; an alias (*name) may stand for a whole value";
        this.#problems.push({
          code: "TR-2021",
          message: "merge keys (<<) are not part of YAML 1.2",
          suggestion,
          path,
          range,
        });
        continue;
      }
      if (Object.hasOwn(map, name)) {
        const message = `the key ${quoted(name)} is written twice`;
        this.#problems.push({ code: "TR-2002", message, suggestion: "keep one of them", path: [...path, name], range });
        continue;
      }
      map[name] = this.of(pair.value, [...path, name], depth + 1, range);
      if (pair.value === null)
        this.#places.set(JSON.stringify([...path, name]), { key: range, value: range, nested: false });
    }
    return map;
  }

  #refuse(code: "TR-2017" | "TR-2018", message: string, suggestion: string, range: Range): null {
    this.#refused = true;
    this.partial = true;
    this.#problems.push({ code, message, suggestion, range });
    return null;
  }
}

/** What each alias stands for. One walk for all: the library resolves each by a walk of its own, which is quadratic. */
function aliasTargets(document: Document.Parsed): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  const stack: unknown[] = [document.contents];
  while (stack.length > 0) {
    const node = stack.pop();
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
      continue;
    }
    if (!isNode(node)) continue;
    if ("anchor" in node && typeof node.anchor === "string") anchors.set(node.anchor, node);
    if (isMap(node)) for (const pair of node.items.toReversed()) stack.push(pair.value, pair.key);
    if (isSeq(node)) for (const item of node.items.toReversed()) stack.push(item);
  }
  return targets;
}

function badKey(name: unknown, path: Path, range: Range): Problem {
  const what =
    name === undefined ? "a list, a mapping or an unknown alias" : name === null ? "empty" : quoted(String(name));
  const message = name === "__proto__" ? "'__proto__' cannot be a key" : `a key must be text, and this is ${what}`;
  const suggestion = typeof name === "string" ? "use another name" : "write the key as text, in quotes if need be";
  return { code: "TR-2021", message, suggestion, path, range };
}

function rangeOf(node: Node): Range | undefined {
  return node.range ? [node.range[0], Math.max(node.range[1], node.range[0])] : undefined;
}
