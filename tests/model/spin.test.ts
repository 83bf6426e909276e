/**
 * The script that brings Spin: it takes the one that is there, fetches Debian's package once where there is none, and says
 * what to install where it cannot. Programs of the machine are played by scripts, so that no network and no root is needed.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = join(import.meta.dirname, "../../tools/oracles/spin.sh");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-spin-"));
  mkdirSync(join(folder, "bin"));
  mkdirSync(join(folder, "checkout/tools/oracles"), { recursive: true });
  copyFileSync(script, join(folder, "checkout/tools/oracles/spin.sh"));
  play("gcc", "exit 0");
  // Whatever the machine has is not meant.
  play("spin", "echo this is another program");
  play("apt-get", "echo 'E: Unable to locate package spin'; exit 100");
  play("dpkg", "exit 1");
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program of this name, found before the machine's own. */
function play(name: string, does: string): void {
  writeFileSync(join(folder, "bin", name), `#!/bin/bash\n${does}\n`);
  chmodSync(join(folder, "bin", name), 0o755);
}

const isSpin = (version: string) => `echo "Spin Version ${version} -- 6 December 2019"`;
const unpacked = () => join(folder, "checkout/.cache/oracles/spin/usr/bin/spin");

/** apt that downloads, and tells in a file what it was asked for; dpkg that unpacks a Spin. */
function playDebian(version: string): void {
  play("apt-get", `echo "$*" >>"${folder}/asked"; case "$*" in *download*) touch spin_6_amd64.deb ;; esac`);
  const spin = `printf '#!/bin/bash\\n%s\\n' '${isSpin(version)}' >"$3/usr/bin/spin"`;
  play("dpkg", `mkdir -p "$3/usr/bin"; ${spin}; chmod +x "$3/usr/bin/spin"`);
}

function asked(): string[] {
  const path = join(folder, "asked");
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
}

function bring() {
  const path = `${join(folder, "bin")}:${process.env.PATH}`;
  const ended = spawnSync("bash", [join(folder, "checkout/tools/oracles/spin.sh")], {
    encoding: "utf8",
    env: { ...process.env, PATH: path },
  });
  return { exit: ended.status, out: ended.stdout, error: ended.stderr };
}

test("a Spin on the PATH is taken, and nothing is fetched", () => {
  playDebian("6.5.2");
  play("spin", isSpin("6.5.1"));
  expect(bring()).toMatchObject({ exit: 0, out: `${join(folder, "bin/spin")}\n` });
  expect(asked()).toEqual([]);
});

test.each([
  ["another program of its name", "echo this is another program"],
  ["a Spin that is too old", isSpin("6.4.9")],
  ["one that does not start", "exit 127"],
])("instead of %s, Debian's package is unpacked, once", (_, does) => {
  playDebian("6.5.2");
  play("spin", does);
  expect(bring()).toMatchObject({ exit: 0, out: `${unpacked()}\n` });
  expect(bring()).toMatchObject({ exit: 0, out: `${unpacked()}\n` });
  expect(asked().filter((call) => call.includes("download"))).toHaveLength(1);
});

test("an ordinary user downloads as well, and is told what root must do where the lists are missing", () => {
  play("id", "echo 1000");
  playDebian("6.5.2");
  expect(bring().exit).toBe(0);
  expect(asked()).toEqual(["-q download spin"]);

  rmSync(join(folder, "checkout/.cache"), { recursive: true });
  play("apt-get", "echo 'E: Unable to locate package spin'; exit 100");
  const { exit, out, error } = bring();
  expect({ exit, out }).toEqual({ exit: 1, out: "" });
  expect(error).toContain("Unable to locate package spin");
  expect(error).toContain("apt-get update");
});

test("root renews the lists when they do not name the package", () => {
  play("id", "echo 0");
  playDebian("6.5.2");
  const listed = join(folder, "listed");
  play(
    "apt-get",
    `case "$*" in *update*) touch "${listed}" ;; *) [ -e "${listed}" ] || exit 100; touch spin_6_amd64.deb ;; esac`,
  );
  expect(bring()).toMatchObject({ exit: 0, out: `${unpacked()}\n` });
});

test("a package that does not hold a Spin that runs leaves nothing behind", () => {
  playDebian("5.0.0");
  const { exit, error } = bring();
  expect(exit).toBe(1);
  expect(error).toContain("does not run, or is older");
  expect(existsSync(unpacked())).toBe(false);
});

test("without a C compiler it says what to install", () => {
  playDebian("6.5.2");
  play("gcc", "exit 1");
  const { exit, error } = bring();
  expect(exit).toBe(1);
  expect(error).toContain("apt-get install -y gcc libc6-dev");
});
