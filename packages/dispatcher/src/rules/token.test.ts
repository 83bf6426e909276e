/** Lease tokens and the prefixes that follow from them. */
import { randomBytes } from "node:crypto";
import { leaseTokenSchema } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeToken, encodeToken, leaseNoOf, stagingPrefix } from "./token.ts";

const token = fc.uint8Array({ minLength: 24, maxLength: 24 }).map((bytes) => Buffer.from(bytes));

test("any 24 bytes survive the way over the wire and fit the contract", () => {
  fc.assert(
    fc.property(token, (bytes) => {
      const text = encodeToken(bytes);
      expect(leaseTokenSchema.safeParse(text).success).toBe(true);
      expect(decodeToken(text)).toEqual(bytes);
    }),
  );
});

test("a guess yields a lease number that Postgres takes, 0 when there can be none", () => {
  fc.assert(
    fc.property(token, (bytes) => {
      const leaseNo = leaseNoOf(bytes);
      return Number.isSafeInteger(leaseNo) && leaseNo >= 0;
    }),
  );
  const real = Buffer.alloc(24);
  real.writeBigInt64BE(4_711n);
  expect(leaseNoOf(real)).toBe(4_711);
});

test("a prefix is [a-z0-9/] only, holds the lease number and cannot be told from it alone", () => {
  const one = Buffer.concat([Buffer.from("0000000000000024", "hex"), randomBytes(16)]);
  const two = Buffer.concat([one.subarray(0, 8), randomBytes(16)]);
  expect(stagingPrefix("abc", one)).toMatch(/^d\/abc\/a\/00000000010[0-9a-f]{16}\/$/);
  expect(stagingPrefix("abc", one)).not.toBe(stagingPrefix("abc", two));
});
