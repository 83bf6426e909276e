/**
 * The same policies to the embedded endpoint and to the server of other people: each request must be allowed by both or by
 * neither. Policies that were thought of, and some that were not.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { silentLog } from "@trace/kit";
import { S3Endpoint } from "@trace/localcloud";
import { objectPath, owner, type RawCall, send } from "../../packages/localcloud/src/testing/s3bench.ts";
import { askSts, keysOf, role as ourRole, withRole } from "../../packages/localcloud/src/testing/stsbench.ts";
import { broker, type Ceph, roleArn } from "./ceph.ts";
import { type Checks, expectSame, KnownToDiffer } from "./checks.ts";
import { drawnPolicies } from "./limits.ts";
import type { Key } from "./store.ts";

type Statement = Readonly<Record<string, unknown>>;

const arn = (path: string) => `arn:aws:s3:::files${path}`;
const allow = (Action: unknown, Resource: unknown, Condition?: object): Statement => ({
  Effect: "Allow",
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
});
const deny = (...statement: Parameters<typeof allow>): Statement => ({ ...allow(...statement), Effect: "Deny" });
const everything = allow("s3:*", "*");

const thoughtOf: Readonly<Record<string, readonly Statement[]>> = {
  "one folder": [allow(["s3:GetObject", "s3:PutObject"], arn("/x/*"))],
  "one folder, by wild cards in the actions": [allow(["s3:Get*", "s3:Put*"], arn("/x/*"))],
  everything: [everything],
  nothing: [],
  "everything but a folder": [everything, deny("s3:*", arn("/x/*"))],
  "a folder but a file": [allow("s3:*", arn("/x/*")), deny("s3:GetObject", arn("/x/a"))],
  "a folder without its slash": [allow("s3:*", arn("/x*"))],
  "a wild card within": [allow("s3:GetObject", arn("/x*/a"))],
  "one character": [allow("s3:GetObject", arn("/x?/a"))],
  "the bucket and not what is in it": [allow("s3:*", arn(""))],
  "what is in the bucket and not itself": [allow("s3:*", arn("/*"))],
  "another bucket": [allow("s3:*", ["arn:aws:s3:::other", "arn:aws:s3:::other/*"])],
  "only deletes": [allow("s3:DeleteObject", arn("/*"))],
  "a listing under a prefix": [allow("s3:ListBucket", arn(""), { StringLike: { "s3:prefix": "x/*" } })],
  "a listing of one prefix": [allow("s3:ListBucket", arn(""), { StringEquals: { "s3:prefix": "x/" } })],
  "a listing of two prefixes": [allow("s3:ListBucket", arn(""), { StringEquals: { "s3:prefix": ["", "y/"] } })],
  "all actions but deletes": [{ Effect: "Allow", NotAction: "s3:DeleteObject", Resource: "*" }],
  "all but a folder, by its opposite": [{ Effect: "Allow", Action: "s3:*", NotResource: arn("/x/*") }],
};

/** What the other server is known to allow less of than the documents say; what it allows more of is always a failure. */
const narrower: Readonly<Record<string, string>> = {
  "a wild card within": "this server takes a star to end at the first character that may follow it",
  "a listing of two prefixes": "this server takes an empty prefix for none",
  "all actions but deletes": "this server allows nothing by NotAction",
};

const keys = ["x/a", "x/", "x", "xy/a", "x/../y/a", "x//a", "y/a", "x*/a", "é/a"];

/**
 * The requests that are tried with each policy; nothing of them depends on what others did. No copies: the other server does not
 * ask the session's policy for their target, and copies to where it denies every put.
 */
function requests(): { name: string; call: RawCall }[] {
  const objects = keys.flatMap((key) => {
    const path = objectPath("files", key);
    return [
      { name: `GET ${key}`, call: { method: "GET", path } },
      { name: `begin an upload of ${key}`, call: { method: "POST", path: `${path}.parts`, query: { uploads: "" } } },
      { name: `PUT ${key}`, call: { method: "PUT", path, body: "there" } },
      // Under a name that is nobody else's, so that what is read stays.
      { name: `DELETE ${key}`, call: { method: "DELETE", path: `${path}.gone` } },
    ];
  });
  const lists = [undefined, "", "x", "x/", "x/y", "xy/", "y/"].map((prefix) => ({
    name: `list ${prefix === undefined ? "without a prefix" : `'${prefix}'`}`,
    call: {
      method: "GET",
      path: "/files",
      query: { "list-type": "2", ...(prefix === undefined ? {} : { prefix }) } as Record<string, string>,
    },
  }));
  return [...objects, ...lists];
}

