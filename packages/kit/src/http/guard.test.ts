import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo, Socket, Server as TcpServer } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { TraceError } from "@trace/contracts";
import { afterEach, describe, expect, test } from "vitest";
import type { GuardedRequest } from "./guard.ts";
import { guardedGet } from "./guard.ts";
import { fetchError } from "./guarderrors.ts";
import { redirectsMax, replyHeaderBytesMax } from "./guardlimits.ts";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A local server and its `host:port`; the guard reaches it by exception only. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer);
  closers.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function serveTcp(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: TcpServer = createTcpServer((socket) => {
    sockets.add(socket);
    // The guard closes connections in the middle of a reply, which the server's side sees as an error.
    socket.on("error", () => {});
    answer(socket);
  });
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The server's side is closed once ours has taken its end; where ours waits for its reader, it says no more. */
async function serverIsDone(closed: Promise<void>): Promise<void> {
  const turns = (async () => {
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  })();
  await Promise.race([closed, turns]);
}

const bounds = { bytesMax: 1_000_000, connectTimeoutMs: 5_000, idleTimeoutMs: 5_000, totalTimeoutMs: 10_000 };

async function text(guarded: GuardedRequest): Promise<string> {
  const reply = await guardedGet(guarded);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reply.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function failure(guarded: GuardedRequest): Promise<TraceError> {
  try {
    await text(guarded);
  } catch (error) {
    if (error instanceof TraceError) return error;
    throw error;
  }
  throw new Error("expected a refusal");
}

const local = (host: string, path = "/"): GuardedRequest => ({
  ...bounds,
  url: `http://${host}${path}`,
  allowHostPorts: [host],
});

describe("the good path", () => {
  test("gives status, headers, final URL and body, and asks for an unencoded reply on a connection of its own", async () => {
    let seen: IncomingMessage["headers"] = {};
    const host = await serve((request, response) => {
      seen = request.headers;
      response.setHeader("content-type", "text/csv").end("a,b\n1,2\n");
    });
    const progress: (number | undefined)[][] = [];
    const reply = await guardedGet({
      ...local(host, "/x?y=1"),
      headers: { "X-Key": "k" },
      onProgress: (...step) => progress.push(step),
    });
    expect([reply.status, reply.headers["content-type"], reply.finalUrl]).toEqual([
      200,
      "text/csv",
      `http://${host}/x?y=1`,
    ]);
    const chunks: Uint8Array[] = [];
    for await (const chunk of reply.body) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("a,b\n1,2\n");
    expect(seen).toMatchObject({ "accept-encoding": "identity", "x-key": "k", connection: "close", host });
    expect(progress.at(-1)).toEqual([8, 8]);
  });

  test("follows redirects by hand, and keeps the caller's headers from another origin", async () => {
    const seen: unknown[] = [];
    const second = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.end("there");
    });
    const first = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response
        .writeHead(request.url === "/" ? 302 : 307, { location: request.url === "/" ? "/again" : `http://${second}/x` })
        .end();
    });
    const reply = await guardedGet({
      ...local(first),
      allowHostPorts: [first, second],
      headers: { authorization: "token" },
    });
    expect(reply.finalUrl).toBe(`http://${second}/x`);
    for await (const _ of reply.body);
    expect(seen).toEqual(["token", "token", undefined]);
  });

  test("a body left early closes its connection", async () => {
    const closed = Promise.withResolvers<void>();
    const host = await serve((_, response) => {
      response.on("close", () => closed.resolve());
      response.write("first");
    });
    const reply = await guardedGet(local(host));
    for await (const chunk of reply.body) {
      expect(Buffer.from(chunk).toString()).toBe("first");
      break;
    }
    await closed.promise;
  });
});

describe("what the caller makes sense of itself", () => {
  test("a status that it names comes as a reply without a body, and closes its connection", async () => {
    const closed = Promise.withResolvers<void>();
    const host = await serve((_, response) => {
      response.on("close", () => closed.resolve());
      response.writeHead(429, { "retry-after": "7" }).write("internal words");
    });
    const reply = await guardedGet({ ...local(host), statuses: [304, 429] });
    expect([reply.status, reply.headers["retry-after"]]).toEqual([429, "7"]);
    await closed.promise;
    for await (const _ of reply.body) throw new Error("a body");
    expect((await failure({ ...local(host), statuses: [304] })).code).toBe("TR-5309");
  });

  test("an encoding that it names is passed on as it comes, and no other", async () => {
    const host = await serve((_, response) => response.writeHead(200, { "content-encoding": "GZip" }).end("as sent"));
    expect(await text({ ...local(host), encodings: ["gzip"] })).toBe("as sent");
    expect((await failure({ ...local(host), encodings: ["zstd"] })).code).toBe("TR-5313");
  });

  test("headers for each hop go to another origin, those of the caller do not", async () => {
    const seen: unknown[] = [];
    const second = await serve(({ headers }, response) => {
      seen.push([headers.range, headers.authorization]);
      response.end("there");
    });
    const first = await serve((_, response) => response.writeHead(302, { location: `http://${second}/` }).end());
    const both = { headers: { authorization: "token" }, headersOnEachHop: { Range: "bytes=1-" } };
    expect(await text({ ...local(first), allowHostPorts: [first, second], ...both })).toBe("there");
    expect(seen).toEqual([["bytes=1-", undefined]]);
  });
});

