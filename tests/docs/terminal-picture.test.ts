import { expect, test } from "vitest";
import { terminalPicture } from "../../tools/terminal-picture.ts";

test("a capture becomes lines of text in their colours, without what only a terminal obeys", () => {
  const capture =
    'Script started on 2026-11-24\r\n$ trace\r\n\u001b[1;31merror\u001b[0m a <b> & "c"\u001b[K\r\n\u001b[36mhelp:\u001b[39m x\r\n\r\nScript done on 2026-11-24\n';
  const lines = terminalPicture(capture.replace("\r\n", "\n"), 'What <it> "shows"').split("\n");
  expect(lines[0]).toContain("<title>What &lt;it&gt; &quot;shows&quot;</title>");
  expect(lines.slice(1, 4)).toEqual([
    '<text y="50" xml:space="preserve"><tspan x="16.0" fill="#adbac7">$ trace</tspan></text>',
    '<text y="68" xml:space="preserve"><tspan x="16.0" fill="#f47067" font-weight="bold">error</tspan><tspan x="58.1" fill="#adbac7"> a &lt;b&gt; &amp; &quot;c&quot;</tspan></text>',
    '<text y="86" xml:space="preserve"><tspan x="16.0" fill="#39c5cf">help:</tspan><tspan x="58.1" fill="#adbac7"> x</tspan></text>',
  ]);
  expect(lines.join("")).not.toContain("\u001b");
  expect(lines.slice(4)).toEqual(["</svg>", ""]);
});
