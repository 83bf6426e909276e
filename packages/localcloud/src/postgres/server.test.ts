import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Database, silentLog } from "@trace/kit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { tryPort } from "../state/ports.ts";
import { EmbeddedPostgres, type PostgresExit } from "./index.ts";
import { killAllIn, processesIn, waitUntilEmpty } from "./processes.ts";

const log = silentLog();
const id = "aaaabbbbccccddddeeee";
const password = "correct-horse-battery";
let root: string;
let port: number;
const running: EmbeddedPostgres[] = [];

interface Place {
  readonly stateDir: string;
  readonly rootFolder: string;
  /** The server's folder. */
  readonly folder: string;
}

function place(name: string): Place {
  // Spaces and letters beyond ASCII: a checkout may be anywhere.
  mkdirSync(join(root, `${name} ü`), { recursive: true, mode: 0o755 });
  const stateDir = join(root, `${name} ü`, ".trace");
  const rootFolder = join(root, `${name} ü`, "var");
  const folder = process.getuid?.() === 0 ? join(rootFolder, id, "state") : join(stateDir, "postgres", "state");
  return { stateDir, rootFolder, folder };
}

/** A place where, as root, the programs are in place already: shared by hard links, for they are many. */
function withPrograms(name: string): Place {
  const [from, to] = [place("template"), place(name)];
  mkdirSync(to.stateDir, { recursive: true, mode: 0o700 });
  const [fromBase, toBase] = [dirname(from.folder), dirname(to.folder)];
  mkdirSync(toBase, { recursive: true });
  for (const entry of readdirSync(fromBase)) {
    if (entry.startsWith("programs-")) execFileSync("cp", ["-al", join(fromBase, entry), toBase]);
  }
  return to;
}

/** A copy of the cluster that was made before all tests, with its owners and rights: making one takes a second. */
function copied(name: string): Place {
  const to = withPrograms(name);
  execFileSync("cp", ["-a", place("template").folder, dirname(to.folder)]);
  return to;
}

/** Just the files that are looked at before anything runs. */
function outline(name: string): Place {
  const [from, to] = [place("template"), withPrograms(name)];
  for (const file of ["trace.json", "data/PG_VERSION", "data/global/pg_control"]) {
    mkdirSync(dirname(join(to.folder, file)), { recursive: true });
    cpSync(join(from.folder, file), join(to.folder, file));
  }
  return to;
}

function server(at: Place, overrides: { password?: string; id?: string } = {}): EmbeddedPostgres {
  const made = new EmbeddedPostgres({
    name: "state",
    stateDir: at.stateDir,
    id: overrides.id ?? id,
    port,
    roles: [{ name: "trace", password: overrides.password ?? password }],
    log,
    rootFolder: at.rootFolder,
  });
  running.push(made);
  return made;
}

async function sql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const database = new Database({ url, name: "test", log, connectionsMax: 1 });
  await database.start();
  try {
    return await database.query<object, Record<string, unknown>>({ name: "test", text, params: [] }, {});
  } finally {
    await database.stop();
  }
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "trace-postgres-"));
  chmodSync(root, 0o755); // as root, `nobody` must pass through
  const at = place("template");
  mkdirSync(at.stateDir, { recursive: true, mode: 0o700 });
  port = (await tryPort(0)) ?? 0;
  const first = server(at);
  await first.start();
  await sql(first.url(), "create table kept (n int)");
  await first.stop();
});

afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
  for (const name of readdirSync(root)) {
    if (name !== "template ü") rmSync(join(root, name), { recursive: true, force: true });
  }
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("an embedded Postgres", () => {
  test("keeps what was committed through a kill of the server, and tells of its end", async () => {
    const postgres = server(copied("killed"));
    await postgres.start();
    await sql(postgres.url(), "insert into kept values (1)");
    const exit = new Promise<PostgresExit>((resolve) => postgres.onExit(resolve));
    process.kill(postgres.pid ?? 0, "SIGKILL");
    expect((await exit).signal).toBe("SIGKILL");
    await postgres.start();
    expect(await sql(postgres.url(), "select n from kept")).toEqual([{ n: 1 }]);
  });

  test("gives its owner a database and no superuser, and carries the id", async () => {
    const at = copied("owner");
    const postgres = server(at);
    await postgres.start();
    const rows = await sql(
      postgres.url(),
      `select r.rolsuper, pg_get_userbyid(d.datdba) as owner, shobj_description(d.oid, 'pg_database') as comment,
              current_setting('fsync') as fsync, current_setting('data_checksums') as checksums,
              current_setting('listen_addresses') as listen
       from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()`,
    );
    expect(rows).toEqual([
      {
        rolsuper: false,
        owner: "trace",
        comment: `trace ${id}`,
        fsync: "on",
        checksums: "on",
        listen: "127.0.0.1",
      },
    ]);
    const socketFolder = readFileSync(join(at.folder, "data", "postmaster.pid"), "utf8").split("\n")[4];
    expect(socketFolder).toBe("");
  });

  test("refuses a wrong password and any login of the bootstrap superuser", async () => {
    const postgres = server(copied("attack"));
    await postgres.start();
    const address = postgres.address();
    const urls = [`trace:wrong-password-here`, `trace_admin:${password}`, "trace_admin"].map(
      (who) => `postgres://${who}@127.0.0.1:${address.port}/${address.database}`,
    );
    for (const url of urls) await expect(sql(url, "select 1")).rejects.toThrow();
  });

  test("takes a changed password at its next start, and then only that", async () => {
    const at = copied("password");
    const next = "another-horse-battery";
    const postgres = server(at, { password: next });
    await postgres.start();
    expect(await sql(postgres.url(), "select 1 as one")).toEqual([{ one: 1 }]);
    await expect(sql(postgres.url().replace(next, password), "select 1")).rejects.toThrow();
  });

  test("never shows a password on a command line, in its files or in its log", async () => {
    const at = copied("secrets");
    const postgres = server(at);
    await postgres.start();
    await postgres.stop();
    const logs = readFileSync(join(at.stateDir, "logs", "postgres-state.log"), "utf8");
    expect(logs).toContain("ready to accept connections");
    for (const text of [
      logs,
      ...["trace.json", "postgresql.conf", "pg_hba.conf"].map((file) => readFileSync(join(at.folder, file), "utf8")),
    ]) {
      expect(text).not.toContain(password);
    }
  });

  test("is made anew when a crash left a half cluster", async () => {
    const at = withPrograms("half");
    mkdirSync(join(`${at.folder}.new`, "data"), { recursive: true });
    writeFileSync(join(`${at.folder}.new`, "data", "PG_VERSION"), "18\n");
    const postgres = server(at);
    await postgres.start();
    expect(existsSync(`${at.folder}.new`)).toBe(false);
    expect(existsSync(join(at.folder, "trace.json"))).toBe(true);
  });

  test("starts where the pid file names a living process that is no Postgres of this folder", async () => {
    const at = copied("reused");
    writeFileSync(
      join(at.folder, "data", "postmaster.pid"),
      `${process.pid}\n${join(at.folder, "data")}\n0\n1\n\n\n0 0\nready   \n`,
    );
    const postgres = server(at);
    await postgres.start();
    expect(postgres.pid).not.toBe(process.pid);
  });
});

