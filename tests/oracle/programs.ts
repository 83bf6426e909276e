/** Programs of other people: brought from Debian's packages by script, run without anything of this machine's set-up. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { NotHere } from "./checks.ts";
import { bringMaxMs, commandMaxMs, outputBytesMax } from "./limits.ts";

const root = join(import.meta.dirname, "../..");

export interface Ran {
  readonly exit: number | string;
  readonly out: string;
  readonly errors: string;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** Never throws for what the program does: its exit, or the signal that ended it, is part of the answer. */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return new Promise((resolve) => {
    const { env, cwd, timeoutMs = commandMaxMs } = options;
    execFile(
      command,
      args,
      { env, ...(cwd === undefined ? {} : { cwd }), timeout: timeoutMs, maxBuffer: outputBytesMax },
      (error, out, errors) => resolve({ exit: error === null ? 0 : (error.code ?? error.signal ?? 1), out, errors }),
    );
  });
}

/** The folder with these packages unpacked. Throws NotHere with what the script says. */
export async function bring(name: string, packages: readonly string[]): Promise<string> {
  const script = join(root, "tools/oracles/debian.sh");
  const env = { PATH: process.env.PATH ?? "" };
  const { exit, out, errors } = await run(script, [name, ...packages], { env, timeoutMs: bringMaxMs });
  if (exit !== 0) throw new NotHere(errors.trim() || `debian.sh ended with ${exit}`);
  return out.trim();
}

/** What a program in such a folder needs to find its own libraries; of this process's environment only the path. */
export function environmentOf(folder: string, work: string): Record<string, string> {
  const bin = ["usr/bin", "usr/sbin"].map((part) => join(folder, part));
  return {
    PATH: [...bin, "/usr/bin", "/bin"].join(":"),
    HOME: work,
    TMPDIR: work,
    LANG: "C.UTF-8",
    PYTHONPATH: join(folder, "usr/lib/python3/dist-packages"),
    PYTHONDONTWRITEBYTECODE: "1",
    LD_LIBRARY_PATH: libraryFolders(folder).join(":"),
  };
}

function libraryFolders(folder: string): string[] {
  const found = new Set<string>();
  for (const part of ["lib", "usr/lib"]) {
    if (!existsSync(join(folder, part))) continue;
    for (const entry of readdirSync(join(folder, part), { recursive: true, withFileTypes: true })) {
      if (/\.so(\.|$)/.test(entry.name) && !entry.parentPath.includes("python")) found.add(entry.parentPath);
    }
  }
  return [...found].sort();
}
