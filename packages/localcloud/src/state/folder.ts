/**
 * The state folder (`.trace/`): what a stack keeps between two runs, for one user and one stack at a time.
 *
 *   id           random, names this stack's databases
 *   secrets/     one file a secret, readable by the owner alone
 *   ports.json   service -> port
 *   logs/        one file a role, rotated
 *   running      there while a stack runs: found at the start, it tells of an unclean end
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  type Stats,
} from "node:fs";
import { join, resolve } from "node:path";
import { TraceError } from "@trace/contracts";
import { type Clock, systemClock } from "@trace/kit";
import { createOnce, writeAtomic } from "./files.ts";
import { type Hold, type Holder, takeHold } from "./hold.ts";
import { stateLimits } from "./limits.ts";
import { choosePort, tryPort } from "./ports.ts";

export interface StateFolderOptions {
  readonly dir: string;
  /** What others are told that holds the folder, such as `trace up`. Carries no secret. */
  readonly command: string;
  readonly clock?: Clock | undefined;
}

function unusable(dir: string, why: string, fix: string, cause?: unknown): TraceError {
  return new TraceError("TR-6002", { detail: "The state folder cannot be used.", where: dir, why, fix, cause });
}

function damaged(path: string, why: string): TraceError {
  return new TraceError("TR-6004", {
    detail: "A file of the state folder is damaged.",
    where: path,
    why,
    fix: `Put it back from a backup; for ports.json or one file of secrets/, remove it and start again: \`rm '${path}'\`.`,
  });
}

/** Creates the folder, 0700, or checks that it is ours. */
function prepareFolder(dir: string): void {
  let found: Stats | undefined;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    found = lstatSync(realpathSync(dir));
  } catch (cause) {
    const file = ["EEXIST", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "");
    if (file) throw unusable(dir, "It, or a part of its path, is a file and no folder.", "Name a folder.", cause);
    throw unusable(dir, String(cause), "Make its parent writable for you, or name another state folder.", cause);
  }
  if (!found.isDirectory()) throw unusable(dir, "It is a file and no folder.", "Name a folder.");
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) {
    const fix = `Run as that user, or name another state folder; to hand it over: \`chown -R ${uid} '${dir}'\`.`;
    throw unusable(dir, `It belongs to user ${found.uid}, and this is user ${uid}.`, fix);
  }
  if ((found.mode & 0o077) !== 0) chmodSync(dir, 0o700);
}

/** 20 lower-case letters and digits: 100 bits, fit for a path and a comment in SQL. */
function newId(): string {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  return [...randomBytes(20)].map((byte) => alphabet[byte % 32]).join("");
}

const secretName = /^[a-z][a-z0-9-]{0,62}$/;

function secretPath(dir: string, name: string): string {
  if (!secretName.test(name)) throw new RangeError(`not a name for a secret: ${name}`);
  return join(dir, "secrets", name);
}

/** Reads a secret of a folder that somebody else may hold (the CLI's token, say); undefined when there is none. */
export function readSecret(dir: string, name: string): string | undefined {
  const path = secretPath(dir, name);
  if (!existsSync(path)) return undefined;
  const value = readFileSync(path, "utf8");
  if (value === "") throw damaged(path, "It is empty.");
  return value;
}

function readPorts(path: string): Record<string, number> {
  if (!existsSync(path)) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw damaged(path, `It is no JSON: ${String(error)}`);
  }
  const isPort = (value: unknown) => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
  if (typeof parsed !== "object" || parsed === null || !Object.values(parsed).every(isPort)) {
    throw damaged(path, "It should be an object of service names and port numbers.");
  }
  return parsed as Record<string, number>;
}

export class StateFolder {
  /** Absolute. */
  readonly dir: string;
  readonly id: string;
  readonly logsDir: string;
  /** False when the last run was killed: some of its processes may still be going away. */
  readonly endedCleanly: boolean;
  readonly #hold: Hold;
  readonly #clock: Clock;
  readonly #ports: Record<string, number>;
  readonly #portsInUse = new Set<number>();
  readonly #portsWaitUntilMs: number;
  #lastChoice: Promise<unknown> = Promise.resolve();
  #holder: Holder;

