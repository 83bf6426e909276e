/** XML of clients: what must be understood, and what must be refused. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { escapeXml } from "./xml.ts";
import { childText, parseXml } from "./xmlread.ts";

const parse = (text: string) => parseXml(Buffer.from(text));

test("elements, attributes, comments, references and CDATA are read", () => {
  const root = parse(
    '<?xml version="1.0" encoding="UTF-8"?>\n<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n <!-- two -->' +
      "<Object><Key> a&amp;&#x62;&#99;\r\n</Key></Object><Object><Key><![CDATA[<&>]]></Key><ETag/></Object></Delete>",
  );
  expect(root.name).toBe("Delete");
  expect(root.children.map((child) => childText(child, "Key"))).toEqual([" a&bc\n", "<&>"]);
  expect(root.children.map((child) => childText(child, "ETag"))).toEqual([undefined, ""]);
});

test("what the answers of S3 escape is read back as it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      fc.pre(text.isWellFormed());
      expect(parse(`<Key>${escapeXml(text)}</Key>`).text).toBe(text);
    }),
  );
});

test.each([
  ["nothing", ""],
  ["text alone", "hello"],
  ["two roots", "<a/><b/>"],
  ["an open element", "<a><b></b>"],
  ["crossed ends", "<a><b></a></b>"],
  ["an end alone", "</a>"],
  ["text beside elements", "<a>x<b/></a>"],
  ["a document type", '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'],
  ["an unknown entity", "<a>&x;</a>"],
  ["a bare ampersand", "<a>x & y</a>"],
  ["half a surrogate", "<a>&#xd800;</a>"],
  ["a code point beyond Unicode", "<a>&#x110000;</a>"],
  ["a reference beside its root", "<a/>&#9;"],
  ["a CDATA section beside its root", "<a/><![CDATA[]]>"],
  ["an end of a CDATA section that has not begun", "<a>]]></a>"],
  ["a comment within a comment", "<a><!-- b -- c --></a>"],
  ["a reference to nothing in an attribute", '<a b="&c"/>'],
  ["a declaration of something else", '<?xml version="1.0" enc="UTF-8"?><a/>'],
  ["a declaration of another encoding", '<?xml version="1.0" encoding="UTF-16"?><a/>'],
  ["a declaration that comes late", ' <?xml version="1.0"?><a/>'],
  ["an attribute without quotes", "<a b=c/>"],
  ["a tag that does not end", "<a"],
  ["too deep a nest", `${"<a>".repeat(40)}${"</a>".repeat(40)}`],
])("%s is MalformedXML", (_, text) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code: "MalformedXML" }));
});

test("bytes that are not UTF-8, and a member given twice, are MalformedXML", () => {
  expect(() => parseXml(Buffer.from([0x3c, 0x61, 0x3e, 0xff]))).toThrow(
    expect.objectContaining({ code: "MalformedXML" }),
  );
  expect(() => childText(parse("<a><k>1</k><k>2</k></a>"), "k")).toThrow(
    expect.objectContaining({ code: "MalformedXML" }),
  );
});
