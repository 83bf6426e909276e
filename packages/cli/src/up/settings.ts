/**
 * What a stack may read, and from where: given by flags, else by the environment, else as the last time. Kept in the state
 * folder, so that `trace up` after `npm start` still finds the example's files.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { TraceError } from "@trace/contracts";
import { ConfigReader, type Environment } from "@trace/kit";

export interface StackSettings {
  /** Folders that `ingest` may read files from, absolute. */
  readonly roots: readonly string[];
  /** host:port that outgoing HTTP of operators may reach although it is not public. */
  readonly allow: readonly string[];
}

const fileName = "settings.json";

function kept(dir: string): StackSettings {
  const path = join(dir, fileName);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { roots: [], allow: [] };
    throw damaged(path, String(error));
  }
  try {
    const { roots, allow } = JSON.parse(text) as Partial<Record<string, unknown>>;
    if (isTexts(roots) && isTexts(allow)) return { roots, allow };
  } catch {
    // Named below, as any other wrong content.
  }
  throw damaged(path, "it should hold the lists 'roots' and 'allow'");
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function damaged(path: string, why: string): TraceError {
  return new TraceError("TR-6004", {
    detail: "a file of the state folder is damaged",
    where: path,
    why,
    fix: `remove it and name the folders again: rm '${path}', then 'trace up --root FOLDER'`,
  });
}

/** Flags win over the environment (TRACE_FILE_ROOTS, TRACE_GUARD_ALLOW), which wins over what was kept. Throws TR-1011, TR-6004. */
export function settingsOf(
  dir: string,
  given: { roots: readonly string[] | undefined; allow: readonly string[] | undefined },
  env: Environment,
  cwd: string,
): StackSettings {
  const read = new ConfigReader(env);
  const named = {
    roots: given.roots ?? (env.TRACE_FILE_ROOTS === undefined ? undefined : read.list("TRACE_FILE_ROOTS")),
    allow: given.allow ?? (env.TRACE_GUARD_ALLOW === undefined ? undefined : read.list("TRACE_GUARD_ALLOW")),
  };
  read.done("stack");
  const last = named.roots === undefined || named.allow === undefined ? kept(dir) : undefined;
  return {
    roots: (named.roots ?? last?.roots ?? []).map((root) => (isAbsolute(root) ? root : resolve(cwd, root))),
    allow: named.allow ?? last?.allow ?? [],
  };
}

/** Call it while holding the folder. */
export function keepSettings(dir: string, settings: StackSettings): void {
  const path = join(dir, fileName);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}