describe("without an exception", () => {
  test("a local server is never reached, by address or by name", async () => {
    let requests = 0;
    const host = await serve((_, response) => {
      requests += 1;
      response.end();
    });
    const port = host.split(":")[1] ?? "";
    for (const url of [
      `http://${host}/`,
      `http://localhost:${port}/`,
      `http://2130706433:${port}/`,
      `http://[::ffff:7f00:1]:${port}/`,
    ]) {
      expect((await failure({ ...bounds, url })).code).toMatch(/TR-530[24]/);
    }
    expect(requests).toBe(0);
  });

  test("a certificate that is not accepted is a refusal, and a reset connection is tried again", () => {
    const context = { host: "example.com", connectTimeoutMs: 1, idleTimeoutMs: 1, headerBytesMax: 1 };
    const failing = (code: string) => fetchError(Object.assign(new Error("internal words"), { code }), context);
    expect(failing("CERT_HAS_EXPIRED")).toMatchObject({ code: "TR-5314", retryable: false });
    expect(failing("ERR_TLS_CERT_ALTNAME_INVALID").code).toBe("TR-5314");
    expect(failing("ECONNRESET")).toMatchObject({ code: "TR-5306", retryable: true });
    expect(failing("ENOTFOUND")).toMatchObject({ code: "TR-5305", retryable: true });
    expect(failing("ECONNRESET").message).not.toContain("internal words");
  });
});

describe("hostile DNS answers", () => {
  const v4 = (address: string) => ({ address, family: 4 });
  const v6 = (address: string) => ({ address, family: 6 });
  const publicOne = v4("93.184.216.34");

  test.each<[string, { address: string; family: number }[], string]>([
    ["loopback", [v4("127.0.0.1")], "TR-5304"],
    ["instance metadata", [v4("169.254.169.254")], "TR-5304"],
    ["a private address beside a public one", [publicOne, v4("10.0.0.5")], "TR-5304"],
    ["a private address before a public one", [v4("10.0.0.5"), publicOne], "TR-5304"],
    ["IPv6 loopback", [v6("::1")], "TR-5304"],
    ["a private address mapped into IPv6", [v6("::ffff:10.0.0.1")], "TR-5304"],
    ["an address of a VPC endpoint", [v4("10.0.3.17")], "TR-5304"],
    ["NAT64 of a private address", [v6("64:ff9b::a00:1")], "TR-5304"],
    ["6to4 of loopback", [v6("2002:7f00:1::")], "TR-5304"],
    ["shared address space", [v4("100.64.0.1")], "TR-5304"],
    ["no address", [], "TR-5305"],
    ["what is no address", [v4("example.org")], "TR-5304"],
    ["hundreds of addresses", Array.from({ length: 500 }, () => publicOne), "TR-5305"],
  ])("%s is refused", async (_name, answer, code) => {
    for (const scheme of ["http", "https"]) {
      const error = await failure({
        ...bounds,
        url: `${scheme}://169.254.169.254.nip.io/?key=s3cret`,
        lookup: async () => answer,
      });
      expect(error.code).toBe(code);
      expect(JSON.stringify({ ...error, message: error.message })).not.toMatch(/s3cret|10\.0\.|127\.0/);
    }
  });

  test("a name that cannot be resolved may be tried again", async () => {
    const lookup = async () => Promise.reject(Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }));
    expect(await failure({ ...bounds, url: "http://nowhere.example/", lookup })).toMatchObject({
      code: "TR-5305",
      retryable: true,
    });
  });

  test("a resolver that never answers is cut", async () => {
    const lookup = () => new Promise<never>(() => {});
    expect((await failure({ ...bounds, url: "http://slow.example/", lookup, connectTimeoutMs: 50 })).code).toBe(
      "TR-5307",
    );
    expect((await failure({ ...bounds, url: "http://slow.example/", lookup, totalTimeoutMs: 50 })).code).toBe(
      "TR-5307",
    );
  });

  test("a name that changes between answers is asked once per connection, and what was checked is what is dialled", async () => {
    // Unallocated space that counts as public: dialled, and nobody is there.
    const answers = [v6("2d00::1"), v4("127.0.0.1"), v4("127.0.0.1")];
    let asked = 0;
    const lookup = async () => answers.slice(asked, ++asked);
    const first = await failure({ ...bounds, url: "http://flip.example/", lookup, connectTimeoutMs: 100 });
    expect(first.code).toMatch(/TR-530[67]/);
    expect(asked).toBe(1);
    expect((await failure({ ...bounds, url: "http://flip.example/", lookup })).code).toBe("TR-5304");
    expect(asked).toBe(2);
  });

  test("an exception for a name and port dials what the name resolves to", async () => {
    const host = await serve((_, response) => response.end("dev"));
    const name = `files.test:${host.split(":")[1]}`;
    const asked: string[] = [];
    const lookup = async (host: string) => {
      asked.push(host);
      return [v4("127.0.0.1")];
    };
    expect(await text({ ...bounds, url: `http://${name}/`, allowHostPorts: [name], lookup })).toBe("dev");
    expect(asked).toEqual(["files.test"]);
  });
});

