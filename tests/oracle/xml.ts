/**
 * The endpoint's own reader of XML against expat: what it takes must be taken there and read the same. It may take less, since
 * it knows no document types and no instructions; what clients send it must take.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { escapeXml } from "../../packages/localcloud/src/s3/xml.ts";
import { parseXml, type XmlElement } from "../../packages/localcloud/src/s3/xmlread.ts";
import { type Checks, NotHere } from "./checks.ts";
import { drawnDocuments, outputBytesMax, scriptMaxMs } from "./limits.ts";

/** Name, text where there are no children, children. */
type Tree = readonly [string, string, readonly Tree[]];

function ours(data: Buffer): Tree | null {
  const treeOf = ({ name, text, children }: XmlElement): Tree => [name, text, children.map(treeOf)];
  try {
    return treeOf(parseXml(data));
  } catch {
    return null; // Refused: that is the answer here.
  }
}

/** White space between elements means nothing to either. */
function meant([name, text, children]: Tree): Tree {
  return [name, children.length > 0 ? "" : text, children.map(meant)];
}

const name = fc.constantFrom("Delete", "Object", "Key", "Part", "a", "A1", "x-y", "x.y");
const character = fc.oneof(
  fc.constantFrom("a", " ", "\n", "\t", "&", "<", ">", '"', "'", "é", "日", "🌍", "]]>", "\u007f", "--"),
  fc.string({ unit: "grapheme", maxLength: 3 }),
);
const text = fc.array(character, { maxLength: 6 }).map((parts) => parts.join(""));
// What XML 1.0 has no place for is no document, however it is written.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is left out here
const legal = text.map((some) => some.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, ""));
const attribute = fc.constantFrom("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', " a='b'", ' a="b" c="d"');
const between = fc.constantFrom("", "", "\n  ", "<!-- a -->", "\r\n");

const { document } = fc.letrec<{ document: string; inner: string }>((tie) => ({
  inner: fc.oneof(
    { depthSize: "small", maxDepth: 4 },
    legal.map(escapeXml),
    legal.map((some) => `<![CDATA[${some.replaceAll("]]>", "")}]]>`),
    fc
      .tuple(between, fc.array(fc.tuple(tie("document"), between), { minLength: 1, maxLength: 3 }))
      .map(([first, rest]) => first + rest.map((pair) => pair.join("")).join("")),
  ),
  document: fc
    .tuple(name, attribute, fc.option(tie("inner"), { nil: undefined }))
    .map(([tag, more, inside]) => (inside === undefined ? `<${tag}${more}/>` : `<${tag}${more}>${inside}</${tag}>`)),
}));

const whole = fc
  .tuple(fc.constantFrom("", '<?xml version="1.0" encoding="UTF-8"?>', '<?xml version="1.0"?>\n'), document)
  .map((parts) => parts.join(""));
/** A piece cut out, put in or turned around: most are no documents any more. */
const broken = fc
  .tuple(
    whole,
    fc.nat(),
    fc.nat({ max: 5 }),
    fc.constantFrom("", "<", ">", "&", "/", "</a>", "<a>", "&amp", "&#9;", "&#x110000;", "]]>", "<!--", "<?a?>"),
  )
  .map(([some, at, length, piece]) => {
    const from = at % (some.length + 1);
    return some.slice(0, from) + piece + some.slice(from + length);
  });

/** References to characters that XML 1.0 has no place for: S3 writes keys so, and the endpoint reads what S3 writes. */
const beyond = /&#(?:x0*(?:[0-8bcef]|1[0-9a-f]|fff[ef])|0*(?:[0-8]|1[124-9]|2\d|3[01]|6553[45]));/i;

function expat(documents: readonly Buffer[]): (Tree | null)[] {
  const python = "/usr/bin/python3";
  if (!existsSync(python)) throw new NotHere(`there is no ${python}`);
  const input = documents.map((data) => `${data.toString("base64")}\n`).join("");
  const options = { input, encoding: "utf8", timeout: scriptMaxMs, maxBuffer: outputBytesMax } as const;
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, "xml_script.py")], options);
  if (status !== 0) throw new Error(`expat's script ended with ${status}: ${stderr}`);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Tree | null);
}

export async function tryXml(checks: Checks): Promise<void> {
  const draw = (kind: fc.Arbitrary<string>, seed: number) =>
    fc
      .sample(
        kind.filter((some) => !beyond.test(some)),
        { seed, numRuns: drawnDocuments },
      )
      .map((some) => Buffer.from(some.toWellFormed()));
  for (const [title, documents, mustBeTaken] of [
    ["documents", draw(whole, 1), true],
    ["broken documents", draw(broken, 2), false],
  ] as const) {
    const theirs = expat(documents);
    await checks.check(`xml: ${drawnDocuments} ${title} are read as expat reads them, or not at all`, () => {
      let [taken, refused] = [0, 0];
      for (const [at, data] of documents.entries()) {
        const [mine, other] = [ours(data), theirs[at] ?? null];
        if (mine === null) refused += 1;
        else taken += 1;
        const same =
          mine === null
            ? !mustBeTaken || other === null
            : other !== null && JSON.stringify(mine) === JSON.stringify(meant(other));
        if (!same) throw new Error(`${data}\nhere: ${JSON.stringify(mine)}\nexpat: ${JSON.stringify(other)}`);
      }
      if (taken === 0 || (!mustBeTaken && refused === 0))
        throw new Error(`taken ${taken}, refused ${refused}: nothing was tried`);
    });
  }
}