/** A small generator with a seed that is told, so that what it found is found again. */
function drawer(seed: number): <T>(list: readonly T[]) => T {
  let state = seed >>> 0;
  return (list) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return list[Math.floor((state / 2 ** 32) * list.length)] as (typeof list)[number];
  };
}

function drawnOf(seed: number): Statement[] {
  const draw = drawer(seed);
  const actions = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:*",
    "s3:Get*",
    "s3:?utObject",
  ];
  const resources = [...["/x/*", "/x*", "/*", "", "/y/a", "/x?/*", "/x//*"].map(arn), "*", "arn:aws:s3:::f*"];
  return Array.from({ length: draw([1, 2, 3, 4]) }, () => {
    const statement = (draw([true, true, false]) ? allow : deny)([draw(actions), draw(actions)], [draw(resources)]);
    const prefix = draw(["x/*", "x*", "*", "y/", ""]);
    return draw([true, false, false])
      ? { ...statement, Condition: { StringLike: { "s3:prefix": prefix } } }
      : statement;
  });
}

interface Server {
  readonly port: number;
  readonly owner: Key;
  readonly broker: Key;
  readonly roleArn: string;
}

async function sessionAt(server: Server, statements: readonly Statement[]): Promise<Key> {
  // Without a space: the other server does not take the form's word for one.
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: statements });
  const form = { Policy, RoleArn: server.roleArn, DurationSeconds: 900 };
  return keysOf(await askSts(server, form, { credential: server.broker }));
}

async function allowed(server: Server, credential: Key): Promise<string[]> {
  const names: string[] = [];
  for (const { name, call } of requests()) {
    const { status } = await send(server, call, { credential });
    if (status !== 403 && status >= 300) throw new Error(`${name} was answered ${status}`);
    if (status < 300) names.push(name);
  }
  return names;
}

export async function trySessions(checks: Checks, ceph: Ceph, work: string): Promise<void> {
  const root = join(work, "sessions");
  mkdirSync(root);
  const endpoint = new S3Endpoint({
    root,
    host: "127.0.0.1",
    port: 0,
    buckets: [{ name: "files" }, { name: "once" }],
    ...withRole,
    log: silentLog(),
  });
  await endpoint.start();
  try {
    const [brokerOfOurs] = withRole.credentials.slice(1);
    const ours: Server = {
      port: endpoint.port,
      owner,
      broker: brokerOfOurs ?? owner,
      roleArn: `arn:aws:iam::000000000000:role/${ourRole.name}`,
    };
    const theirs: Server = { port: ceph.port, owner: broker, broker, roleArn };
    for (const server of [ours, theirs]) {
      for (const key of keys) {
        const put = { method: "PUT", path: objectPath("files", key), body: "there" };
        expectSame((await send(server, put, { credential: server.owner })).status, 200);
      }
    }
    const compare = (name: string, statements: readonly Statement[]) =>
      checks.check(`sessions: ${name}`, async () => {
        const [us, them] = [await sessionAt(ours, statements), await sessionAt(theirs, statements)];
        const [got, wanted] = [await allowed(ours, us), await allowed(theirs, them)];
        const more = got.filter((one) => !wanted.includes(one));
        const less = wanted.filter((one) => !got.includes(one));
        const why = narrower[name];
        if (why !== undefined && less.length === 0 && more.length > 0) throw new KnownToDiffer(why);
        if (more.length + less.length > 0) {
          throw new Error(
            `${JSON.stringify(statements)}\nonly here: ${more.join(", ")}\nonly there: ${less.join(", ")}`,
          );
        }
      });
    for (const [name, statements] of Object.entries(thoughtOf)) await compare(name, statements);
    for (let seed = 1; seed <= drawnPolicies; seed += 1)
      await compare(`a policy drawn with seed ${seed}`, drawnOf(seed));
  } finally {
    await endpoint.stop();
  }
}
