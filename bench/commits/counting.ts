/** A door before the S3 endpoint that counts what goes through it, by method. It changes nothing: `Host` is what was signed. */
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export class CountingDoor {
  readonly counts = new Map<string, number>();
  #server: Server | undefined;

  /** Answers with the address to use in the place of `target`. */
  async open(target: string): Promise<string> {
    const { hostname, port } = new URL(target);
    this.#server = createServer((incoming, answer) => {
      const { method = "GET", url, headers } = incoming;
      this.counts.set(method, (this.counts.get(method) ?? 0) + 1);
      const outgoing = request({ hostname, port, method, path: url, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
        response.pipe(answer);
      });
      outgoing.on("error", () => answer.destroy());
      incoming.pipe(outgoing);
    });
    const server = this.#server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }
}
