/**
 * The decision of the endpoint against set membership: random grants, a random policy that names folders and single keys,
 * random keys beside and below them. The set is made from the folders as they were drawn, never from the policy's text.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accessOfGrants, accessOfSession, type GrantedAction, type S3Action, type S3Grant } from "../s3/access.ts";
import { hostileKey } from "../testing/hostilekeys.ts";
import { type Bench, objectPath, send, startBench } from "../testing/s3bench.ts";
import { broker, policyOf, role, secret, sessionOf, withRole } from "../testing/stsbench.ts";
import { type PolicyRequest, readPolicy } from "./policy.ts";

const noHeaders = new Map<string, string>();
const granted: readonly GrantedAction[] = ["GetObject", "PutObject", "DeleteObject", "ListBucket"];
const onObjects = [
  "GetObject",
  "PutObject",
  "DeleteObject",
  "AbortMultipartUpload",
  "ListMultipartUploadParts",
] as const satisfies readonly S3Action[];
type ObjectAction = (typeof onObjects)[number];
const buckets = ["files", "once"];

const folderName = fc.constantFrom("x/", "xy/", "x/y/", "y/", "é/", "x*/", "x?/", "x%2F/", "x//", "../", "日本/");

interface Part {
  readonly denies: boolean;
  readonly actions: readonly ObjectAction[];
  readonly bucket: string;
  /** A folder, or a key when `whole`. */
  readonly name: string;
  readonly whole: boolean;
}
const part: fc.Arbitrary<Part> = fc.record({
  // Where half of all deny, hardly anything is left to be allowed.
  denies: fc.constantFrom(false, false, false, true),
  actions: fc.subarray([...onObjects], { minLength: 1 }),
  bucket: fc.constantFrom(...buckets),
  name: folderName,
  whole: fc.boolean(),
});
const grant: fc.Arbitrary<S3Grant> = fc.record({
  bucket: fc.constantFrom(...buckets),
  actions: fc.subarray([...granted], { minLength: 1 }),
  prefix: fc.option(folderName, { nil: undefined, freq: 1 }),
});

/** Keys that lie in, beside and above the folders, and some that nobody thought of. */
const key = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(folderName, fc.constantFrom("", "a", "/a", "../a", "*", "y/a")).map((all) => all.join("")),
  },
  { weight: 1, arbitrary: folderName.map((name) => name.slice(0, -1)) },
  { weight: 1, arbitrary: hostileKey },
);

