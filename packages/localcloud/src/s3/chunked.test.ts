/** The aws-chunked body: S3's published example, and what must not pass. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeAwsChunked } from "./chunked.ts";
import { S3Error } from "./errors.ts";
import { signingKey, type VerifiedSignature } from "./sigv4.ts";

const credential = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", day: "20130524", region: "us-east-1", service: "s3" };

function chainFrom(signature: string): VerifiedSignature {
  return {
    accessKeyId: credential.accessKeyId,
    payloadHash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    presigned: false,
    amzDate: "20130524T000000Z",
    scope: "20130524/us-east-1/s3/aws4_request",
    signature,
    signingKey: signingKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", credential),
  };
}

async function* inPieces(body: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}

interface Decoded {
  readonly data: Buffer;
  readonly trailers: ReadonlyMap<string, string>;
}

async function decode(
  body: Buffer,
  chain?: VerifiedSignature,
  trailers: string[] = [],
  size = 8_192,
): Promise<Decoded> {
  const chunks: Buffer[] = [];
  let found: ReadonlyMap<string, string> = new Map();
  const options = {
    chain,
    trailers,
    onTrailers: (given: ReadonlyMap<string, string>) => {
      found = given;
    },
  };
  for await (const chunk of decodeAwsChunked(inPieces(body, size), options)) chunks.push(Buffer.from(chunk));
  return { data: Buffer.concat(chunks), trailers: found };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return "accepted";
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html: 66,560 letters a in chunks of 65,536 and 1,024. */
const seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const signatures = [
  "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
  "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
  "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
const signedExample = Buffer.from(
  `10000;chunk-signature=${signatures[0]}\r\n${"a".repeat(65_536)}\r\n` +
    `400;chunk-signature=${signatures[1]}\r\n${"a".repeat(1_024)}\r\n` +
    `0;chunk-signature=${signatures[2]}\r\n\r\n`,
);

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html, the same data with a signed trailer. */
const trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
const signedTrailerExample = (signatureLine: string) =>
  Buffer.from(
    `10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n${"a".repeat(65_536)}\r\n` +
      `400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n${"a".repeat(1_024)}\r\n` +
      "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
      `x-amz-checksum-crc32c:sOO8/Q==${signatureLine}`,
  );
const trailerSignature =
  "\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";

describe("signed chunks", () => {
  test.each([1, 7, 4_096, 100_000])(
    "S3's published example is accepted when it arrives in pieces of %i bytes",
    async (size) => {
      const { data } = await decode(signedExample, chainFrom(seed), [], size);
      expect(data.equals(Buffer.alloc(66_560, "a"))).toBe(true);
    },
  );

  test("S3's published example with a signed trailer is accepted, as written and with S3's stray line feed", async () => {
    for (const ending of [trailerSignature, `\n${trailerSignature}`]) {
      const body = signedTrailerExample(ending);
      const { trailers } = await decode(body, chainFrom(trailerSeed), ["x-amz-checksum-crc32c"]);
      expect([...trailers]).toEqual([["x-amz-checksum-crc32c", "sOO8/Q=="]]);
    }
  });

  test("a trailer without its signature, or with a forged one, is refused", async () => {
    const chain = chainFrom(trailerSeed);
    const names = ["x-amz-checksum-crc32c"];
    const forged = signedTrailerExample(trailerSignature.replace("d81f", "d81e"));
    expect(await codeOf(decode(forged, chain, names))).toBe("SignatureDoesNotMatch");
    expect(await codeOf(decode(signedTrailerExample("\r\n\r\n"), chain, names))).not.toBe("accepted");
    expect(await codeOf(decode(signedTrailerExample("\r\n\r\n\r\n"), chain, names))).not.toBe("accepted");
  });

  test("a changed byte, an exchanged chunk, another seed and an unsigned chunk are refused", async () => {
    const changed = Buffer.from(signedExample);
    changed.write("b", 200);
    expect(await codeOf(decode(changed, chainFrom(seed)))).toBe("SignatureDoesNotMatch");
    expect(await codeOf(decode(signedExample, chainFrom(trailerSeed)))).toBe("SignatureDoesNotMatch");
    const text = signedExample.toString("latin1");
    const second = text.indexOf("400;");
    const swapped = Buffer.from(text.slice(second, second + 1_200) + text.slice(0, second));
    expect(await codeOf(decode(swapped, chainFrom(seed)))).not.toBe("accepted");
    expect(await codeOf(decode(Buffer.from("1\r\na\r\n0\r\n\r\n"), chainFrom(seed)))).toBe("IncompleteBody");
  });

  test("a body cut at any place is refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: signedExample.length - 1 }), async (length) => {
        expect(await codeOf(decode(signedExample.subarray(0, length), chainFrom(seed)))).toBe("IncompleteBody");
      }),
      { numRuns: 40 },
    );
  });
});

describe("unsigned chunks with a trailer", () => {
  const trailers = ["x-amz-checksum-crc32"];
  const body = (text: string) => Buffer.from(text);

  test("data and trailer come out as they went in, however they are cut", async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.integer({ min: 1, max: 50 }), async (parts, size) => {
        const framed = parts.flatMap((part) => [body(`${part.length.toString(16)}\r\n`), part, body("\r\n")]);
        const whole = Buffer.concat([...framed, body("0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")]);
        const decoded = await decode(whole, undefined, trailers, size);
        expect(decoded.data.equals(Buffer.concat(parts))).toBe(true);
        expect(decoded.trailers.get("x-amz-checksum-crc32")).toBe("AAAAAA==");
      }),
    );
  });

  test.each([
    ["no announced trailer", "1\r\na\r\n0\r\n\r\n", "MalformedTrailerError"],
    ["another trailer", "0\r\nx-amz-meta-a:b\r\n\r\n", "MalformedTrailerError"],
    ["the trailer twice", "0\r\nx-amz-checksum-crc32:a\r\nx-amz-checksum-crc32:b\r\n\r\n", "MalformedTrailerError"],
    ["bytes behind the end", "0\r\nx-amz-checksum-crc32:a\r\n\r\nmore", "IncompleteBody"],
    ["a chunk longer than its size", "1\r\nab\r\n0\r\n\r\n", "IncompleteBody"],
    ["a size that is no number", "zz\r\na\r\n", "IncompleteBody"],
    ["a size beyond all numbers", "fffffffffffffffff\r\na\r\n", "IncompleteBody"],
    ["a framing line without end", "1".repeat(10_000), "IncompleteBody"],
  ])("%s is refused", async (_, text, code) => {
    expect(await codeOf(decode(body(text), undefined, trailers))).toBe(code);
  });
});
