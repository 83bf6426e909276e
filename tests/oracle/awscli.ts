/**
 * Debian's aws cli against the embedded endpoint, with the keys of a stack: reads, lists and uploads in parts on scratch, and
 * is kept from replacing or deleting what is in the bucket of datasets.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buckets, stagingRoleArn } from "../../packages/cli/src/up/secrets.ts";
import { type Checks, expectIn, expectSame } from "./checks.ts";
import { bring, environmentOf, type Ran, run } from "./programs.ts";
import { type Key, type Store, tester, writer } from "./store.ts";

const { datasets, scratch } = buckets;

/** `aws` with these arguments. */
type Cli = (key: Key, ...args: string[]) => Promise<Ran>;

async function succeed(ran: Promise<Ran>): Promise<string> {
  const { exit, out, errors } = await ran;
  if (exit !== 0) throw new Error(`ended with ${exit}: ${errors}`);
  return out;
}

async function refused(ran: Promise<Ran>, why: string): Promise<void> {
  const { exit, errors } = await ran;
  if (exit === 0) throw new Error("succeeded");
  expectIn(errors, why);
}

async function commandLine(store: Store, work: string): Promise<Cli> {
  const root = await bring("aws", ["awscli", "python3-boto3"]);
  const env = environmentOf(root, work);
  return (key, ...args) =>
    run("/usr/bin/python3", [join(root, "usr/bin/aws"), "--endpoint-url", store.url, ...args], {
      cwd: work,
      env: {
        ...env,
        AWS_ACCESS_KEY_ID: key.accessKeyId,
        AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
        ...(key.sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: key.sessionToken }),
        AWS_DEFAULT_REGION: "us-east-1",
        AWS_EC2_METADATA_DISABLED: "true",
        AWS_PAGER: "",
      },
    });
}

export async function tryAwsCli(checks: Checks, store: Store, work: string): Promise<void> {
  const folder = join(work, "cli");
  mkdirSync(folder);
  const aws = await commandLine(store, folder);
  const file = (name: string, data: string | Buffer) => writeFileSync(join(folder, name), data);
  const read = (name: string) => readFileSync(join(folder, name));
  file("small", "small");
  file("large", randomBytes(20 * 1024 ** 2));
  const { worker } = store.secrets;
  await onScratch(checks, store, aws, worker, read);
  await onDatasets(checks, store, aws, worker, read);
  await withSession(checks, store, aws);
}

async function onScratch(
  checks: Checks,
  store: Store,
  aws: Cli,
  worker: Key,
  read: (name: string) => Buffer,
): Promise<void> {
  const at = (key: string) => `s3://${scratch}/${key}`;
  await checks.check("aws cli: a file goes up to scratch and comes back the same", async () => {
    await succeed(aws(worker, "s3", "cp", "small", at("cli/small")));
    await succeed(aws(worker, "s3", "cp", at("cli/small"), "back"));
    expectSame(read("back").toString(), "small");
  });
  await checks.check("aws cli: 20 MiB go up in parts and come back the same", async () => {
    await succeed(aws(worker, "s3", "cp", "large", at("cli/large")));
    const head = await succeed(aws(worker, "s3api", "head-object", "--bucket", scratch, "--key", "cli/large"));
    expectIn(head, '-3\\""');
    await succeed(aws(worker, "s3", "cp", at("cli/large"), "back"));
    if (!read("back").equals(read("large"))) throw new Error("other bytes came back");
  });
  await checks.check("aws cli: keys are listed, in pages and by folder, to whoever may list", async () => {
    await succeed(aws(tester, "s3", "cp", "small", at("cli/folder/日本 +&.txt")));
    const list = ["s3api", "list-objects-v2", "--bucket", scratch, "--prefix", "cli/", "--page-size", "1"];
    const { Contents } = JSON.parse(await succeed(aws(store.owner, ...list))) as { Contents: { Key: string }[] };
    expectSame(
      Contents.map(({ Key }) => Key),
      ["cli/folder/日本 +&.txt", "cli/large", "cli/small"],
    );
    const shown = await succeed(aws(store.owner, "s3", "ls", at("cli/")));
    expectSame(shown.match(/PRE folder\/|large|small/g), ["PRE folder/", "large", "small"]);
    await refused(aws(worker, ...list), "AccessDenied");
  });
  await checks.check("aws cli: a range is read, and a link that it signs", async () => {
    const get = ["s3api", "get-object", "--bucket", scratch, "--key", "cli/small", "--range", "bytes=1-2", "part"];
    expectIn(await succeed(aws(worker, ...get)), "bytes 1-2/5");
    expectSame(read("part").toString(), "ma");
    const link = (await succeed(aws(worker, "s3", "presign", at("cli/small")))).trim();
    expectSame(await (await fetch(link)).text(), "small");
    expectSame((await fetch(link.replace("cli/small", "cli/large"))).status, 403);
  });
  await checks.check("aws cli: a folder is synchronised both ways", async () => {
    await succeed(aws(tester, "s3", "sync", ".", at("synced/"), "--exclude", "large"));
    const again = await succeed(aws(tester, "s3", "sync", ".", at("synced/"), "--exclude", "large"));
    expectSame(again, "");
    await succeed(aws(tester, "s3", "mv", at("synced/small"), at("synced/moved")));
    await succeed(aws(tester, "s3", "rm", "--recursive", at("synced/")));
    expectSame(
      await succeed(aws(tester, "s3", "ls", "--recursive", at("cli/folder"))).then((text) => text.includes("日本")),
      true,
    );
  });
}

