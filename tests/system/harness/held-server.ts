/**
 * A web server that holds its answers until the test lets them go, so that an `ingest` stands still in mid-download for as
 * long as a test needs.
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "./until.ts";

export class HeldServer {
  readonly #server: Server;
  readonly #requests = new Map<string, ServerResponse[]>();
  /** Bodies of paths that are answered at once. */
  readonly #free = new Map<string, string>();

  constructor() {
    this.#server = createServer((request, response) => {
      const path = request.url ?? "";
      const all = this.#requests.get(path) ?? [];
      this.#requests.set(path, [...all, response]);
      response.on("error", () => undefined); // whoever asked was killed
      // The first half is sent at once: the worker is then writing a file that it will never finish.
      response.writeHead(200, { "content-type": "application/json" });
      response.write("[");
      const body = this.#free.get(path);
      if (body !== undefined) response.end(`${body}]`);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => void this.#server.listen(0, "127.0.0.1", done));
  }

  get authority(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  url(path: string): string {
    return `http://${this.authority}${path}`;
  }

  /** Requests for a path so far. */
  asked(path: string): number {
    return this.#requests.get(path)?.length ?? 0;
  }

  untilAsked(path: string, times: number, timeoutMs: number): Promise<unknown> {
    return until(`${path} is asked for ${times} times`, () => this.asked(path) >= times, timeoutMs);
  }

  /** From now on the path is answered at once; `rows` is JSON objects, separated by commas. */
  answerFrom(path: string, rows: string): void {
    this.#free.set(path, rows);
  }

  /** Ends the answers that wait. */
  letGo(path: string, rows: string): void {
    for (const response of this.#requests.get(path) ?? []) if (!response.writableEnded) response.end(`${rows}]`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
