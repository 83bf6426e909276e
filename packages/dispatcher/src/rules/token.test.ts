/** Lease tokens and the prefixes that follow from them. */
import { randomBytes } from "node:crypto";
import { leaseTokenSchema } from "@trace/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeToken, encodeToken, leaseNoOf, stagingPrefix, taskNoOf } from "./token.ts";

const token = fc.uint8Array({ minLength: 40, maxLength: 40 }).map((bytes) => Buffer.from(bytes));

test("any 40 bytes survive the way over the wire and fit the contract", () => {
  fc.assert(
    fc.property(token, (bytes) => {
      const text = encodeToken(bytes);
      expect(leaseTokenSchema.safeParse(text).success).toBe(true);
      expect(decodeToken(text)).toEqual(bytes);
    }),
  );
});

test("a token has one form: others that decode to the same bytes are refused", () => {
  fc.assert(
    fc.property(token, fc.integer({ min: 1, max: 15 }), (bytes, bits) => {
      const text = encodeToken(bytes);
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
      const other = `${text.slice(0, -1)}${alphabet[alphabet.indexOf(text.at(-1) ?? "") + bits]}`;
      expect(decodeToken(other)).toEqual(bytes);
      expect(leaseTokenSchema.safeParse(other).success).toBe(false);
    }),
  );
  for (const text of [
    "",
    "A".repeat(32),
    "A".repeat(53),
    "A".repeat(55),
    `${"A".repeat(52)}=A`,
    `${"A".repeat(54)}=`,
  ]) {
    expect(leaseTokenSchema.safeParse(text).success).toBe(false);
  }
});

test("a guess yields numbers that Postgres takes, 0 when there can be none", () => {
  fc.assert(
    fc.property(token, (bytes) => {
      return [leaseNoOf(bytes), taskNoOf(bytes)].every((number) => Number.isSafeInteger(number) && number >= 0);
    }),
  );
  const real = Buffer.alloc(40);
  real.writeBigInt64BE(4_711n, 8);
  real.writeBigInt64BE(815n, 16);
  expect([leaseNoOf(real), taskNoOf(real)]).toEqual([4_711, 815]);
});

test("a prefix is [a-z0-9/] only, holds the lease number and cannot be told from it alone", () => {
  const one = Buffer.concat([Buffer.from("000000000000000100000000000000240000000000000009", "hex"), randomBytes(16)]);
  const two = Buffer.concat([one.subarray(0, 24), randomBytes(16)]);
  expect(stagingPrefix("abc", one)).toMatch(/^d\/abc\/a\/00000000010[0-9a-f]{16}\/$/);
  expect(stagingPrefix("abc", one)).not.toBe(stagingPrefix("abc", two));
});
