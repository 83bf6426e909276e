/** Debian's boto3 against the embedded endpoint: runs the script beside this file and takes over what it found. */
import { join } from "node:path";
import { buckets, stagingRoleArn } from "../../packages/cli/src/up/secrets.ts";
import type { Checks } from "./checks.ts";
import { scriptMaxMs } from "./limits.ts";
import { bring, environmentOf, run } from "./programs.ts";
import { type Store, tester, writer } from "./store.ts";

export async function tryBoto3(checks: Checks, store: Store, work: string): Promise<void> {
  const root = await bring("aws", ["awscli", "python3-boto3"]);
  const { worker, dispatcher } = store.secrets;
  const asked = {
    url: store.url,
    ...buckets,
    role: stagingRoleArn,
    worker,
    dispatcher,
    owner: store.owner,
    tester,
    writer,
  };
  const env = { ...environmentOf(root, work), ORACLE: JSON.stringify(asked), AWS_EC2_METADATA_DISABLED: "true" };
  const script = join(import.meta.dirname, "boto3_script.py");
  const ended = await run("/usr/bin/python3", [script], { env, cwd: work, timeoutMs: scriptMaxMs });
  const lines = ended.out.split("\n").filter((line) => line !== "");
  const [first, ...found] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const { name, why } of found) checks.note(`boto3: ${name}`, why === null ? undefined : String(why));
  const whole = ended.exit === 0 && found.length > 0 && found.length === first?.checks;
  checks.note("boto3: the script came to its end", whole ? undefined : `ended with ${ended.exit}: ${ended.errors}`);
}
