/** The folder of a run: secrets, logs, objects, history; and the ports and keys that its processes share. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
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

/** Held all at once while they are chosen, so that no two are the same. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<Server>((done, fail) => {
        server.once("error", fail);
        server.listen({ host: "127.0.0.1", port: 0 }, () => done(server));
      });
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
