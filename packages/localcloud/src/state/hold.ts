/**
 * The exclusive hold on a state folder. The kernel keeps it, so it ends with its process, however that dies, and taking
 * it is one system call that only one process can win.
 *
 * Linux: a socket in the abstract namespace (unix(7)), named after the folder; whoever connects is told who holds it.
 * macOS: a lock file opened with O_EXLOCK (open(2)); its text says who holds it.
 * Known limit: containers that share a folder but not a network namespace do not see each other's hold.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, ftruncateSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { TraceError } from "@trace/contracts";
import { stateLimits } from "./limits.ts";

/** What the holder of a folder says about itself. */
export interface Holder {
  readonly pid: number;
  /** ISO 8601. */
  readonly since: string;
  readonly command: string;
  /** Where it can be reached, once it listens. */
  readonly url?: string | undefined;
}

export interface Hold {
  /** Changes what others are told. */
  describe(holder: Holder): void;
  release(): Promise<void>;
}

/**
 * The socket's name: the folder itself (device and inode, so a second path to it is the same folder) and its id, which
 * only its owner can read: another user of the machine cannot take the name first.
 */
function socketName(folder: string, id: string): string {
  const { dev, ino } = statSync(folder, { bigint: true });
  return `\0trace-${createHash("sha256").update(`${dev}:${ino}:${id}`).digest("hex")}`;
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, since, command, url } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== "number" || typeof since !== "string" || typeof command !== "string") return undefined;
    return { pid, since, command, url: typeof url === "string" ? url : undefined };
  } catch {
    return undefined; // a holder that is just starting or ending: known to be there, not who
  }
}

type Asked = { readonly held: true; readonly holder: Holder | undefined } | { readonly held: false };

function ask(name: string): Promise<Asked> {
  return new Promise((resolve) => {
    let text = "";
    let connected = false;
    const socket = connect({ path: name });
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(connected ? { held: true, holder: parseHolder(text) } : { held: false });
    };
    const timer = setTimeout(finish, stateLimits.holderAnswerMaxMs);
    socket.setEncoding("utf8");
    socket.on("connect", () => {
      connected = true;
    });
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.length > stateLimits.holderBytesMax) finish();
    });
    socket.on("end", finish);
    socket.on("error", finish);
  });
}

function listen(server: Server, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen({ path: name }, () => resolve(true));
  });
}

function inUse(folder: string, holder: Holder | undefined): TraceError {
  const who = holder
    ? `process ${holder.pid} (${holder.command}) since ${holder.since}${holder.url ? `, at ${holder.url}` : ""}`
    : "a process that did not say who it is";
  return new TraceError("TR-6001", {
    detail: `The state folder is held by ${who}.`,
    where: folder,
    why: "Two stacks on one folder would write over each other.",
    fix: holder
      ? `Use the running one, stop it (Ctrl-C in its terminal, or \`kill ${holder.pid}\`), or name another state folder.`
      : "Stop the other `trace up`, or name another state folder.",
  });
}

async function takeSocket(folder: string, id: string, first: Holder): Promise<Hold> {
  let holder = first;
  const name = socketName(folder, id);
  for (let attempt = 1; ; attempt++) {
    const server = createServer((socket) => {
      socket.on("error", () => undefined); // whoever asked has gone away
      socket.end(JSON.stringify(holder));
    });
    if (await listen(server, name)) {
      server.unref();
      return {
        describe: (next) => {
          holder = next;
        },
        release: () => new Promise((resolve) => void server.close(() => resolve())),
      };
    }
    const asked = await ask(name);
    if (asked.held || attempt >= stateLimits.holdTries) throw inUse(folder, asked.held ? asked.holder : undefined);
    await pause(stateLimits.holdRetryMs); // it died between our two looks
  }
}

/** O_EXLOCK of macOS, which Node does not name. */
const exclusiveLock = 0x20;

function lockPath(folder: string): string {
  return join(folder, "lock");
}

function takeLockFile(folder: string, first: Holder): Hold {
  const path = lockPath(folder);
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | exclusiveLock, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EAGAIN" && code !== "EWOULDBLOCK") throw error;
    throw inUse(folder, parseHolder(readFileSync(path, "utf8")));
  }
  const describe = (holder: Holder) => {
    ftruncateSync(descriptor);
    writeSync(descriptor, JSON.stringify(holder), 0);
  };
  describe(first);
  return {
    describe,
    release: () => {
      closeSync(descriptor);
      return Promise.resolve();
    },
  };
}

/** Takes the hold or throws TR-6001 with the holder's words. Throws TR-6002 where the system offers no such lock. */
export function takeHold(folder: string, id: string, holder: Holder): Promise<Hold> {
  if (process.platform === "linux") return takeSocket(folder, id, holder);
  if (process.platform === "darwin") return Promise.resolve(takeLockFile(folder, holder));
  throw new TraceError("TR-6002", {
    detail: `The state folder cannot be held on ${process.platform}.`,
    where: folder,
    fix: "Run Trace on Linux or macOS.",
  });
}

/** Who holds the folder now: undefined when nobody does, "unknown" when the holder does not say. */
export async function findHolder(folder: string): Promise<Holder | "unknown" | undefined> {
  try {
    if (process.platform === "linux") {
      const asked = await ask(socketName(folder, readFileSync(join(folder, "id"), "utf8").trim()));
      return asked.held ? (asked.holder ?? "unknown") : undefined;
    }
    const flags = constants.O_RDWR | constants.O_NONBLOCK | exclusiveLock;
    closeSync(openSync(lockPath(folder), flags));
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined; // no folder yet, or never held
    if (code !== "EAGAIN" && code !== "EWOULDBLOCK") throw error;
    return parseHolder(readFileSync(lockPath(folder), "utf8")) ?? "unknown";
  }
}
