/**
 * What every role answers on a port of its own: `/healthz` (the process runs), `/readyz` (it can do its work; says what
 * is missing), `/metrics` (Prometheus text). No token: it binds loopback and tells no data of users.
 */
import { createServer, type Server } from "node:http";
import type { Metrics } from "../metrics.ts";
import type { Service } from "../service.ts";
import { hostName } from "./server.ts";

export interface OpsOptions {
  readonly role: string;
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  readonly allowedHosts?: readonly string[];
  /** Resolves when ready; throws saying what is missing. */
  ready(): Promise<void>;
}

export class OpsServer implements Service {
  readonly #options: OpsOptions;
  readonly #server: Server;
  #port = 0;

  constructor(options: OpsOptions) {
    this.#options = options;
    const allowed = new Set(["localhost", "127.0.0.1", "[::1]", ...(options.allowedHosts ?? [])]);
    this.#server = createServer((request, response) => {
      const host = hostName(request.headers.host ?? "");
      if (host === undefined || !allowed.has(host)) {
        response.writeHead(403).end();
        return;
      }
      this.#answer(request.url ?? "").then(
        ({ status, type, body }) =>
          // The process is named so that a supervisor can tell its own child from a stranger on the same port.
          response.writeHead(status, { "content-type": type, "x-trace-pid": process.pid }).end(body),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
    this.#server.requestTimeout = 10_000;
  }

  get port(): number {
    return this.#port;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#options.port, this.#options.host, () => {
        const address = this.#server.address();
        this.#port = typeof address === "object" && address !== null ? address.port : 0;
        resolve();
      });
    });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(url: string): Promise<{ status: number; type: string; body: string }> {
    const path = url.split("?")[0];
    const json = (status: number, body: unknown) => ({ status, type: "application/json", body: JSON.stringify(body) });
    if (path === "/healthz") return json(200, { role: this.#options.role, pid: process.pid, status: "running" });
    if (path === "/metrics") {
      return { status: 200, type: this.#options.metrics.contentType, body: await this.#options.metrics.text() };
    }
    if (path !== "/readyz") return json(404, { status: "no such page", pages: ["/healthz", "/readyz", "/metrics"] });
    try {
      await this.#options.ready();
      return json(200, { role: this.#options.role, status: "ready" });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return json(503, { role: this.#options.role, status: "not ready", reason });
    }
  }
}
