/** The folder of a run: secrets, logs, objects, history; and the ports and keys that its processes share. */
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newToken, tokenHash } from "@trace/kit";
import { rootFolderDefault } from "@trace/localcloud";
import { isAlive } from "../../system/harness/processes.ts";

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export const buckets = { datasets: "trace-datasets", scratch: "trace-scratch" } as const;

const folderPrefix = "trace-checker-";

export class RunFolder {
  readonly dir = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  /** Of the installation; root's Postgres lies in a folder of this name. */
  readonly id = `check${randomBytes(8).toString("hex")}`;
  readonly logs = join(this.dir, "logs");
  readonly history = join(this.dir, "history.jsonl");
  readonly dump = join(this.dir, "dump.jsonl");
  readonly postgresPassword = randomBytes(24).toString("base64url");
  readonly ownerToken = newToken("trace");
  readonly workerToken = newToken("tracew");
  readonly ownerTokenSha256 = tokenHash(this.ownerToken).toString("hex");
  readonly dispatcherKey = accessKey("DISPATCHER");
  readonly workerKey = accessKey("WORKER");
  readonly workerTokenFile: string;
  readonly workerTokenHashesFile: string;
  readonly credentialsFile: string;

  constructor() {
    mkdirSync(this.logs);
    writeFileSync(join(this.dir, "id"), this.id);
    this.workerTokenFile = this.#secret("worker-token", `${this.workerToken}\n`);
    this.workerTokenHashesFile = this.#secret(
      "worker-token-hashes",
      `${tokenHash(this.workerToken).toString("hex")}\n`,
    );
    const grants = (actions: readonly string[]) => Object.values(buckets).map((bucket) => ({ bucket, actions }));
    this.credentialsFile = this.#secret(
      "s3-credentials",
      JSON.stringify([
        { ...this.dispatcherKey, grants: grants(["GetObject", "DeleteObject", "ListBucket"]) },
        { ...this.workerKey, grants: grants(["GetObject", "PutObject"]) },
      ]),
    );
  }

  /** Everything, or all but what is needed to look at what went wrong. */
  remove(): void {
    this.removePostgres();
    rmSync(this.dir, { recursive: true, force: true });
  }

  removePostgres(): void {
    rmSync(join(rootFolderDefault, this.id), { recursive: true, force: true });
  }

  /** A run that was killed could not clean up its Postgres; what is for people to look at stays. */
  static removeLeftovers(): void {
    for (const name of readdirSync(tmpdir())) {
      const pid = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
      const idFile = join(tmpdir(), name, "id");
      if (pid === undefined || isAlive(Number(pid)) || !existsSync(idFile)) continue;
      const id = readFileSync(idFile, "utf8");
      if (/^check[0-9a-f]{16}$/.test(id)) rmSync(join(rootFolderDefault, id), { recursive: true, force: true });
    }
  }

  #secret(name: string, text: string): string {
    const path = join(this.dir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
}

function accessKey(role: string): AccessKey {
  return { accessKeyId: `TRACE${role}`, secretAccessKey: randomBytes(24).toString("base64url") };
}

/**
 * Below the range from which systems take the ports of outgoing connections: what is killed finds its port free when it comes
 * again, whoever connects to whom meanwhile.
 */
const portMin = 10_000;
const portMax = 32_000;
/** Ports that were tried and taken, before the machine is said to be full. */
const portTriesMax = 1_000;

export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count; tries += 1) {
    if (tries === portTriesMax) throw new Error(`no ${count} ports are free between ${portMin} and ${portMax}`);
    const port = randomInt(portMin, portMax);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  return [...found];
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port }, () => server.close(() => resolve(true)));
  });
}
