/** What the stack costs on this machine: memory of processes, bytes on disk. For the report of the first run. */

import { lstatSync, readdirSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Parent of each process, from /proc/<pid>/stat: the name in parentheses may hold anything, so it is cut at the last one. */
async function parents(): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = await readFile(`/proc/${entry}/stat`, "utf8");
      found.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

function withDescendants(pids: readonly number[], parentOf: ReadonlyMap<number, number>): Set<number> {
  const all = new Set(pids);
  for (let before = -1; before !== all.size; ) {
    before = all.size;
    for (const [pid, parent] of parentOf) if (all.has(parent)) all.add(pid);
  }
  return all;
}

/**
 * Proportional set size in bytes of processes and their descendants: memory shared by several counts once in the sum
 * (proc_pid_smaps_rollup(5)). Undefined where the system does not tell (not Linux). Processes that end meanwhile, or
 * that we may not look at, count nothing.
 */
export async function pssOf(pids: readonly number[]): Promise<number | undefined> {
  if (process.platform !== "linux") return undefined;
  let bytes = 0;
  for (const pid of withDescendants(pids, await parents())) {
    try {
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
      bytes += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return bytes;
}

/**
 * Bytes that folders and files take on disk, as `du` counts: blocks, each inode once, links not followed. A path that
 * does not exist counts nothing.
 */
export function diskUsage(paths: readonly string[]): number {
  const seen = new Set<string>();
  let bytes = 0;
  const visit = (path: string) => {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    const inode = `${stat.dev}:${stat.ino}`;
    if (seen.has(inode)) return;
    seen.add(inode);
    bytes += stat.blocks * 512;
    if (!stat.isDirectory()) return;
    for (const name of listing(path)) visit(join(path, name));
  };
  for (const path of paths) visit(path);
  return bytes;
}

function listing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES") return []; // removed meanwhile, or not ours to look into
    throw error;
  }
}
