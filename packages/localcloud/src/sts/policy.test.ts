/** What a policy permits, element by element, and what is no policy here. */
import { describe, expect, test } from "vitest";
import { PolicyFault, type PolicyRequest, readPolicy } from "./policy.ts";

/** As a policy writes it; in a plain string it would look like a slip. */
const variable = (name: string) => `\${${name}}`;
const everything = { Effect: "Allow", Action: "*", Resource: "*" };
const objects = { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::data/x/*" };

function policy(...statements: readonly object[]) {
  return readPolicy(JSON.stringify({ Version: "2012-10-17", Statement: statements }));
}
const asking = (action: string, path: string, facts: Record<string, string> = {}): PolicyRequest => ({
  action,
  resource: `arn:aws:s3:::${path}`,
  facts: new Map(Object.entries(facts)),
});
const reading = (path: string) => asking("s3:GetObject", path);
const listing = (prefix: string | undefined) =>
  asking("s3:ListBucket", "data", prefix === undefined ? {} : { "s3:prefix": prefix });

describe("a policy", () => {
  test("without a statement permits nothing, nor does one that only denies", () => {
    expect(policy().permits(reading("data/x/a"))).toBe(false);
    expect(policy({ ...everything, Effect: "Deny" }).permits(reading("data/x/a"))).toBe(false);
    expect(policy(everything).permits(reading("data/x/a"))).toBe(true);
  });

  test("permits what one statement allows, and nothing that another denies, in any order", () => {
    const deny = { Effect: "Deny", Action: "s3:GetObject", Resource: "arn:aws:s3:::data/x/secret*" };
    for (const made of [policy(objects, deny), policy(deny, objects)]) {
      expect(made.permits(reading("data/x/a"))).toBe(true);
      expect(made.permits(reading("data/x/secret/a"))).toBe(false);
      expect(made.permits(reading("data/y"))).toBe(false);
    }
  });

  test("may have one statement without a list, an Id, a Sid, and white space", () => {
    const text = JSON.stringify(
      { Version: "2008-10-17", Id: "a b", Statement: { ...objects, Sid: "One1" } },
      undefined,
      2,
    );
    expect(readPolicy(text).permits(reading("data/x/a"))).toBe(true);
  });
});

describe("actions", () => {
  test.each([
    ["s3:GetObject", true],
    ["S3:getobject", true],
    ["s3:Get*", true],
    ["s3:G?tObject", true],
    ["s3:*", true],
    ["*", true],
    ["s3:GetObjectAcl", false],
    ["s3:Get", false],
    ["sqs:*", false],
    ["s3:PutObject", false],
  ])("%s is GetObject: %s", (Action, wanted) => {
    expect(policy({ ...objects, Action }).permits(reading("data/x/a"))).toBe(wanted);
    expect(policy({ ...objects, Action: ["s3:DeleteObject", Action] }).permits(reading("data/x/a"))).toBe(wanted);
    const { Action: _, ...rest } = objects;
    expect(policy({ ...rest, NotAction: Action }).permits(reading("data/x/a"))).toBe(!wanted);
  });
});

describe("resources", () => {
  test.each([
    ["arn:aws:s3:::data/x/*", "data/x/a", true],
    ["arn:aws:s3:::data/x/*", "data/x/", true],
    ["arn:aws:s3:::data/x/*", "data/x", false],
    ["arn:aws:s3:::data/x/*", "data/xy/a", false],
    ["arn:aws:s3:::data/x/*", "data/X/a", false],
    ["arn:aws:s3:::data/x*", "data/xy/a", true],
    ["arn:aws:s3:::data/*/a", "data/b/c/a", true],
    ["arn:aws:s3:::data", "data/x", false],
    ["arn:aws:s3:::data*", "data2/x", true],
    ["arn:aws:s3:::data/x/?", "data/x/ab", false],
    ["arn:aws:s3:::data/a:b/*", "data/a:b/c", true],
    ["arn:*:s3:::data/*", "data/x", true],
    ["arn:aws:sqs:::data/*", "data/x", false],
    ["arn:aws:s3:eu::data/*", "data/x", false],
    ["arn:aws:s3:*:*:data/*", "data/x", true],
    ["*", "data/x", true],
    [`arn:aws:s3:::data/${variable("*")}`, "data/*", true],
    [`arn:aws:s3:::data/${variable("*")}`, "data/x", false],
    [`arn:aws:s3:::data/${variable("?")}${variable("$")}`, "data/?$", true],
    ["arn:aws:s3:::data/日本/*", "data/日本/a", true],
    ["arn:aws:s3:::data/e\u0301/*", "data/é/a", false],
    ["arn:aws:s3:::data/a%2Fb", "data/a/b", false],
    ["arn:aws:s3:::data/a//*", "data/a/b", false],
    ["arn:aws:s3:::data/a/*", "data/a/../b", true],
  ])("%s is %s: %s", (Resource, path, wanted) => {
    expect(policy({ ...objects, Resource }).permits(reading(path))).toBe(wanted);
    const { Resource: _, ...rest } = objects;
    expect(policy({ ...rest, NotResource: Resource }).permits(reading(path))).toBe(!wanted);
  });
});