describe("what is refused before the server is touched", () => {
  test("databases of another state folder", async () => {
    const at = outline("foreign-id");
    const note = join(at.folder, "trace.json");
    writeFileSync(note, readFileSync(note, "utf8").replace(id, "zzzzzzzzzzzzzzzzzzzz"));
    await expect(server(at).start()).rejects.toMatchObject({ code: "TR-6003" });
  });

  test("data of another major version", async () => {
    const at = outline("version");
    writeFileSync(join(at.folder, "data", "PG_VERSION"), "17\n");
    await expect(server(at).start()).rejects.toMatchObject({ code: "TR-6014" });
  });

  test("a folder that holds something else", async () => {
    const at = outline("foreign");
    rmSync(join(at.folder, "data"), { recursive: true });
    writeFileSync(join(at.folder, "holiday.jpg"), "");
    await expect(server(at).start()).rejects.toMatchObject({ code: "TR-6015" });
    expect(existsSync(join(at.folder, "holiday.jpg"))).toBe(true);
  });

  test("a data folder that was swapped for another cluster's", async () => {
    const at = outline("swapped");
    const note = join(at.folder, "trace.json");
    writeFileSync(note, readFileSync(note, "utf8").replace(/"systemIdentifier": "\d+"/, '"systemIdentifier": "1"'));
    await expect(server(at).start()).rejects.toMatchObject({ code: "TR-6015" });
  });

  test("a port that somebody has", async () => {
    const at = outline("port");
    const other = createServer().listen(port, "127.0.0.1");
    await once(other, "listening");
    try {
      await expect(server(at).start()).rejects.toMatchObject({ code: "TR-6013" });
    } finally {
      other.close();
    }
  });

  test("a setting that the server does not take, with its words", async () => {
    const at = outline("setting");
    const postgres = new EmbeddedPostgres({
      name: "state",
      stateDir: at.stateDir,
      id,
      port,
      roles: [{ name: "trace", password }],
      settings: { shared_buffers: "not-a-size" },
      log,
      rootFolder: at.rootFolder,
    });
    await expect(postgres.start()).rejects.toMatchObject({
      code: "TR-6012",
      why: expect.stringContaining("shared_buffers"),
    });
  });

  test.runIf(process.getuid?.() === 0)("as root, a copied state folder while the original exists", async () => {
    const at = outline("original");
    writeFileSync(join(at.stateDir, "id"), `${id}\n`);
    writeFileSync(join(dirname(at.folder), "owner.json"), JSON.stringify({ stateDir: realpathSync(at.stateDir) }));
    const copy = join(root, "copy ü", ".trace");
    cpSync(at.stateDir, copy, { recursive: true });
    const twin = server({ ...at, stateDir: copy });
    await expect(twin.start()).rejects.toMatchObject({
      code: "TR-6003",
      message: expect.stringContaining(at.stateDir),
    });
  });
});

describe("after our own kill -9", () => {
  const fixture = fileURLToPath(new URL("../fixtures/postgres-holder.ts", import.meta.url));

  async function hold(dir: string, rootFolder: string): Promise<{ holder: ChildProcess; pid: number }> {
    const holder = fork(fixture, [dir, rootFolder], { execArgv: [] });
    const ended = once(holder, "exit").then(([code]) => Promise.reject(new Error(`the holder ended with ${code}`)));
    const [message] = (await Promise.race([once(holder, "message"), ended])) as [{ pid: number }];
    ended.catch(() => undefined); // it is killed later, on purpose
    return { holder, pid: message.pid };
  }

  /** A stopped cluster with the state folder that goes with it. */
  function stack(name: string): Place {
    const at = copied(name);
    mkdirSync(join(at.stateDir, "secrets"), { mode: 0o700 });
    writeFileSync(join(at.stateDir, "id"), `${id}\n`);
    writeFileSync(join(at.stateDir, "secrets", "postgres-state"), password);
    return at;
  }

  test("the watcher stops the server", async () => {
    const at = stack("watched");
    const { holder } = await hold(at.stateDir, at.rootFolder);
    const data = join(at.folder, "data");
    expect(processesIn(data).length).toBeGreaterThan(1);
    holder.kill("SIGKILL");
    try {
      expect(await waitUntilEmpty(data, 10_000)).toBe(true);
    } finally {
      await killAllIn(data);
    }
  });

  test("a server that lives on all the same is stopped by the next start, at once", async () => {
    const at = stack("orphan");
    const { holder, pid } = await hold(at.stateDir, at.rootFolder);
    const data = join(at.folder, "data");
    process.kill(pid, "SIGSTOP"); // it cannot answer the watcher
    holder.kill("SIGKILL");
    await once(holder, "exit");
    process.kill(pid, "SIGCONT");
    const next = await hold(at.stateDir, at.rootFolder);
    try {
      expect(next.pid).not.toBe(pid);
      expect(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]).toBe(String(next.pid));
    } finally {
      next.holder.kill("SIGKILL");
      await waitUntilEmpty(data, 10_000);
      await killAllIn(data);
    }
  });
});
