import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { isGone, ownPlace, ownStart } from "./owner.ts";

/** An id that no process has: above the kernel's largest. */
const noPid = 4_194_999;
const proc = existsSync("/proc/self/stat");
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Starts a process and answers its first line of output. */
async function start(command: string, args: readonly string[]): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const [said] = await once(child.stdout, "data");
  return { child, said: String(said).trim() };
}

describe("whether a process is gone", () => {
  it("is not said of one that runs, nor of one that is stopped", async () => {
    expect(await isGone(process.pid, await ownStart())).toBe(false);
    const { child } = await start("sh", ["-c", "echo up; exec sleep 600"]);
    child.kill("SIGSTOP");
    expect(await isGone(child.pid ?? noPid, "0")).toBe(false);
  });

  it("is said of one that ended, and of one whose id another process has now", async () => {
    const { child } = await start("sh", ["-c", "echo up; exec sleep 600"]);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await isGone(child.pid ?? process.pid, "0")).toBe(true);
    expect(await isGone(noPid, "123")).toBe(true);
    if (proc) expect(await isGone(process.pid, "1")).toBe(true);
  });

  it("is not said of one that may not be asked", async () => {
    // The first process of the machine or container: another user's for anybody but root, and no start is known of it.
    expect(await isGone(1, "0")).toBe(false);
  });

  it.runIf(proc)("is said of a zombie, which runs no more although its id is taken", async () => {
    // `sleep` never looks after the child of the shell that it replaces; the child ends when its input does.
    const script = "exec 3<&0; cat <&3 >/dev/null & echo $!; exec sleep 600";
    const { child, said } = await start("sh", ["-c", script]);
    const stat = (pid: number | string | undefined) => readFile(`/proc/${pid}/stat`, "utf8");
    const patience = { timeout: 10_000, interval: 10 };
    await vi.waitFor(async () => expect(await stat(child.pid)).toContain("(sleep)"), patience);
    expect(await isGone(Number(said), "0")).toBe(false);
    child.stdin?.end();
    await vi.waitFor(async () => expect(await stat(said)).toContain(") Z "), patience);
    expect(await isGone(Number(said), "0")).toBe(true);
  });
});

it("tells one boot and one namespace of process ids from others", async () => {
  expect(await ownPlace()).toBe(await ownPlace());
  if (proc) expect(await ownPlace()).toMatch(/^[0-9a-f-]{36} pid:\[\d+\]$/);
});