describe("redirects of a hostile server", () => {
  const lookup = async () => [{ address: "10.0.0.5", family: 4 }];
  test.each<[number, string, string]>([
    [301, "http://127.0.0.1/", "TR-5304"],
    [302, "http://169.254.169.254/latest/meta-data/", "TR-5304"],
    [303, "http://[::1]/", "TR-5304"],
    [307, "http://localhost/", "TR-5304"],
    [308, "http://10.0.0.1/", "TR-5304"],
    [302, "//metadata.google.internal/", "TR-5304"],
    [302, "http://public-name.example/", "TR-5304"],
    [302, "http://example.com:6379/", "TR-5302"],
    [302, "http://u:p@example.com/", "TR-5303"],
    [302, "file:///etc/passwd", "TR-5301"],
    [302, "gopher://127.0.0.1:6379/_x", "TR-5301"],
    [302, "http://", "TR-5312"],
  ])("%i to %s is refused with %s", async (status, location, code) => {
    const host = await serve((_, response) => response.writeHead(status, { location }).end("internal words"));
    const error = await failure({ ...local(host), lookup });
    expect(error.code).toBe(code);
    expect(error.message).not.toContain("internal words");
  });

  test("a redirect without a target, and one that never ends, are refused", async () => {
    const silent = await serve((_, response) => response.writeHead(302).end());
    expect((await failure(local(silent))).code).toBe("TR-5312");
    let hops = 0;
    const endless = await serve((_, response) => {
      hops += 1;
      response.writeHead(302, { location: `/${hops}` }).end();
    });
    expect((await failure(local(endless))).code).toBe("TR-5311");
    expect(hops).toBe(redirectsMax + 1);
  });
});

