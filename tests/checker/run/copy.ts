/** A copy of the packages in which one line can be broken: the checkout itself is never touched. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const checkout = join(import.meta.dirname, "..", "..", "..");
const scope = "@trace";

export class PackagesCopy {
  readonly dir = mkdtempSync(join(tmpdir(), "trace-checker-copy-"));

  /** Everything that is installed is linked to; our own packages are those of the copy. */
  constructor() {
    const packages = join(checkout, "packages");
    const modules = join(this.dir, "node_modules");
    mkdirSync(join(modules, scope), { recursive: true });
    for (const name of readdirSync(join(checkout, "node_modules"))) {
      if (name !== scope) symlinkSync(join(checkout, "node_modules", name), join(modules, name));
    }
    for (const name of readdirSync(packages)) {
      const to = join(this.dir, "packages", name);
      const from = join(packages, name);
      cpSync(join(from, "package.json"), join(to, "package.json"), { recursive: true });
      cpSync(join(from, "src"), join(to, "src"), { recursive: true });
      if (existsSync(join(from, "node_modules"))) symlinkSync(join(from, "node_modules"), join(to, "node_modules"));
      symlinkSync(to, join(modules, scope, name));
    }
  }

  /** The program of the roles in the copy. */
  get mainFile(): string {
    return join(this.dir, "packages", "cli", "src", "main.ts");
  }

  /** Replaces a text that must be there exactly once, on one line. */
  replaceOnce(file: string, text: string, by: string): void {
    const path = join(this.dir, file);
    const before = readFileSync(path, "utf8");
    const times = before.split(text).length - 1;
    if (times !== 1)
      throw new Error(`${file} has '${text}' ${times} times, not once: what breaks the fence must be found anew`);
    writeFileSync(
      path,
      before.replace(text, () => by),
    );
  }

  /** A file of its own in the copy. */
  write(file: string, text: string): void {
    writeFileSync(join(this.dir, file), text);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
