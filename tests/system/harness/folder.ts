/** The state folder of a test's stack: made for it, read by it from outside, and removed with all that belongs to it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootFolderDefault } from "@trace/localcloud";
import { preferredPorts } from "../../../packages/cli/src/up/limits.ts";
import { processesOf } from "./processes.ts";

const tailLines = 60;

export class TestFolder {
  /** The state folder. */
  readonly dir: string;
  readonly #base: string;

  private constructor() {
    this.#base = mkdtempSync(join(tmpdir(), "trace-system-"));
    this.dir = join(this.#base, "state");
  }

  /**
   * A folder that remembers free ports already: the preferred ones are what every other stack of the machine wants too, and
   * a role that is killed must not lose its port to one of them while it is down.
   */
  static async create(): Promise<TestFolder> {
    const folder = new TestFolder();
    mkdirSync(folder.dir, { mode: 0o700 });
    const services = Object.keys(preferredPorts);
    const ports = await freePorts(services.length);
    const chosen = Object.fromEntries(services.map((service, index) => [service, ports[index]]));
    writeFileSync(join(folder.dir, "ports.json"), JSON.stringify(chosen), { mode: 0o600 });
    return folder;
  }

  /** Undefined before the first start. */
  get id(): string | undefined {
    const path = join(this.dir, "id");
    return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
  }

  /** By which processes of this stack are known. */
  get marks(): string[] {
    return this.id === undefined ? [this.dir] : [this.dir, this.id];
  }

  secret(name: string): string {
    return readFileSync(join(this.dir, "secrets", name), "utf8").trim();
  }

  processes() {
    return processesOf(this.marks);
  }

  /** The last lines of every role's log: what one wants to see of a test that failed. */
  logTails(): string {
    const logs = join(this.dir, "logs");
    if (!existsSync(logs)) return "no logs";
    return readdirSync(logs)
      .filter((name) => name.endsWith(".log"))
      .map((name) => {
        const lines = readFileSync(join(logs, name), "utf8").trimEnd().split("\n");
        return `--- ${name}\n${lines.slice(-tailLines).join("\n")}`;
      })
      .join("\n");
  }

  /** Removes the folder and, for root, the databases that carry its id; nothing else. */
  remove(): void {
    const { id } = this;
    if (id !== undefined && /^[a-z0-9]{20}$/.test(id)) {
      rmSync(join(rootFolderDefault, id), { recursive: true, force: true });
    }
    rmSync(this.#base, { recursive: true, force: true });
  }
}

/** Held all at once while they are chosen, so that no two are the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<Server>((done, fail) => {
        server.once("error", fail);
        server.listen({ host: "127.0.0.1", port: 0 }, () => done(server));
      });
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
