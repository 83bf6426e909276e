/** Check values of the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/all.htm), and cutting in pieces. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { checksumAlgorithms, isChecksumValue, startChecksum } from "./checksum.ts";

test.each([
  ["crc32", "cbf43926"],
  ["crc32c", "e3069283"],
  ["crc64nvme", "ae8b14860a799888"],
  ["sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"],
  ["sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"],
] as const)("%s of 123456789 is its catalogued check value", (algorithm, hex) => {
  const running = startChecksum(algorithm);
  running.update(Buffer.from("123456789"));
  expect(Buffer.from(running.finish(), "base64").toString("hex")).toBe(hex);
});

test("the checksum does not depend on how the bytes are cut", () => {
  fc.assert(
    fc.property(fc.constantFrom(...checksumAlgorithms), fc.array(fc.uint8Array()), (algorithm, pieces) => {
      const cut = startChecksum(algorithm);
      for (const piece of pieces) cut.update(piece);
      const whole = startChecksum(algorithm);
      whole.update(Buffer.concat(pieces));
      expect(cut.finish()).toBe(whole.finish());
    }),
  );
});

test("only canonical base64 of the right length is a value", () => {
  expect(isChecksumValue("crc32", "y/Q5Jg==")).toBe(true);
  for (const value of ["y/Q5Jg", "y/Q5Jh==", "", "y/Q5JgAA", "????????"])
    expect(isChecksumValue("crc32", value)).toBe(false);
});