async function onDatasets(
  checks: Checks,
  store: Store,
  aws: Cli,
  worker: Key,
  read: (name: string) => Buffer,
): Promise<void> {
  const at = (key: string) => `s3://${datasets}/${key}`;
  const denied = "AccessDenied";
  await checks.check("aws cli: its put to the bucket of datasets is refused, and says what is missing", async () => {
    await refused(aws(writer, "s3", "cp", "small", at("cli/small")), "If-None-Match: *");
    await refused(aws(worker, "s3", "cp", "small", at("cli/small")), denied);
    await refused(aws(tester, "s3", "cp", "small", at("cli/small")), denied);
    const put = ["s3api", "put-object", "--bucket", datasets, "--key", "cli/small", "--body", "small"];
    for (const key of [writer, worker]) await refused(aws(key, ...put), denied);
    const { exit } = await aws(tester, "s3api", "head-object", "--bucket", datasets, "--key", "cli/small");
    if (exit === 0) throw new Error("it was stored");
  });
  await checks.check("aws cli: neither an upload in parts nor a copy gets into it", async () => {
    for (const key of [writer, worker]) {
      await refused(aws(key, "s3", "cp", "large", at("cli/large")), denied);
      await refused(aws(key, "s3", "cp", `s3://${scratch}/cli/small`, at("cli/copied")), denied);
    }
    const listed = await succeed(aws(tester, "s3api", "list-objects-v2", "--bucket", datasets));
    if (listed.includes("cli/")) throw new Error(`it holds ${listed}`);
  });
  await checks.check("aws cli: what is there is read and listed, and a worker cannot delete it", async () => {
    // Put there as a client does that knows the condition.
    const { send } = await import("../../packages/localcloud/src/testing/s3bench.ts");
    const call = { method: "PUT", path: `/${datasets}/cli/kept`, headers: { "if-none-match": "*" }, body: "kept" };
    expectSame((await send(store.endpoint, call, { credential: worker })).status, 403);
    expectSame((await send(store.endpoint, call, { credential: writer })).status, 200);
    await succeed(aws(store.owner, "s3", "cp", at("cli/kept"), "back"));
    expectSame(read("back").toString(), "kept");
    expectIn(await succeed(aws(store.owner, "s3", "ls", at("cli/"))), "kept");
    for (const key of [writer, worker]) await refused(aws(key, "s3", "rm", at("cli/kept")), denied);
    const doomed = JSON.stringify({ Objects: [{ Key: "cli/kept" }] });
    const many = await aws(worker, "s3api", "delete-objects", "--bucket", datasets, "--delete", doomed);
    expectIn(many.out + many.errors, denied);
    expectIn(await succeed(aws(store.owner, "s3", "ls", at("cli/"))), "kept");
  });
}

async function withSession(checks: Checks, store: Store, aws: Cli): Promise<void> {
  const { dispatcher, worker } = store.secrets;
  const policy = {
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Action: ["s3:PutObject", "s3:GetObject"], Resource: `arn:aws:s3:::${scratch}/session/*` },
    ],
  };
  // As people write policies: with white space, which the cli sends as it stands.
  const text = JSON.stringify(policy, undefined, 2);
  const assume = (arn: string, ...more: string[]) => [
    "sts",
    "assume-role",
    "--role-arn",
    arn,
    "--role-session-name",
    "cli",
    ...more,
  ];
  await checks.check("aws cli: sts assume-role gives keys that open one folder", async () => {
    const answer = await succeed(
      aws(dispatcher, ...assume(stagingRoleArn, "--policy", text, "--duration-seconds", "900")),
    );
    const { Credentials } = JSON.parse(answer) as {
      Credentials: { AccessKeyId: string; SecretAccessKey: string; SessionToken: string };
    };
    const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = Credentials;
    const keys = { accessKeyId, secretAccessKey, sessionToken };
    await succeed(aws(keys, "s3", "cp", "large", `s3://${scratch}/session/large`));
    await refused(aws(keys, "s3", "cp", "small", `s3://${scratch}/sessions`), "AccessDenied");
    await refused(aws(keys, "s3", "rm", `s3://${scratch}/session/large`), "AccessDenied");
    await refused(aws(keys, "s3", "ls", `s3://${scratch}/session/`), "AccessDenied");
    await refused(aws({ accessKeyId, secretAccessKey }, "s3", "ls", `s3://${scratch}/`), "InvalidAccessKeyId");
    const link = (await succeed(aws(keys, "s3", "presign", `s3://${scratch}/session/large`))).trim();
    expectSame((await fetch(link)).status, 200);
  });
  await checks.check("aws cli: sts refuses other keys, other roles, and policies that are none", async () => {
    await refused(aws(worker, ...assume(stagingRoleArn, "--policy", text)), "AccessDenied");
    await refused(aws(dispatcher, ...assume("arn:aws:iam::000000000000:role/other", "--policy", text)), "AccessDenied");
    await refused(aws(dispatcher, ...assume(stagingRoleArn, "--policy", "{}")), "MalformedPolicyDocument");
    await refused(aws(dispatcher, ...assume(stagingRoleArn)), "ValidationError");
  });
}
