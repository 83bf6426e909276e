/** Finds the state folder of the stack that a command means. It only looks: making one is the business of `trace up`. */
import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Environment } from "@trace/kit";

export const stateFolderName = ".trace";

export interface StateFolderFound {
  /** Absolute; it may not exist yet. */
  readonly dir: string;
  readonly exists: boolean;
  readonly from: "--state" | "TRACE_STATE" | "found" | "default";
}

function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** `--state`, else TRACE_STATE, else the nearest `.trace` upward from `cwd`, else `./.trace`. */
export function findStateFolder(parts: { flag: string | undefined; env: Environment; cwd: string }): StateFolderFound {
  const named = (dir: string, from: StateFolderFound["from"]): StateFolderFound => {
    const absolute = resolve(parts.cwd, dir);
    return { dir: absolute, exists: isFolder(absolute), from };
  };
  if (parts.flag !== undefined && parts.flag !== "") return named(parts.flag, "--state");
  if (parts.env.TRACE_STATE) return named(parts.env.TRACE_STATE, "TRACE_STATE");
  for (let at = resolve(parts.cwd); ; at = dirname(at)) {
    const candidate = join(at, stateFolderName);
    if (isFolder(candidate)) return { dir: candidate, exists: true, from: "found" };
    if (dirname(at) === at) return named(stateFolderName, "default");
  }
}
