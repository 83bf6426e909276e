import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { refusedBodyBytesMax } from "../limits.ts";
import { HttpTransport } from "./client.ts";
import { refuseUnread } from "./unread.ts";

const problem = {
  type: "urn:trace:error:TR-1001",
  title: "Request body too large",
  status: 413,
  retryable: false,
  code: "TR-1001",
  detail: "too much",
};

let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer((request, response) => {
    const headers = { "content-type": "application/problem+json" };
    refuseUnread(request, response, { status: 413, headers, text: JSON.stringify(problem) });
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

test("a client that sends more than sockets hold gets the refusal, each time, and no broken connection", async () => {
  const token = () => Promise.resolve("token");
  const transport = new HttpTransport({ baseUrl: `http://127.0.0.1:${port}`, token });
  const request = {
    method: "POST",
    path: "/",
    body: "x".repeat(40 * 1024 * 1024),
    signal: undefined,
    token: undefined,
  };
  try {
    for (let call = 0; call < 8; call += 1) {
      await expect(transport.send(request)).rejects.toMatchObject({ code: "TR-1001" });
    }
  } finally {
    await transport.stop();
  }
});

test("a client that never ends its body is answered, hardly read, and cut off", async () => {
  let readBytes = 0;
  server.on("request", (request) => {
    request.on("data", (chunk: Buffer) => {
      readBytes += chunk.length;
    });
  });
  const piece = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.on("error", () => undefined); // being cut off is what is waited for
    socket.on("close", () => resolve(text));
    const give = () => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on("drain", give);
    socket.write("POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    give();
  });
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  expect(answer).toContain(JSON.stringify(problem));
  expect(readBytes).toBeLessThan(refusedBodyBytesMax + 2 * 1024 * 1024);
});

test("a body that ends soon is read to its end, and the connection closes without loss", async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x".repeat(100_000) });
  expect(answer.status).toBe(413);
  expect(answer.headers.get("connection")).toBe("close");
  expect(await answer.json()).toEqual(problem);
});
