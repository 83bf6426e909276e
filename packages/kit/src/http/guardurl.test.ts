import { readFileSync } from "node:fs";
import { TraceError } from "@trace/contracts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkUrl, isPublicAddress, redirectTarget } from "./guardurl.ts";

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TraceError) return error.code;
    throw error;
  }
  return "allowed";
}

const hostile = (
  JSON.parse(readFileSync(new URL("fixtures/hostile-urls.json", import.meta.url), "utf8")) as string[]
).map((text) => text.replace("<TAB>", "\t").replace("<3000 a's>", "a".repeat(3_000)));

/** What each hostile URL is refused with; what is not listed is an address or a name that is not public. */
const expected: Readonly<Record<string, string>> = {
  // Plain http to a public name is what many public data sets offer; only webhooks ask for https.
  "http://example.com/": "allowed",
  // A public name that resolves to a private address: the lookup refuses it, see guard.test.ts.
  "https://169.254.169.254.nip.io/": "allowed",
  "file:///etc/passwd": "TR-5301",
  "data:text/plain,x": "TR-5301",
  "blob:https://example.com/x": "TR-5301",
  "unix:/var/run/docker.sock": "TR-5301",
  "https://example.com:6379/": "TR-5302",
  "https://user:pass@example.com/": "TR-5303",
  "https://example.com#@127.0.0.1/x@y\\": "TR-5300",
  "https:\\\\127.0.0.1/": "TR-5300",
  "https://example.com:99999": "TR-5300",
  "//example.com/": "TR-5300",
  "https://exa mple.com/": "TR-5300",
  "https://example.com\t/": "TR-5300",
  "https://127.0.0.1%00.example.com/": "TR-5300",
  "https://[v1.fe80::1]/": "TR-5300",
  "https://xn--/": "TR-5300",
  "https://1.1.1.1.1/": "TR-5300",
  [`https://${"a".repeat(3_000)}.com/`]: "TR-5300",
};

describe("a URL", () => {
  test("of every hostile kind is refused with its code", () => {
    expect(hostile.length).toBeGreaterThan(40);
    for (const url of Object.keys(expected)) expect(hostile).toContain(url);
    const found = Object.fromEntries(hostile.map((url) => [url, codeOf(() => checkUrl(url))]));
    expect(found).toEqual(Object.fromEntries(hostile.map((url) => [url, expected[url] ?? "TR-5304"])));
  });

  test.each([
    "https://example.com/",
    "http://example.com:443/",
    "https://example.com./x?y=1#z",
    "https://EXAMPLE.com:80/",
    "https://bücher.example/",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/",
    "https://[::ffff:8.8.8.8]/",
    "https://localhost.example.com/",
    "https://internal.example.com/",
    "https://a_b.example.com/",
  ])("%s is allowed", (url) => {
    expect(codeOf(() => checkUrl(url))).toBe("allowed");
  });

  test.each([
    "https://LOCALHOST./",
    "https://a.b.localhost/",
    "https://printer.local./",
    "https://db.internal/",
    "https://router.home.arpa/",
    "https://10.0.0.1./",
    "http://[::ffff:a00:1]/",
    "http://[::7f00:1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2001:0:a00:1::]/",
    "http://[fec0::1]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
  ])("%s is refused as not public", (url) => {
    expect(codeOf(() => checkUrl(url))).toBe("TR-5304");
  });

  test("is refused in words that hold neither its credentials nor its path or query", () => {
    for (const url of [
      "https://ann:s3cret@127.0.0.1/path-s3cret?key=s3cret",
      "https://127.0.0.1/path-s3cret?key=s3cret#s3cret",
      "https://example.com:22/path-s3cret?key=s3cret",
      "ftp://example.com/path-s3cret?key=s3cret",
      "https://exa mple.com/?key=s3cret",
      "https://example.com\\?key=s3cret",
    ]) {
      let shown = "";
      try {
        checkUrl(url);
      } catch (error) {
        const { code, message, where, why, fix } = error as TraceError;
        shown = JSON.stringify({ code, message, where, why, fix });
      }
      expect(shown).toContain("TR-53");
      expect(shown).not.toMatch(/s3cret|\bann\b/);
    }
  });
});

