/** What a configuration may not be: each mistake would be a hole later, or a session that nobody can have. */
import { expect, test } from "vitest";
import type { S3Role, SessionOptions } from "../sts/callers.ts";
import { buckets, owner } from "../testing/s3bench.ts";
import { broker, role, secret } from "../testing/stsbench.ts";
import { requireConfiguration } from "./configuration.ts";

const check =
  (sessions: SessionOptions | undefined, credentials = [owner, broker]) =>
  () =>
    requireConfiguration(buckets, credentials, sessions);
const withRole = (change: Partial<S3Role>): SessionOptions => ({ secret, roles: [{ ...role, ...change }] });

test("roles that hold together are taken, and so is none", () => {
  expect(check(undefined)).not.toThrow();
  expect(check({ secret, roles: [] })).not.toThrow();
  expect(check({ secret, roles: [role, { ...role, name: "other", secondsMax: 43_200, assumedBy: [] }] })).not.toThrow();
});

test.each<[string, SessionOptions, string]>([
  ["a short secret", { secret: "short", roles: [role] }, "secret that sessions are signed with"],
  ["no name", withRole({ name: "" }), "role name"],
  ["a name that is a path", withRole({ name: "a/b" }), "role name"],
  ["a name used twice", { secret, roles: [role, role] }, "used twice"],
  ["an unknown key that may assume it", withRole({ assumedBy: ["NOBODY"] }), "unknown key 'NOBODY'"],
  ["sessions shorter than any", withRole({ secondsMax: 899 }), "cannot last 899 s"],
  ["sessions longer than any", withRole({ secondsMax: 43_201 }), "cannot last 43201 s"],
  ["sessions of half a second", withRole({ secondsMax: 900.5 }), "cannot last 900.5 s"],
  ["a bucket that is none", withRole({ grants: [{ bucket: "none", actions: [] }] }), "unknown bucket 'none'"],
  ["a prefix that is no folder", withRole({ grants: [{ bucket: "files", actions: [], prefix: "a" }] }), "not a folder"],
])("%s is refused, and named", (_, sessions, named) => {
  expect(check(sessions)).toThrow(
    expect.objectContaining({ code: "TR-6103", message: expect.stringContaining(named) }),
  );
});

test("what is refused tells no secret", () => {
  const short = "a-short-secret";
  expect(check({ secret: short, roles: [role] })).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining(short) }),
  );
});