describe("replies of a hostile server", () => {
  test.each<[number, string, boolean]>([
    [400, "TR-5308", false],
    [401, "TR-5308", false],
    [404, "TR-5308", false],
    [304, "TR-5308", false],
    [408, "TR-5309", true],
    [425, "TR-5309", true],
    [429, "TR-5309", true],
    [500, "TR-5309", true],
    [503, "TR-5309", true],
  ])("status %i is %s", async (status, code, retryable) => {
    const host = await serve((_, response) =>
      response.writeHead(status).end(status === 304 ? undefined : "internal words"),
    );
    const error = await failure(local(host, "/?key=s3cret"));
    expect(error).toMatchObject({ code, retryable });
    expect(error.message).toContain(String(status));
    expect(error.message).not.toMatch(/s3cret|internal words/);
  });

  test("10 MB that say so are refused before they are read", async () => {
    let sent = 0;
    const host = await serve((_, response) => {
      response.writeHead(200, { "content-length": 10_000_000 });
      response.write("x".repeat(1_000), () => {
        sent += 1_000;
      });
    });
    await expect(guardedGet(local(host))).rejects.toMatchObject({ code: "TR-5310" });
    expect(sent).toBeLessThanOrEqual(1_000);
  });

  test("a reply without end is cut at the bound", async () => {
    const host = await serve((_, response) => {
      const chunk = Buffer.alloc(65_536);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on("drain", more);
      more();
    });
    const reply = await guardedGet(local(host));
    let bytes = 0;
    await expect(
      (async () => {
        for await (const chunk of reply.body) bytes += chunk.byteLength;
      })(),
    ).rejects.toMatchObject({ code: "TR-5310" });
    expect(bytes).toBeLessThanOrEqual(bounds.bytesMax);
  });

  test("exactly as many bytes as the bound are allowed, one more is not", async () => {
    const host = await serve((request, response) => {
      response.write("");
      response.end("x".repeat(Number(request.url?.slice(1))));
    });
    expect(await text({ ...local(host, "/100"), bytesMax: 100 })).toHaveLength(100);
    expect((await failure({ ...local(host, "/101"), bytesMax: 100 })).code).toBe("TR-5310");
  });

  test("a reply that falls silent is cut by the idle time, in its header and in its body", async () => {
    const never = await serve(() => {});
    expect((await failure({ ...local(never), idleTimeoutMs: 50 })).code).toBe("TR-5307");
    const halfway = await serve((_, response) => response.write("x"));
    expect((await failure({ ...local(halfway), idleTimeoutMs: 50 })).code).toBe("TR-5307");
  });

  test("a reply that trickles is cut by the total time, in its header and in its body", async () => {
    const trickle = (socket: Socket): void => {
      const timer = setInterval(() => socket.write("x"), 10);
      socket.on("close", () => clearInterval(timer));
    };
    const inBody = await serveTcp((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
      trickle(socket);
    });
    const inHeader = await serveTcp((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nx-");
      trickle(socket);
    });
    for (const host of [inBody, inHeader]) {
      const error = await failure({ ...local(host), totalTimeoutMs: 200 });
      expect(error).toMatchObject({ code: "TR-5307", retryable: true });
      expect(error.message).toContain("the whole exchange");
    }
  });

  test("a server that hangs up while its reply waits to be read takes nothing with it", async () => {
    for (const [announced, code] of [
      [65_536, undefined],
      [65_537, "TR-5306"],
      [undefined, undefined],
    ] as const) {
      const sent = Promise.withResolvers<void>();
      const host = await serveTcp((socket) => {
        const length = announced === undefined ? "" : `content-length: ${announced}\r\n`;
        socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\n${length}\r\n`);
        socket.on("close", () => sent.resolve());
        socket.end(Buffer.alloc(65_536));
      });
      const reply = await guardedGet(local(host));
      const read = async () => {
        // The whole reply and the end of its connection come before anybody looks.
        await serverIsDone(sent.promise);
        let bytes = 0;
        for await (const chunk of reply.body) bytes += chunk.byteLength;
        return bytes;
      };
      if (code === undefined) expect(await read()).toBe(65_536);
      else await expect(read()).rejects.toMatchObject({ code, retryable: true });
    }
  });

  test("a body that nobody reads is cut by the total time and harms nobody", async () => {
    const closed = Promise.withResolvers<void>();
    const host = await serve((_, response) => {
      response.on("close", () => closed.resolve());
      response.write("x");
    });
    await guardedGet({ ...local(host), totalTimeoutMs: 100 });
    await closed.promise;
  });

  test("a header beyond its bound, an encoded body, a cut body and what is no HTTP are refused", async () => {
    const longHeader = await serve((_, response) =>
      response.writeHead(200, { "x-long": "x".repeat(replyHeaderBytesMax) }).end(),
    );
    expect((await failure(local(longHeader))).code).toBe("TR-5310");
    const encoded = await serve((_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x"));
    expect((await failure(local(encoded))).code).toBe("TR-5313");
    const cut = await serveTcp((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"));
    expect((await failure(local(cut))).code).toBe("TR-5306");
    const babble = await serveTcp((socket) => socket.end("220 mail.example ESMTP\r\n"));
    expect((await failure(local(babble))).code).toBe("TR-5306");
    const plain = await serveTcp((socket) => socket.end("no TLS here\r\n"));
    expect((await failure({ ...local(plain), url: `https://${plain}/` })).code).toBe("TR-5306");
  });

  test("a port where nobody listens may be tried again", async () => {
    const host = await serve(() => {});
    for (const close of closers.splice(0)) await close();
    expect(await failure(local(host))).toMatchObject({ code: "TR-5306", retryable: true });
  });
});

describe("the caller's signal", () => {
  test("ends the exchange with its own reason, before and while the body is read", async () => {
    const host = await serve((_, response) => response.write("x"));
    const reason = new Error("lease lost");
    await expect(guardedGet({ ...local(host), signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const reply = await guardedGet({ ...local(host), signal: controller.signal });
    const reading = (async () => {
      for await (const _ of reply.body) controller.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
  });
});
