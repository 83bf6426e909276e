/**
 * A stack for tests: the user API on kit's listener with answers set by the test, an object store that hands out files
 * by signed-looking links, the services' /readyz, and a state folder that names them all.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ResolvedFile, type RouteTable, TraceError, userRoutes } from "@trace/contracts";
import { type Handlers, Listener, silentLog } from "@trace/kit";

type UserHandlers = Handlers<typeof userRoutes, string>;
/** A handler of any route: it promises an answer, or gives events. */
type AnyHandler = (...call: readonly unknown[]) => unknown;

export const fakeToken = "trace_fakefakefakefakefakefakefakefakefakefakefak";
/** In every link; a test that finds it in an output has found a leak. */
export const linkSecret = "X-Amz-Signature=5ec2e7";

function unset(name: string) {
  return () => {
    throw new TraceError("TR-1006", { detail: `the fake stack was given no answer for ${name}` });
  };
}

function portOf(server: Server | TcpServer): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function listen(server: Server | TcpServer): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
}

export class FakeStack {
  readonly cwd = mkdtempSync(join(tmpdir(), "trace-cli-"));
  readonly state = join(this.cwd, ".trace");
  readonly answers: { -readonly [K in keyof UserHandlers]?: UserHandlers[K] } = {};
  /** Path to the object's bytes, or to an HTTP status. */
  readonly objects = new Map<string, Buffer | number>();
  /** What /readyz answers. */
  readyStatus = 200;
  /** Requests that the object store has seen, by path. */
  readonly fetched: string[] = [];
  readonly #listener: Listener<RouteTable, string>;
  readonly #store: Server;
  readonly #ops: Server;
  readonly #postgres: TcpServer;

  constructor() {
    const handlers = Object.fromEntries(
      Object.keys(userRoutes).map((name) => [
        name,
        (...call: readonly unknown[]) => {
          const answer = this.answers[name as keyof UserHandlers] ?? unset(name);
          return (answer as unknown as AnyHandler)(...call);
        },
      ]),
    ) as unknown as Handlers<RouteTable, string>;
    this.#listener = new Listener<RouteTable, string>({
      name: "user",
      host: "127.0.0.1",
      port: 0,
      routes: userRoutes,
      handlers,
      authenticate: (token) => Promise.resolve(token === fakeToken ? "owner" : undefined),
      log: silentLog(),
    });
    this.#store = createServer((request, response) => {
      const path = (request.url ?? "").split("?")[0] ?? "";
      this.fetched.push(path);
      const object = this.objects.get(path) ?? 404;
      if (typeof object === "number") response.writeHead(object).end(`no ${request.url}`);
      else response.writeHead(200).end(object);
    });
    this.#ops = createServer((_, response) => {
      const body = this.readyStatus === 200 ? { status: "ready" } : { status: "not ready", reason: "Postgres is away" };
      response.writeHead(this.readyStatus).end(JSON.stringify(body));
    });
    this.#postgres = createTcpServer((socket) => {
      socket.on("error", () => {}); // the doctor hangs up once it has its answer
      socket.once("data", () => socket.end("N"));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listener.port}`;
  }

  get storeUrl(): string {
    return `http://127.0.0.1:${portOf(this.#store)}`;
  }

  async start(): Promise<void> {
    await this.#listener.start();
    await Promise.all([listen(this.#store), listen(this.#ops), listen(this.#postgres)]);
    mkdirSync(join(this.state, "secrets"), { recursive: true, mode: 0o700 });
    writeFileSync(join(this.state, "secrets", "api-token"), fakeToken, { mode: 0o600 });
    this.writeEndpoints();
  }

  writeEndpoints(changes: Record<string, unknown> = {}): void {
    const server = { host: "127.0.0.1", port: portOf(this.#postgres) };
    const ops = `http://127.0.0.1:${portOf(this.#ops)}`;
    const endpoints = {
      format: 1,
      pid: process.pid,
      started_at: new Date().toISOString(),
      user_api: this.url,
      worker_api: this.url,
      task_api: this.url,
      s3: this.storeUrl,
      sqs: this.storeUrl,
      postgres: { state: server, data: server },
      ops: { dispatcher: ops, worker: ops },
      logs: join(this.state, "logs"),
      ...changes,
    };
    writeFileSync(join(this.state, "endpoints.json"), JSON.stringify(endpoints));
  }

  /** Puts an object into the store and returns how the dispatcher would name it. */
  addObject(key: string, content: Buffer): ResolvedFile & { url: string } {
    const path = `/trace-datasets/${key}`;
    this.objects.set(path, content);
    return {
      bucket: "trace-datasets",
      key,
      bytes: content.length,
      rows: 1,
      sha256: createHash("sha256").update(content).digest("hex"),
      url: `${this.storeUrl}${path}?X-Amz-Expires=900&${linkSecret}`,
    };
  }

  async stopStore(): Promise<void> {
    this.#store.closeAllConnections();
    await new Promise((resolve) => this.#store.close(resolve));
  }

  async stop(): Promise<void> {
    await this.#listener.stop();
    for (const server of [this.#store, this.#ops]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await new Promise((resolve) => this.#postgres.close(resolve));
    rmSync(this.cwd, { recursive: true, force: true });
  }
}
