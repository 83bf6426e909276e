/**
 * The script that brings Debian's packages: with what they depend on, unpacked once, and said why where they cannot be had.
 * Programs of the machine are played by scripts, so that no network and no root is needed.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = join(import.meta.dirname, "../../tools/oracles/debian.sh");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trace-debian-"));
  mkdirSync(join(folder, "bin"));
  mkdirSync(join(folder, "checkout/tools/oracles"), { recursive: true });
  copyFileSync(script, join(folder, "checkout/tools/oracles/debian.sh"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program of this name, found before the machine's own. */
function play(name: string, does: string): void {
  writeFileSync(join(folder, "bin", name), `#!/bin/bash\n${does}\n`);
  chmodSync(join(folder, "bin", name), 0o755);
}

/** apt that downloads what it is asked for, and would install one package more; dpkg that unpacks a file named after each. */
function playDebian(download = 'touch "$p.deb"'): void {
  play(
    "apt-get",
    `echo "$*" >>"${folder}/asked"
case "$*" in
*-s*) for p in "\${@: -1}" libneeded libc6; do echo "Inst $p (1.0 Debian)"; done ;;
*download*) seen=; for p in "$@"; do [ -n "$seen" ] && ${download}; [ "$p" = download ] && seen=1; done ;;
esac
true`,
  );
  play("dpkg", `mkdir -p "$3/usr/share/doc"; basename "$2" .deb >"$3/$(basename "$2" .deb)"`);
}

const brought = () => join(folder, "checkout/.cache/oracles/tools");
const asked = () =>
  existsSync(join(folder, "asked")) ? readFileSync(join(folder, "asked"), "utf8").trim().split("\n") : [];

function bring(...packages: readonly string[]) {
  const args = [join(folder, "checkout/tools/oracles/debian.sh"), "tools", ...packages];
  const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env.PATH}` };
  const ended = spawnSync("bash", args, { encoding: "utf8", env });
  return { exit: ended.status, out: ended.stdout, error: ended.stderr };
}

test("packages are unpacked with what they need and this machine has not, but not another C library, once", () => {
  playDebian();
  for (let times = 0; times < 2; times += 1) {
    expect(bring("one", "two")).toMatchObject({ exit: 0, out: `${brought()}\n` });
  }
  expect(readdirSync(brought()).sort()).toEqual([".packages", "libneeded", "one", "two", "usr"]);
  expect(asked().filter((call) => call.includes("download"))).toHaveLength(1);
});

test("other packages under the same name are brought anew", () => {
  playDebian();
  bring("one");
  expect(bring("one", "two").exit).toBe(0);
  expect(existsSync(join(brought(), "two"))).toBe(true);
});

test("a folder that was left half is not taken for one", () => {
  playDebian();
  mkdirSync(join(brought(), "usr"), { recursive: true });
  expect(bring("one").exit).toBe(0);
  expect(existsSync(join(brought(), "one"))).toBe(true);
});

test("root renews the lists when they do not name a package", () => {
  play("id", "echo 0");
  playDebian(`{ [ -e "${folder}/listed" ] && touch "$p.deb" || exit 100; }`);
  const apt = readFileSync(join(folder, "bin/apt-get"), "utf8");
  writeFileSync(
    join(folder, "bin/apt-get"),
    apt.replace('case "$*" in', `case "$*" in\n*update*) touch "${folder}/listed" ;;`),
  );
  expect(bring("one")).toMatchObject({ exit: 0, out: `${brought()}\n` });
});

test.each<[string, string, string]>([
  ["an ordinary user is told what root must do", "1000", "as root: apt-get update"],
  ["root is told what apt said", "0", "Unable to locate package one"],
])("where they cannot be had, %s, and nothing is left behind", (_, id, said) => {
  play("id", `echo ${id}`);
  playDebian("{ echo 'E: Unable to locate package one'; exit 100; }");
  const { exit, out, error } = bring("one");
  expect({ exit, out }).toEqual({ exit: 1, out: "" });
  expect(error).toContain(said);
  expect(readdirSync(join(folder, "checkout/.cache/oracles"))).toEqual([]);
});

test("a package that cannot be unpacked leaves nothing behind", () => {
  playDebian();
  play("dpkg", "exit 2");
  const { exit, error } = bring("one");
  expect(exit).toBe(1);
  expect(error).toContain("cannot be unpacked");
  expect(readdirSync(join(folder, "checkout/.cache/oracles"))).toEqual([]);
});

test("without packages it says how it is called", () => {
  expect(bring()).toMatchObject({ exit: 2, out: "" });
});
