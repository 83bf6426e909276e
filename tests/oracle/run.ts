/**
 * Holds the embedded S3 and STS endpoint against programs of other people, from Debian's packages: the aws cli and boto3 as
 * its clients, the RADOS Gateway of Ceph as a server that must answer the same.
 *
 *   npm run oracle [-- --only=PART] [--required] [--report=FILE]
 *
 * A part whose programs cannot be had is skipped, with the reason; with `--required` it has failed. `--report` writes
 * `{ passed, failed, skipped }` as JSON, for .ci/run.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tryAwsCli } from "./awscli.ts";
import { tryBoto3 } from "./boto3.ts";
import { broker, Ceph } from "./ceph.ts";
import { Checks, NotHere } from "./checks.ts";
import { trySessions } from "./sessions.ts";
import { startStore } from "./store.ts";
import { serverNamed, tryTable } from "./table.ts";
import { tryXml } from "./xml.ts";

const print = (line: string) => void process.stdout.write(`${line}\n`);

async function withStore(work: string, use: (store: Awaited<ReturnType<typeof startStore>>) => Promise<void>) {
  const store = await startStore(work);
  try {
    await use(store);
  } finally {
    await store.stop();
  }
}

/** Ceph is started once for the parts that ask it. */
class Parts {
  readonly #checks: Checks;
  readonly #work: string;
  readonly #ending: AbortSignal;
  #ceph: Promise<Ceph> | undefined;

  constructor(checks: Checks, work: string, ending: AbortSignal) {
    this.#ending = ending;
    this.#checks = checks;
    this.#work = work;
  }

  readonly all: Readonly<Record<string, (work: string) => Promise<void>>> = {
    "aws-cli": (work) => withStore(work, (store) => tryAwsCli(this.#checks, store, work)),
    boto3: (work) => withStore(work, (store) => tryBoto3(this.#checks, store, work)),
    xml: () => tryXml(this.#checks),
    table: async () => {
      const named = serverNamed(process.env.TRACE_S3_ORACLE);
      await tryTable(this.#checks, named ?? { port: (await this.#started()).port, key: broker });
    },
    sessions: async (work) => trySessions(this.#checks, await this.#started(), work),
  };

  #started(): Promise<Ceph> {
    this.#ceph ??= Ceph.start(this.#work, this.#ending);
    return this.#ceph;
  }

  async stop(): Promise<void> {
    const ceph = await this.#ceph?.catch(() => undefined); // A failed start has ended what it started.
    await ceph?.stop();
  }
}

async function runParts(only: string | undefined, required: boolean): Promise<Checks> {
  const checks = new Checks(print);
  const work = mkdtempSync(join(tmpdir(), "trace-oracle-"));
  // Its children are not ours to leave behind.
  const ending = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        const why = new Error(`ended by ${signal}`);
        ending.abort(why);
        reject(why);
      });
    }
  });
  const parts = new Parts(checks, work, ending.signal);
  try {
    for (const [name, part] of Object.entries(parts.all)) {
      if (only !== undefined && only !== name) continue;
      const begunMs = performance.now();
      try {
        await Promise.race([part(mkdtempSync(join(work, `${name}-`))), stopped]);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        if (error instanceof NotHere && !required) checks.skip(name, why);
        else checks.note(name, why);
        if (ending.signal.aborted) break;
      }
      print(`        ${name}: ${((performance.now() - begunMs) / 1_000).toFixed(0)} s`);
    }
    return checks;
  } finally {
    await parts.stop();
    rmSync(work, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: "string" }, required: { type: "boolean" }, report: { type: "string" } },
  });
  const names = ["aws-cli", "boto3", "xml", "table", "sessions"];
  if (values.only !== undefined && !names.includes(values.only)) {
    process.stderr.write(`there is no part '${values.only}'; there are: ${names.join(", ")}\n`);
    return 2;
  }
  const begunMs = performance.now();
  const { passed, failures, skipped } = await runParts(values.only, values.required ?? false);
  const failed = failures.length;
  const seconds = ((performance.now() - begunMs) / 1_000).toFixed(0);
  print(`${passed} passed, ${failed} failed, ${skipped} skipped, in ${seconds} s`);
  if (values.report !== undefined) writeFileSync(values.report, JSON.stringify({ passed, failed, skipped }));
  return failed === 0 && (passed > 0 || skipped > 0) ? 0 : 1;
}

process.exitCode = await main();