describe("conditions", () => {
  const list = (Condition: object, Effect = "Allow") => ({ Effect, Action: "s3:ListBucket", Resource: "*", Condition });

  test.each<[string, object, string | undefined, boolean]>([
    ["equals", { StringEquals: { "s3:prefix": "x/" } }, "x/", true],
    ["equals another", { StringEquals: { "s3:prefix": "x/" } }, "x/y", false],
    ["equals nothing", { StringEquals: { "s3:prefix": "x/" } }, undefined, false],
    ["equals the empty one", { StringEquals: { "s3:prefix": "" } }, "", true],
    ["equals the empty one, and there is none", { StringEquals: { "s3:prefix": "" } }, undefined, false],
    ["equals one of two", { StringEquals: { "s3:prefix": ["a", "x/"] } }, "x/", true],
    ["equals one of none", { StringEquals: { "s3:prefix": [] } }, "x/", false],
    ["equals a star", { StringEquals: { "s3:prefix": "x*" } }, "xy", false],
    ["equals, in another case of the key", { StringEquals: { "S3:Prefix": "x/" } }, "x/", true],
    ["is like", { StringLike: { "s3:prefix": "x/*" } }, "x/y", true],
    ["is like another", { StringLike: { "s3:prefix": "x/*" } }, "xy/", false],
    ["is like nothing", { StringLike: { "s3:prefix": "*" } }, undefined, false],
    ["is like an escaped star", { StringLike: { "s3:prefix": `x${variable("*")}` } }, "xy", false],
    ["is there", { Null: { "s3:prefix": "false" } }, "", true],
    ["is there, as a boolean", { Null: { "s3:prefix": false } }, "", true],
    ["is not there", { Null: { "s3:prefix": "true" } }, undefined, true],
    ["is not there, but is", { Null: { "s3:prefix": "true" } }, "x", false],
    ["two operators that both hold", { StringLike: { "s3:prefix": "x*" }, Null: { "s3:prefix": "false" } }, "x", true],
    [
      "two operators of which one holds",
      { StringLike: { "s3:prefix": "x*" }, StringEquals: { "s3:prefix": "x" } },
      "xy",
      false,
    ],
    ["two keys of which one holds", { StringLike: { "s3:prefix": "x*", "s3:if-match": "a" } }, "x", false],
    ["none at all", {}, "x", true],
  ])("the prefix %s: permitted or not", (_, condition, prefix, wanted) => {
    expect(policy(list(condition)).permits(listing(prefix))).toBe(wanted);
    // A Deny under the same condition takes away exactly where the Allow gives.
    expect(policy(everything, list(condition, "Deny")).permits(listing(prefix))).toBe(!wanted);
  });

  test("of writing once hold for puts that say so", () => {
    const once = policy(everything, {
      ...everything,
      Effect: "Deny",
      Condition: { Null: { "s3:if-none-match": "true" } },
    });
    expect(once.permits(asking("s3:PutObject", "data/a", { "s3:if-none-match": "*" }))).toBe(true);
    expect(once.permits(asking("s3:PutObject", "data/a"))).toBe(false);
  });
});

