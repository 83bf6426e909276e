/** Which dispatcher a command calls, and with whose token. */
import { join, resolve } from "node:path";
import { TraceError } from "@trace/contracts";
import { readEndpoints } from "./endpoints.ts";
import type { StateFolderFound } from "./folder.ts";
import { readSmallFile } from "./settings-file.ts";

export interface Target {
  readonly url: string;
  /** Read for each call, so that a rotated token is picked up. */
  token(): Promise<string>;
}

export interface TargetOptions {
  readonly url?: string | undefined;
  readonly tokenFile?: string | undefined;
}

/** Where `trace up` keeps the token of the stack's owner. */
export function ownTokenPath(dir: string): string {
  return join(dir, "secrets", "api-token");
}

async function readToken(path: string): Promise<string> {
  const fix = "name a file that holds the token with --token-file; 'trace up' makes one for its owner";
  const text = (await readSmallFile(path, { code: "TR-7003", what: "the file of the API token", fix })).trim();
  const [token = ""] = text.split("\n");
  if (/^[\x21-\x7e]{1,512}$/.test(token)) return token;
  throw new TraceError("TR-7003", {
    detail: "the file of the API token holds no token",
    where: path,
    why: "its first line is empty, too long, or has characters that no token has",
    fix,
  });
}

function parseUrl(url: string): URL {
  if (URL.canParse(url)) {
    const parsed = new URL(url);
    const plain = parsed.username === "" && parsed.password === "" && parsed.search === "" && parsed.hash === "";
    if (plain && /^https?:$/.test(parsed.protocol) && parsed.pathname === "/") return parsed;
  }
  throw new TraceError("TR-7001", {
    detail: "--url is no address of a Trace",
    why: "it must be http:// or https://, a host and a port, and nothing more",
    fix: "for example --url http://127.0.0.1:7401",
  });
}

/**
 * `--url`, else what the running stack wrote. The token of the local stack is sent to the local stack alone: for any
 * other address `--token-file` is needed, so that a mistyped URL does not give the token away.
 * Throws TR-7001, TR-7002, TR-7003, TR-7010.
 */
export async function targetOf(options: TargetOptions, state: StateFolderFound, cwd: string): Promise<Target> {
  const url = options.url === undefined ? undefined : parseUrl(options.url).origin;
  const tokenFile = options.tokenFile === undefined ? undefined : resolve(cwd, options.tokenFile);
  if (url !== undefined && tokenFile !== undefined) return { url, token: () => readToken(tokenFile) };
  const local = state.exists ? await readEndpoints(state.dir) : undefined;
  if (url !== undefined && (local === undefined || new URL(local.user_api).origin !== url)) {
    throw new TraceError("TR-7003", {
      detail: `no token is known for ${url}`,
      why: "the token in the state folder belongs to the local stack and is sent nowhere else",
      fix: "name the file of its token: --token-file FILE",
    });
  }
  if (local === undefined) {
    throw new TraceError("TR-7002", {
      detail: "no running Trace was found",
      where: state.dir,
      why: state.exists
        ? "the state folder names no addresses, so nothing runs on it"
        : "there is no such state folder",
      fix: "start one with 'trace up', or name another with --state FOLDER or --url URL",
    });
  }
  return { url: new URL(local.user_api).origin, token: () => readToken(tokenFile ?? ownTokenPath(state.dir)) };
}