describe("a development exception", () => {
  test("lifts the rules on port and address for exactly its host and port", () => {
    const allowed = ["127.0.0.1:9000", "[::1]:9000", "files.local:80"];
    for (const url of ["http://127.0.0.1:9000/x", "http://[::1]:9000/", "http://files.local/", "http://127.1:9000/"]) {
      expect(checkUrl(url, allowed).excepted).toBe(true);
    }
    for (const url of [
      "http://127.0.0.1:9001/",
      "http://127.0.0.1/",
      "http://127.0.0.2:9000/",
      "http://files.local:443/",
      "http://x.files.local/",
    ]) {
      expect(codeOf(() => checkUrl(url, allowed))).toMatch(/TR-530[24]/);
    }
  });

  test("lifts neither the rule on schemes nor the one on credentials", () => {
    expect(codeOf(() => checkUrl("ftp://127.0.0.1:9000/", ["127.0.0.1:9000"]))).toBe("TR-5301");
    expect(codeOf(() => checkUrl("http://u:p@127.0.0.1:9000/", ["127.0.0.1:9000"]))).toBe("TR-5303");
  });
});

describe("an address", () => {
  test("that is written in any but the plain way is not public", () => {
    for (const address of [
      "",
      "1.2.3",
      "0x8.8.8.8",
      "08.8.8.8",
      "2606:4700::1%eth0",
      "example.com",
      "8.8.8.8:80",
      "[2606:4700::1]",
    ]) {
      expect(isPublicAddress(address)).toBe(false);
    }
  });

  test("wrapped in IPv6 is never more public than it is by itself", () => {
    const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    let refused = 0;
    fc.assert(
      fc.property(octets, ([a, b, c, d]) => {
        const bare = isPublicAddress(`${a}.${b}.${c}.${d}`);
        if (!bare) refused += 1;
        const high = ((a << 8) | b).toString(16);
        const low = ((c << 8) | d).toString(16);
        expect(isPublicAddress(`::ffff:${high}:${low}`)).toBe(bare);
        for (const wrapped of [
          `::${high}:${low}`,
          `64:ff9b::${high}:${low}`,
          `64:ff9b:1::${high}:${low}`,
          `2002:${high}:${low}::1`,
          `2001:0:${high}:${low}::`,
        ]) {
          expect(isPublicAddress(wrapped)).toBe(false);
        }
      }),
      { examples: [[[10, 0, 0, 1]], [[127, 0, 0, 1]], [[169, 254, 169, 254]]] },
    );
    expect(refused).toBeGreaterThanOrEqual(3);
  });
});

describe("a redirect", () => {
  const from = checkUrl("https://example.com/a/b");

  test("may be relative and may change the host", () => {
    expect(redirectTarget(from, "../c?d=1").url.href).toBe("https://example.com/c?d=1");
    expect(redirectTarget(from, "//cdn.example.com/x").url.href).toBe("https://cdn.example.com/x");
    expect(redirectTarget(checkUrl("http://example.com/"), "https://example.com/").url.protocol).toBe("https:");
  });

  test.each<[unknown, string]>([
    ["http://example.com/", "TR-5312"],
    [undefined, "TR-5312"],
    ["", "TR-5312"],
    [["https://a.example/", "https://b.example/"], "TR-5312"],
    ["https://", "TR-5312"],
    ["\\\\127.0.0.1\\", "TR-5312"],
    ["https://127.0.0.1/", "TR-5304"],
    ["//169.254.169.254/latest/meta-data/", "TR-5304"],
    ["https://[::1]/", "TR-5304"],
    ["https://localhost/", "TR-5304"],
    ["file:///etc/passwd", "TR-5301"],
    ["https://example.com:8080/", "TR-5302"],
    ["https://u:p@example.com/", "TR-5303"],
  ])("to %j is refused with %s", (location, code) => {
    expect(codeOf(() => redirectTarget(from, location))).toBe(code);
  });
});