describe("is no policy here:", () => {
  const refused = (text: string) => expect(() => readPolicy(text)).toThrow(PolicyFault);

  test.each([
    "",
    "x",
    "null",
    "[]",
    '"a"',
    "{}",
    '{"Version":"2012-10-17"}',
    '{"Statement":null}',
    '{"Statement":["a"]}',
  ])("%s", refused);

  test.each<[string, object]>([
    ["another version", { Version: "2020-01-01", Statement: [objects] }],
    ["an unknown element", { Statement: [objects], Foo: 1 }],
    ["the prototype as an element", JSON.parse('{"Statement":[],"__proto__":{}}') as object],
    ["an Id that is no text", { Statement: [objects], Id: 1 }],
    ...(
      [
        ["no effect", { Effect: undefined }],
        ["an effect in another case", { Effect: "allow" }],
        ["no action", { Action: undefined }],
        ["an action and its opposite", { NotAction: "s3:PutObject" }],
        ["no action in its list", { Action: [] }],
        ["an action without a vendor", { Action: "GetObject" }],
        ["an action that is a number", { Action: 1 }],
        ["an empty action", { Action: "" }],
        ["no resource", { Resource: undefined }],
        ["a resource and its opposite", { NotResource: "*" }],
        ["no resource in its list", { Resource: [] }],
        ["a resource that is no ARN", { Resource: "data/x" }],
        ["a resource that is half an ARN", { Resource: "arn:aws:s3*" }],
        ["a wild card for the word arn", { Resource: "*:aws:s3:::data" }],
        ["an unknown variable", { Resource: `arn:aws:s3:::data/${variable("aws:username")}/*` }],
        ["a variable that does not end", { Resource: "arn:aws:s3:::data/${*" }],
        ["a principal", { Principal: "*" }],
        ["the opposite of a principal", { NotPrincipal: "*" }],
        ["an unknown element of a statement", { Foo: 1 }],
        ["a Sid with a space", { Sid: "a b" }],
        ["a condition that is no object", { Condition: "a" }],
        ["an unknown operator", { Condition: { StringNotEquals: { "s3:prefix": "a" } } }],
        ["an operator with a quantifier", { Condition: { "ForAnyValue:StringLike": { "s3:prefix": "a" } } }],
        ["an operator in another case", { Condition: { stringequals: { "s3:prefix": "a" } } }],
        ["an unknown key", { Condition: { StringEquals: { "aws:SourceIp": "a" } } }],
        ["an unknown key of an unknown operator", { Condition: { Foo: { bar: "a" } } }],
        ["a value that is a number", { Condition: { StringEquals: { "s3:prefix": 1 } } }],
        ["a value that is an object", { Condition: { StringEquals: { "s3:prefix": {} } } }],
        ["a Null that is neither", { Condition: { Null: { "s3:prefix": "maybe" } } }],
        [
          "an unknown variable in a condition",
          { Condition: { StringEquals: { "s3:prefix": `${variable("aws:userid")}` } } },
        ],
      ] as const
    ).map(([name, change]): [string, object] => [
      `a statement with ${name}`,
      { Version: "2012-10-17", Statement: [{ ...objects, ...change }] },
    ]),
  ])("%s", (_, document) => refused(JSON.stringify(document)));

  test("a variable in a document of the version that had none", () => {
    refused(JSON.stringify({ Statement: [{ ...objects, Resource: `arn:aws:s3:::data/${variable("*")}` }] }));
  });
});
