import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findHolder, LogFile, readSecret, StateFolder } from "./index.ts";
import { tryPort } from "./ports.ts";

let root: string;
let dir: string;
const open: StateFolder[] = [];
const children: ChildProcess[] = [];
const servers: Server[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "trace-state-"));
  dir = join(root, "ü x", ".trace");
});

afterEach(async () => {
  for (const folder of open.splice(0)) await folder.close();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const server of servers.splice(0)) server.close();
  rmSync(root, { recursive: true, force: true });
});

async function openFolder(path = dir): Promise<StateFolder> {
  const folder = await StateFolder.open({ dir: path, command: "trace up" });
  open.push(folder);
  return folder;
}

async function listen(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
}

/** Another process that holds the folder. */
async function holdElsewhere(): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL("../fixtures/folder-holder.ts", import.meta.url)), [dir], { execArgv: [] });
  children.push(child);
  const [message] = (await once(child, "message")) as [string];
  expect(message).toBe("held");
  return child;
}

describe("the hold", () => {
  test("is refused to a second one, who is told who holds it", async () => {
    const child = await holdElsewhere();
    const refused = openFolder();
    await expect(refused).rejects.toMatchObject({
      code: "TR-6001",
      message: expect.stringContaining(`process ${child.pid}`),
    });
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining("http://127.0.0.1:1/") });
    expect(await findHolder(dir)).toMatchObject({ pid: child.pid, command: "holder fixture" });
  });

  test("is free at once when its holder was killed, and the next one knows", async () => {
    const child = await holdElsewhere();
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await findHolder(dir)).toBeUndefined();
    const folder = await openFolder();
    expect(folder.endedCleanly).toBe(false);
    await folder.close();
    expect((await openFolder()).endedCleanly).toBe(true);
  });

  test("goes to one of many that ask at the same time", async () => {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => openFolder()));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "TR-6001" });
    }
  });

  test("is of the folder, whatever path leads to it", async () => {
    await openFolder();
    symlinkSync(dir, join(root, "link"));
    await expect(openFolder(join(root, "link"))).rejects.toMatchObject({ code: "TR-6001" });
  });

  test("of one folder leaves another alone", async () => {
    const first = await openFolder();
    const second = await openFolder(join(root, "other"));
    expect(second.id).not.toBe(first.id);
  });
});

describe("the folder", () => {
  test("is for its owner alone, even where it was open before", async () => {
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o755);
    const folder = await openFolder();
    folder.secret("worker-token");
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, "secrets", "worker-token")).mode & 0o777).toBe(0o600);
    expect(statSync(join(dir, "id")).mode & 0o777).toBe(0o600);
  });

  test("keeps id, secrets and ports", async () => {
    const first = await openFolder();
    const kept = [first.id, first.secret("a"), await first.port("s3", 0)];
    await first.close();
    const second = await openFolder();
    expect([second.id, second.secret("a"), await second.port("s3", 0)]).toEqual(kept);
    expect(readSecret(dir, "a")).toBe(kept[1]);
    expect(kept[1]).toMatch(/^[\w-]{43}$/);
    expect(second.secret("b")).not.toBe(kept[1]);
  });

  test("leaves no unfinished file behind, not even that of a crash before", async () => {
    await (await openFolder()).close();
    writeFileSync(join(dir, "secrets", "a.tmp"), "half");
    const folder = await openFolder();
    folder.secret("a");
    expect(readdirSync(join(dir, "secrets"))).toEqual(["a"]);
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test.each(["../id", "a/b", "", "A", ".hidden"])("refuses the secret name %j", async (name) => {
    const folder = await openFolder();
    expect(() => folder.secret(name)).toThrow(RangeError);
    expect(() => readSecret(dir, name)).toThrow(RangeError);
  });

  test("says which file is damaged", async () => {
    const folder = await openFolder();
    await folder.close();
    writeFileSync(join(dir, "ports.json"), "{ not json");
    await expect(openFolder()).rejects.toMatchObject({ code: "TR-6004", where: join(dir, "ports.json") });
    writeFileSync(join(dir, "ports.json"), '{"s3": 99999}');
    await expect(openFolder()).rejects.toMatchObject({ code: "TR-6004" });
    rmSync(join(dir, "ports.json"));
    writeFileSync(join(dir, "id"), "");
    await expect(openFolder()).rejects.toMatchObject({ code: "TR-6004", where: join(dir, "id") });
    expect(await findHolder(dir)).toBeUndefined();
  });

  test("refuses a path that is a file", async () => {
    writeFileSync(join(root, "file"), "");
    await expect(openFolder(join(root, "file"))).rejects.toMatchObject({ code: "TR-6002" });
  });
});

describe("a port", () => {
  test("is the preferred one when that is free, and stays", async () => {
    const free = (await tryPort(0)) ?? 0;
    const folder = await openFolder();
    expect(await folder.port("api", free)).toBe(free);
    expect(JSON.parse(readFileSync(join(dir, "ports.json"), "utf8"))).toEqual({ api: free });
    await folder.close();
    expect(await (await openFolder()).port("api", 0)).toBe(free);
  });

  test("is another when somebody has it", async () => {
    const taken = (await tryPort(0)) ?? 0;
    const folder = await openFolder();
    await folder.port("api", taken);
    await folder.close();
    await listen(taken);
    const port = await (await openFolder()).port("api", taken);
    expect(port).not.toBe(taken);
    expect(JSON.parse(readFileSync(join(dir, "ports.json"), "utf8"))).toEqual({ api: port });
  });

  test("is never given twice, though asked at the same time", async () => {
    const free = (await tryPort(0)) ?? 0;
    const folder = await openFolder();
    const ports = await Promise.all(["a", "b", "c", "d"].map((name) => folder.port(name, free)));
    expect(new Set(ports).size).toBe(4);
    expect(ports[0]).toBe(free);
  });

  test("is waited for after a kill, while the old process goes away", async () => {
    const folder = await openFolder();
    const port = await folder.port("api", 0);
    await folder.close();
    writeFileSync(join(dir, "running"), "1\n"); // what a killed run leaves
    await listen(port);
    const again = (await openFolder()).port("api", 0);
    servers.splice(0).forEach((server) => void server.close());
    expect(await again).toBe(port);
  });
});

describe("a log file", () => {
  test("is rotated by size and bounded in number", () => {
    const path = join(root, "worker.log");
    const log = new LogFile({ path, bytesMax: 30, filesMax: 3 });
    for (let line = 0; line < 20; line++) log.write(`line ${line} 123456`);
    log.close();
    expect(readdirSync(root).sort()).toEqual(["worker.log", "worker.log.1", "worker.log.2"]);
    expect(readFileSync(path, "utf8")).toContain("line 19");
    for (const name of readdirSync(root)) expect(statSync(join(root, name)).size).toBeLessThanOrEqual(30);
  });

  test("tells once that it cannot be written, and goes on", () => {
    const failures: unknown[] = [];
    const log = new LogFile({ path: join(root, "missing", "x.log"), onFailure: (error) => failures.push(error) });
    log.write("one");
    log.write("two");
    expect(failures).toHaveLength(1);
    mkdirSync(join(root, "missing"));
    log.write("three");
    log.close();
    expect(readFileSync(join(root, "missing", "x.log"), "utf8")).toBe("three\n");
  });
});
