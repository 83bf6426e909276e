/** Canonical requests and signatures, against S3's published examples and against the vendor's signer. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { foreignSigner } from "../testing/s3bench.ts";
import { S3Error } from "./errors.ts";
import {
  canonicalRequest,
  formatAmzDate,
  parseAmzDate,
  type SignedRequest,
  sha256Hex,
  verifySignature,
} from "./sigv4.ts";
import { parseTarget, uriEncodePath } from "./target.ts";

const exampleKey = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
const exampleMs = Date.UTC(2013, 4, 24);
const emptyHash = sha256Hex("");

function secretOf(accessKeyId: string): string | undefined {
  return accessKeyId === exampleKey.accessKeyId ? exampleKey.secretAccessKey : undefined;
}

function requestOf(method: string, url: string, headers: readonly [string, string][]): SignedRequest {
  return { method, target: parseTarget(url), rawHeaders: headers.flat() };
}

function authorization(signedHeaders: string, signature: string): string {
  return (
    `AWS4-HMAC-SHA256 Credential=${exampleKey.accessKeyId}/20130524/us-east-1/s3/aws4_request,` +
    `SignedHeaders=${signedHeaders},Signature=${signature}`
  );
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return "accepted";
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, the four examples. */
const published: { name: string; request: SignedRequest }[] = [
  {
    name: "GET Object",
    request: requestOf("GET", "/test.txt", [
      ["Host", "examplebucket.s3.amazonaws.com"],
      ["Range", "bytes=0-9"],
      ["x-amz-content-sha256", emptyHash],
      ["x-amz-date", "20130524T000000Z"],
      [
        "Authorization",
        authorization(
          "host;range;x-amz-content-sha256;x-amz-date",
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
      ],
    ]),
  },
  {
    name: "PUT Object",
    request: requestOf("PUT", "/test%24file.text", [
      ["Date", "Fri, 24 May 2013 00:00:00 GMT"],
      ["Host", "examplebucket.s3.amazonaws.com"],
      ["x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"],
      ["x-amz-date", "20130524T000000Z"],
      ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
      [
        "Authorization",
        authorization(
          "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
      ],
    ]),
  },
  {
    name: "GET Bucket lifecycle",
    request: requestOf("GET", "/?lifecycle", [
      ["Host", "examplebucket.s3.amazonaws.com"],
      ["x-amz-content-sha256", emptyHash],
      ["x-amz-date", "20130524T000000Z"],
      [
        "Authorization",
        authorization(
          "host;x-amz-content-sha256;x-amz-date",
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
      ],
    ]),
  },
  {
    name: "List Objects",
    request: requestOf("GET", "/?max-keys=2&prefix=J", [
      ["Host", "examplebucket.s3.amazonaws.com"],
      ["x-amz-content-sha256", emptyHash],
      ["x-amz-date", "20130524T000000Z"],
      [
        "Authorization",
        authorization(
          "host;x-amz-content-sha256;x-amz-date",
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
      ],
    ]),
  },
  {
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
    name: "presigned GET Object",
    request: requestOf(
      "GET",
      "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
      [["Host", "examplebucket.s3.amazonaws.com"]],
    ),
  },
];

describe("S3's published examples", () => {
  test.each(published)("$name is accepted", ({ request }) => {
    expect(verifySignature(request, secretOf, exampleMs).accessKeyId).toBe(exampleKey.accessKeyId);
  });

  test.each(published)("$name with another method is refused", ({ request }) => {
    const forged = { ...request, method: "DELETE" };
    expect(codeOf(() => verifySignature(forged, secretOf, exampleMs))).toBe("SignatureDoesNotMatch");
  });

  test.each(published)("$name with another path is refused", ({ request }) => {
    const forged = { ...request, target: { ...request.target, path: `${request.target.path}x` } };
    expect(codeOf(() => verifySignature(forged, secretOf, exampleMs))).toBe("SignatureDoesNotMatch");
  });
});

describe("time", () => {
  const [get, , , , presigned] = published.map(({ request }) => request) as [SignedRequest, ...SignedRequest[]];
  const minute = 60_000;

  test("a header signature is good for 15 minutes around its date", () => {
    expect(codeOf(() => verifySignature(get, secretOf, exampleMs + 15 * minute))).toBe("accepted");
    expect(codeOf(() => verifySignature(get, secretOf, exampleMs - 15 * minute))).toBe("accepted");
    expect(codeOf(() => verifySignature(get, secretOf, exampleMs + 15 * minute + 1))).toBe("RequestTimeTooSkewed");
    expect(codeOf(() => verifySignature(get, secretOf, exampleMs - 15 * minute - 1))).toBe("RequestTimeTooSkewed");
  });

  test("a presigned URL is good until it expires, and not before its date", () => {
    const request = presigned as SignedRequest;
    expect(codeOf(() => verifySignature(request, secretOf, exampleMs + 86_400_000))).toBe("accepted");
    expect(codeOf(() => verifySignature(request, secretOf, exampleMs + 86_400_001))).toBe("AccessDenied");
    expect(codeOf(() => verifySignature(request, secretOf, exampleMs - 16 * minute))).toBe("AccessDenied");
  });

  test("dates that are no dates are refused", () => {
    expect(parseAmzDate("20131324T000000Z")).toBeUndefined();
    expect(parseAmzDate("20130524")).toBeUndefined();
    expect(formatAmzDate(parseAmzDate("20130524T010203Z") ?? 0)).toBe("20130524T010203Z");
  });
});

describe("canonical form", () => {
  test("inner spaces of header values become one, repeated headers are joined in order", () => {
    const request = requestOf("GET", "/b/k", [
      ["Host", " h "],
      ["X-Amz-Meta-A", "  a   b  c "],
      ["x-amz-meta-a", "d"],
    ]);
    expect(canonicalRequest(request, ["host", "x-amz-meta-a"], [], "H")).toBe(
      "GET\n/b/k\n\nhost:h\nx-amz-meta-a:a b c,d\n\nhost;x-amz-meta-a\nH",
    );
  });

  test("paths are not normalised and every byte outside the unreserved set is escaped", () => {
    const request = requestOf("GET", "/b//a/./../%2E%2E/(x)%20%C3%A9+!*'", []);
    expect(canonicalRequest(request, [], [], "H").split("\n")[1]).toBe("/b//a/./../../%28x%29%20%C3%A9%2B%21%2A%27");
  });

  test("parameters are sorted by encoded name, then value", () => {
    const { query } = parseTarget("/?b=2&a-=1&a=z&a=%2F&A=0&c");
    const request = requestOf("GET", "/", []);
    expect(canonicalRequest(request, [], query, "H").split("\n")[2]).toBe("A=0&a=%2F&a=z&a-=1&b=2&c=");
  });

  test("whatever the vendor's signer signs is accepted, and not with a changed parameter", async () => {
    const signer = foreignSigner(exampleKey, "eu-west-3");
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }).filter((s) => s.isWellFormed());
    const name = fc.stringMatching(/^[a-z][a-z-]{0,8}$/);
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.dictionary(name, text),
        fc.stringMatching(/^[ -~]{0,20}$/),
        async (key, query, meta) => {
          const path = `/bucket/${uriEncodePath(key)}`;
          const headers = { host: "h:1", "x-amz-content-sha256": emptyHash, "x-amz-meta-m": meta };
          const unsigned = { method: "GET", protocol: "http:", hostname: "h", path, query, headers };
          const signed = await signer.sign(unsigned, { signingDate: new Date(exampleMs) });
          const encoded = Object.entries(query).map(([n, v]) => `${n}=${encodeURIComponent(v)}`);
          const raw = Object.entries(signed.headers as Record<string, string>);
          const url = (extra: string[]) => `${path}?${[...encoded, ...extra].join("&")}`;
          const verdict = (target: string) =>
            codeOf(() => verifySignature(requestOf("GET", target, raw), secretOf, exampleMs));
          expect(verdict(url([]))).toBe("accepted");
          expect(verdict(url(["0=1"]))).toBe("SignatureDoesNotMatch");
        },
      ),
      { numRuns: 200 },
    );
  });
});
