/**
 * The XML that clients send: a list of keys to delete, a list of parts to put together. Pure.
 *
 * Strict and small: elements, text, character references, comments. A document type is refused, so there are no entities
 * to expand; names are compared as they are written, with whatever default namespace.
 */
import { xmlDepthMax } from "../limits.ts";
import { S3Error } from "./errors.ts";

export interface XmlElement {
  readonly name: string;
  /** Empty when there are children: white space between elements means nothing. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface Open {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

export function malformedXml(why: string): S3Error {
  return new S3Error("MalformedXML", `The XML you provided was not well-formed or is not what is expected: ${why}.`);
}

/** Comment, CDATA section, end tag, start tag (attributes are passed over), text. */
const token =
  /<!--(?:(?!--).)*-->|<!\[CDATA\[(.*?)\]\]>|<\/([A-Za-z][\w.-]*)\s*>|<([A-Za-z][\w.-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<&]*"|'[^'<&]*'))*)\s*(\/?)>|([^<]+)/sy;

/** Of UTF-8, the only encoding that is read. */
const declaration =
  /^<\?xml\s+version\s*=\s*(["'])1\.\d\1(?:\s+encoding\s*=\s*(["'])utf-8\2)?(?:\s+standalone\s*=\s*(["'])(?:yes|no)\3)?\s*\?>/i;

export function parseXml(bytes: Buffer): XmlElement {
  const source = decodeUtf8(bytes).replace(declaration, "");
  const reader = new RegExp(token);
  const root: Open = { name: "", text: "", children: [] };
  const open: Open[] = [root];
  while (reader.lastIndex < source.length) {
    const at = reader.lastIndex;
    const match = reader.exec(source);
    if (match === null) throw malformedXml(`it cannot be read at character ${at + 1}`);
    const [, cdata, end, start, , empty, text] = match;
    const current = open.at(-1) ?? root;
    if (current === root && (cdata !== undefined || isSaid(text))) throw malformedXml("one root element is expected");
    if (cdata !== undefined) current.text += cdata;
    else if (text !== undefined) current.text += plainText(text);
    else if (end !== undefined) close(open, end);
    else if (start !== undefined) {
      if (open.length > xmlDepthMax) throw malformedXml("it is nested too deeply");
      open.push({ name: start, text: "", children: [] });
      if (empty === "/") close(open, start);
    }
  }
  const [only, ...others] = root.children;
  if (open.length !== 1 || only === undefined || others.length > 0) {
    throw malformedXml("one root element is expected");
  }
  return only;
}

/** Whether a text is more than what XML calls white space. */
function isSaid(text: string | undefined): boolean {
  return text !== undefined && /[^ \t\r\n]/.test(text);
}

function close(open: Open[], name: string): void {
  const element = open.pop();
  const parent = open.at(-1);
  if (element === undefined || parent === undefined || element.name !== name) throw malformedXml(`</${name}> is alone`);
  if (element.children.length > 0 && isSaid(element.text)) throw malformedXml(`${name} has text beside elements`);
  parent.children.push({ ...element, text: element.children.length > 0 ? "" : element.text });
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new S3Error("MalformedXML", "The XML you provided is not UTF-8.", { cause });
  }
}

function plainText(text: string): string {
  if (text.includes("]]>")) throw malformedXml("a CDATA section ends that has not begun");
  return unescapeXml(text);
}

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  // A line end that is meant is written as a reference; a bare one is normalised, as XML says.
  return text.replace(/\r\n?/g, "\n").replace(/&([^;&]{0,10};?)/g, (_, reference: string) => {
    const code = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}));$/.exec(reference);
    const point =
      code === null ? undefined : Number.parseInt(code[1] ?? code[2] ?? "", code[1] === undefined ? 10 : 16);
    if (point !== undefined && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff)) {
      return String.fromCodePoint(point);
    }
    const char = reference.endsWith(";") ? named[reference.slice(0, -1)] : undefined;
    if (char === undefined) throw malformedXml("it holds an unknown reference");
    return char;
  });
}

/** The text of the one child of a name; undefined without it. */
export function childText(element: XmlElement, name: string): string | undefined {
  const found = element.children.filter((child) => child.name === name);
  if (found.length > 1 || (found[0]?.children.length ?? 0) > 0) throw malformedXml(`${name} is given more than once`);
  return found[0]?.text;
}