  private constructor(parts: { dir: string; id: string; hold: Hold; holder: Holder; clock: Clock }) {
    this.dir = parts.dir;
    this.id = parts.id;
    this.logsDir = join(parts.dir, "logs");
    this.#hold = parts.hold;
    this.#holder = parts.holder;
    this.#clock = parts.clock;
    this.endedCleanly = !existsSync(this.#runningPath);
    this.#portsWaitUntilMs = parts.clock.nowMs() + (this.endedCleanly ? 0 : stateLimits.portReleaseMaxMs);
    for (const folder of ["logs", "secrets"]) mkdirSync(join(parts.dir, folder), { recursive: true, mode: 0o700 });
    // What a crash left of a file being written; nobody else writes here while we hold the folder.
    for (const entry of readdirSync(join(parts.dir, "secrets"))) {
      if (entry.endsWith(".tmp")) rmSync(join(parts.dir, "secrets", entry), { force: true });
    }
    this.#ports = readPorts(this.#portsPath);
    writeAtomic(this.#runningPath, `${parts.holder.pid}\n`, 0o600);
  }

  /**
   * Creates the folder if needed and takes the exclusive hold on it.
   * Throws TR-6001 (held by another), TR-6002 (not usable, of another user), TR-6004 (a damaged file).
   */
  static async open(options: StateFolderOptions): Promise<StateFolder> {
    const dir = resolve(options.dir);
    const clock = options.clock ?? systemClock;
    prepareFolder(dir);
    const id = createOnce(join(dir, "id"), `${newId()}\n`, 0o600).trim();
    if (!/^[a-z2-7]{20}$/.test(id)) throw damaged(join(dir, "id"), "It should hold 20 lower-case letters and digits.");
    const holder = { pid: process.pid, since: new Date(clock.nowMs()).toISOString(), command: options.command };
    const hold = await takeHold(dir, id, holder);
    try {
      return new StateFolder({ dir, id, hold, holder, clock });
    } catch (error) {
      await hold.release();
      throw error;
    }
  }

  get #portsPath(): string {
    return join(this.dir, "ports.json");
  }

  get #runningPath(): string {
    return join(this.dir, "running");
  }

  /** Tells others where this stack can be reached. */
  describe(parts: { readonly url: string }): void {
    this.#holder = { ...this.#holder, url: parts.url };
    this.#hold.describe(this.#holder);
  }

  /** A secret by name, made at random (32 bytes, base64url) the first time. */
  secret(name: string): string {
    const kept = readSecret(this.dir, name);
    if (kept !== undefined) return kept;
    return this.writeSecret(name, randomBytes(stateLimits.secretBytes).toString("base64url"));
  }

  /** Keeps a secret that was made elsewhere, a token or a private key, and returns it. */
  writeSecret(name: string, value: string): string {
    if (value === "") throw new RangeError("a secret is not empty");
    writeAtomic(secretPath(this.dir, name), value, 0o600);
    return value;
  }

  /** A free loopback port for a service: the one it had last, else `preferred`, else any. Remembered. */
  port(service: string, preferred: number): Promise<number> {
    // One after the other: two choices at once could take the same free port.
    const choice = this.#lastChoice.then(() => this.#choosePort(service, preferred));
    this.#lastChoice = choice.catch(() => undefined); // told to the caller that asked
    return choice;
  }

  async #choosePort(service: string, preferred: number): Promise<number> {
    const port = await choosePort(
      {
        remembered: this.#ports[service],
        preferred,
        taken: this.#portsInUse,
        waitUntilMs: this.#portsWaitUntilMs,
      },
      this.#clock,
    );
    this.#portsInUse.add(port);
    if (this.#ports[service] !== port) {
      this.#ports[service] = port;
      writeAtomic(this.#portsPath, `${JSON.stringify(this.#ports, null, 2)}\n`, 0o600);
    }
    return port;
  }

  /**
   * Forgets the ports given out in this run: call it when what listened on them has stopped. Returns the services whose
   * port somebody else has; these will be given another, the others the same again.
   */
  async forgetTakenPorts(): Promise<string[]> {
    const taken: string[] = [];
    for (const [service, port] of Object.entries(this.#ports)) {
      if (!this.#portsInUse.has(port) || (await tryPort(port)) !== undefined) continue;
      taken.push(service);
      delete this.#ports[service];
    }
    this.#portsInUse.clear();
    return taken;
  }

  /** The clean end: lets the folder go. */
  async close(): Promise<void> {
    rmSync(this.#runningPath, { force: true });
    await this.#hold.release();
  }
}
