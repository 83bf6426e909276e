/**
 * One Postgres server for tests and tools: the embedded one in a folder of its own, gone when it is stopped. Its data
 * need not survive a crash, so it does not wait for the disk; nothing else differs from what `trace up` starts.
 *
 * `TRACE_TEST_POSTGRES_URL` names a server to use instead: a role that may create databases, with its maintenance
 * database. Then nothing is started, and what was made in it is dropped by whoever made it.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "@trace/kit";
import { EmbeddedPostgres, rootFolderDefault } from "@trace/localcloud";

export interface TestPostgres {
  /** Of a role that may create databases. Holds a password: for this process and its children only. */
  readonly url: string;
  /** Stops the server and removes all its files. */
  stop(): Promise<void>;
}

const folderPrefix = "trace-test-postgres-";
/** Between finding a free port and listening on it somebody else may take it. */
const startTriesMax = 3;

/** Starts a server (about 1.5 s), or answers with the one of `TRACE_TEST_POSTGRES_URL`. Throws what the start throws. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const given = process.env.TRACE_TEST_POSTGRES_URL;
  if (given !== undefined && given !== "") return { url: given, stop: () => Promise.resolve() };
  removeLeftovers();
  for (let tries = 1; ; tries += 1) {
    try {
      return await startOne();
    } catch (error) {
      if ((error as { code?: string }).code !== "TR-6013" || tries >= startTriesMax) throw error;
    }
  }
}

async function startOne(): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  const id = `test${randomBytes(8).toString("hex")}`;
  const stateDir = join(folder, "state");
  mkdirSync(stateDir);
  writeFileSync(join(folder, "id"), id);
  const server = new EmbeddedPostgres({
    name: "state",
    stateDir,
    id,
    port: await freePort(),
    roles: [{ name: "trace", password: randomBytes(24).toString("base64url"), createDatabases: true }],
    settings: { fsync: false, full_page_writes: false, max_connections: 200 },
    log: silentLog(),
  });
  try {
    await server.start();
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
  return {
    url: server.url(),
    stop: async () => {
      await server.stop();
      removeFolder(folder);
    },
  };
}

/** As root the data lies outside the folder, under the id that the folder keeps. */
function removeFolder(folder: string): void {
  const idFile = join(folder, "id");
  const id = existsSync(idFile) ? readFileSync(idFile, "utf8") : "";
  if (/^test[0-9a-f]{16}$/.test(id)) rmSync(join(rootFolderDefault, id), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** A run that was killed could not clean up; its server ended with it, its files are removed by the next run. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    try {
      removeFolder(join(tmpdir(), name));
    } catch {
      // Of another user: theirs to remove.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