/** What stands for itself in a policy: `*`, `?` and `$` are written as variables. */
const literal = (text: string) => text.replace(/[*?$]/g, (char) => `\${${char}}`);
const statementOf = ({ denies, actions, bucket, name, whole }: Part) => ({
  Effect: denies ? "Deny" : "Allow",
  Action: actions.map((action) => `s3:${action}`),
  Resource: `arn:aws:s3:::${bucket}/${literal(name)}${whole ? "" : "*"}`,
});
const asciiJson = (value: unknown) =>
  JSON.stringify(value).replace(/[\u0100-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

const holds = (set: Part, action: ObjectAction, bucket: string, name: string) =>
  set.bucket === bucket && set.actions.includes(action) && (set.whole ? name === set.name : name.startsWith(set.name));

const grantOf: Readonly<Record<ObjectAction, GrantedAction>> = {
  GetObject: "GetObject",
  PutObject: "PutObject",
  DeleteObject: "DeleteObject",
  AbortMultipartUpload: "PutObject",
  ListMultipartUploadParts: "PutObject",
};

function member(
  grants: readonly S3Grant[],
  parts: readonly Part[],
  action: ObjectAction,
  bucket: string,
  name: string,
) {
  const role = grants.some(
    ({ bucket: of, actions, prefix = "" }) =>
      of === bucket && actions.includes(grantOf[action]) && name.startsWith(prefix),
  );
  const fitting = parts.filter((one) => holds(one, action, bucket, name));
  return role && fitting.length > 0 && fitting.every(({ denies }) => !denies);
}

/** Some in each of the sets, or close to one: keys drawn freely would mostly be in none. */
const near = (sets: readonly { readonly name: string }[]) =>
  fc.array(
    sets.length === 0
      ? key
      : fc.oneof(
          key,
          fc
            .tuple(fc.constantFrom(...sets), fc.constantFrom("", "a", "../a", "é"))
            .map(([{ name }, tail]) => name + tail),
        ),
    { minLength: 1, maxLength: 12 },
  );

const few = <T>(one: fc.Arbitrary<T>, maxLength: number) => fc.array(one, { maxLength });
const partsAndKeys = (one: fc.Arbitrary<Part>, maxLength: number) =>
  few(one, maxLength).chain((parts) => fc.tuple(fc.constant(parts), near(parts)));
const target = fc.tuple(fc.constantFrom(...onObjects), fc.constantFrom(...buckets));
const asked = fc.tuple(target, key).map(([[action, bucket], name]) => [action, bucket, name] as const);

describe("a session", () => {
  test("may do what both its role and its policy name, and nothing else", () => {
    let allowed = 0;
    fc.assert(
      fc.property(few(grant, 4), partsAndKeys(part, 5), fc.array(target), (grants, [parts, keys], targets) => {
        const policy = readPolicy(asciiJson(policyOf(...parts.map(statementOf))));
        const access = accessOfSession(accessOfGrants(grants), policy, noHeaders);
        for (const [at, name] of keys.entries()) {
          const [action, bucket] = targets[at % targets.length] ?? ["GetObject", "files"];
          const wanted = member(grants, parts, action, bucket, name);
          if (wanted) allowed += 1;
          expect([action, bucket, name, access.allows(action, bucket, name)]).toEqual([action, bucket, name, wanted]);
        }
      }),
      { numRuns: 6_000 },
    );
    // Properties of refusals alone would hold of an endpoint that refuses everything.
    expect(allowed).toBeGreaterThan(300);
  });

  test("is never more than its role, whatever its policy says", () => {
    const wild = fc.constantFrom("*", "s3:*", "s3:Get*", "s3:GetObject", "s3:?utObject");
    const resource = fc.constantFrom(
      "*",
      "arn:aws:s3:::*",
      "arn:*:s3:::files/*",
      "arn:aws:s3:::files/x*",
      "arn:aws:s3:::o?ce/*",
    );
    const statement = fc.tuple(fc.constantFrom("Allow", "Deny"), fc.boolean(), wild, fc.boolean(), resource);
    fc.assert(
      fc.property(few(grant, 3), few(statement, 4), asked, (grants, drawn, [action, bucket, name]) => {
        const statements = drawn.map(([Effect, notAction, Action, notResource, Resource]) => ({
          Effect,
          [notAction ? "NotAction" : "Action"]: Action,
          [notResource ? "NotResource" : "Resource"]: Resource,
        }));
        const session = accessOfSession(
          accessOfGrants(grants),
          readPolicy(JSON.stringify(policyOf(...statements))),
          noHeaders,
        );
        if (session.allows(action, bucket, name))
          expect(accessOfGrants(grants).allows(action, bucket, name)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  test("has no more by another Deny and no less by another Allow", () => {
    const request = asked.map(
      ([action, bucket, name]): PolicyRequest => ({
        action: `s3:${action}`,
        resource: `arn:aws:s3:::${bucket}/${name}`,
        facts: noHeaders,
      }),
    );
    fc.assert(
      fc.property(few(part, 4), part, request, (parts, one, wanted) => {
        const permits = (all: readonly Part[]) =>
          readPolicy(asciiJson(policyOf(...all.map(statementOf)))).permits(wanted);
        const [before, after] = [permits(parts), permits([...parts, one])];
        if (before !== after) expect([after, one.denies]).toEqual([!one.denies, one.denies]);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("over the wire", () => {
  let bench: Bench;
  const roles = [{ ...role, assumedBy: [broker.accessKeyId] }];
  beforeAll(async () => {
    bench = await startBench({ ...withRole, sessions: { secret, roles } });
  });
  afterAll(() => bench.stop());
  const methodOf = { GetObject: "GET", DeleteObject: "DELETE", PutObject: "PUT" } as const;

  test("each decision is the same", async () => {
    let allowed = 0;
    const simple = part.map((one) => ({ ...one, bucket: "files" }));
    const actions = fc.array(fc.constantFrom("GetObject", "PutObject", "DeleteObject"), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(partsAndKeys(simple, 4), actions, async ([parts, keys], drawn) => {
        const text = asciiJson(policyOf(...parts.map(statementOf)));
        const credential = await sessionOf(bench.endpoint, text);
        for (const [at, name] of keys.entries()) {
          const action = drawn[at % drawn.length] ?? "GetObject";
          const path = objectPath("files", name);
          // It is there: what is refused is not refused for that.
          await send(bench.endpoint, { method: "PUT", path, body: "there" });
          const { status, code } = await send(bench.endpoint, { method: methodOf[action], path }, { credential });
          const wanted = member(role.grants, parts, action, "files", name);
          expect([action, name, status < 300, code]).toEqual([
            action,
            name,
            wanted,
            wanted ? undefined : "AccessDenied",
          ]);
          if (wanted) allowed += 1;
        }
      }),
      { numRuns: 60 },
    );
    expect(allowed).toBeGreaterThan(20);
  });
});
