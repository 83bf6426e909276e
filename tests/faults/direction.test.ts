/** The Postgres proxy as a way for any bytes: how a cut looks from both sides, and that nothing is lost or kept waiting. */
import { createHash, randomBytes } from "node:crypto";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PostgresProxy } from "./postgres-proxy.ts";
import { ManualTimer } from "./timer.ts";

let server: Server;
/** Connections as the server has them, in the order in which they came. */
let accepted: Socket[];
let proxy: PostgresProxy;
let timer: ManualTimer;
const sockets: Socket[] = [];

beforeEach(async () => {
  accepted = [];
  server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  timer = new ManualTimer();
  proxy = new PostgresProxy({ target: `postgres://x@127.0.0.1:${portOf(server)}/x`, seed: 1, timer });
  await proxy.start();
});
afterEach(async () => {
  for (const socket of [...sockets.splice(0), ...accepted]) socket.destroy();
  await proxy.stop();
  await new Promise((resolve) => server.close(resolve));
});

function portOf(listener: Server): number {
  return (listener.address() as AddressInfo).port;
}

/** A client that is through to the server. */
async function pair(): Promise<{ client: Socket; behind: Socket }> {
  const came = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const client = connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true });
  sockets.push(client);
  const behind = await came;
  return { client, behind };
}

/** How a socket came to its end: in order, or broken off. */
function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    socket.once("end", () => resolve("end"));
    socket.resume();
  });
}

async function whole(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

test.each([
  ["rst", "ECONNRESET"],
  ["fin", "end"],
] as const)("a cut by %s is %s on both sides", async (how, told) => {
  const { client, behind } = await pair();
  const ends = [ending(client), ending(behind)];
  expect(proxy.cutAll(how)).toBe(1);
  expect(await Promise.all(ends)).toEqual([told, told]);
});

test("one side breaking off is the other's to know", async () => {
  const first = await pair();
  const behindEnds = ending(first.behind);
  first.client.resetAndDestroy();
  expect(await behindEnds).toBe("ECONNRESET");
  const second = await pair();
  second.client.write("through"); // the connection behind is made, as the proxy sees it
  await new Promise((resolve) => second.behind.once("readable", resolve));
  const clientEnds = ending(second.client);
  second.behind.resetAndDestroy();
  expect(await clientEnds).toBe("ECONNRESET");
  expect(proxy.counts().serverAway).toBe(0);
});

test("bytes of any kind arrive as they were, each way to its own end, also when the reader begins late", async () => {
  const { client, behind } = await pair();
  const [up, down] = [randomBytes(8_000_000), randomBytes(8_000_000)];
  client.end(up);
  const got = await whole(behind); // half open: the other way still works
  behind.end(down);
  expect(hash(got)).toBe(hash(up));
  expect(hash(await whole(client))).toBe(hash(down));
});

/** Sends until the socket takes no more for many turns of the event loop; answers with the bytes sent. */
async function sendUntilHeldUp(client: Socket): Promise<number> {
  const chunk = Buffer.alloc(256 * 1024);
  let sent = 0;
  do {
    client.write(chunk);
    sent += chunk.length;
    for (let turn = 0; turn < 500 && client.writableLength > 0; turn += 1) await new Promise(setImmediate);
  } while (client.writableLength === 0 && sent < 200_000_000);
  return sent;
}

test("who sends faster than the other reads is held up, and all arrives once the other reads", async () => {
  const { client, behind } = await pair();
  const sent = await sendUntilHeldUp(client);
  expect(sent).toBeLessThan(64_000_000);
  client.end();
  expect((await whole(behind)).length).toBe(sent);
});

test("who sends more than a delay may hold is held up, and all arrives in time", async () => {
  const { client, behind } = await pair();
  proxy.set({ toServerDelayMs: 1_000 });
  const sent = await sendUntilHeldUp(client);
  expect(sent).toBeLessThan(64_000_000);
  proxy.set({ toServerDelayMs: 0 });
  client.end();
  timer.advance(1_000);
  expect((await whole(behind)).length).toBe(sent);
});

test("delayed bytes keep their order and their end, also when the delay shrinks", async () => {
  const { client, behind } = await pair();
  const held = (count: number) => proxy.performed.next(5_000, () => proxy.counts().delayToServer === count);
  proxy.set({ toServerDelayMs: 100 });
  const first = held(1);
  client.write("first ");
  await first;
  proxy.set({ toServerDelayMs: 10 });
  const second = held(2);
  client.write("second");
  await second;
  proxy.set({ toServerDelayMs: 0 });
  client.end();
  timer.advance(99);
  expect(behind.readableLength + behind.bytesRead).toBe(0);
  timer.advance(1);
  expect((await whole(behind)).toString()).toBe("first second");
});

test("a server that is not there: the client is broken off, and it is counted", async () => {
  const gone = createServer();
  await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
  const port = portOf(gone);
  await new Promise((resolve) => gone.close(resolve));
  const lonely = new PostgresProxy({ target: `postgres://x@127.0.0.1:${port}/x`, seed: 1 });
  await lonely.start();
  const client = connect({ port: lonely.port, host: "127.0.0.1" });
  expect(await ending(client)).toBe("ECONNRESET");
  expect(lonely.counts().serverAway).toBe(1);
  await lonely.stop();
});

test("a connection cut in a black hole was never made to the server", async () => {
  proxy.blackHoleUntil(1_000);
  for (const how of ["rst", "fin"] as const) {
    const stalled = proxy.performed.next(5_000, (kind) => kind === "blackHole");
    const client = connect({ port: proxy.port, host: "127.0.0.1" });
    await stalled;
    const ends = ending(client);
    expect(proxy.cutOne(how)).toBe(true);
    expect(await ends).toBe(how === "rst" ? "ECONNRESET" : "end");
  }
  timer.advance(1_000);
  expect(accepted).toEqual([]);
  expect(proxy.counts()).toMatchObject({ blackHole: 2, cut: 2, serverAway: 0 });
});

test("a black hole that is made longer swallows nothing twice", async () => {
  const { client, behind } = await pair();
  proxy.blackHoleUntil(1_000);
  proxy.blackHoleUntil(2_000);
  expect(proxy.counts().blackHole).toBe(1);
  client.end("in the dark");
  timer.advance(1_999);
  expect(behind.bytesRead).toBe(0);
  timer.advance(1);
  expect((await whole(behind)).toString()).toBe("in the dark");
});

test("stopping ends every connection, also of a client that is to be refused and says nothing", async () => {
  const refused = proxy.performed.next(5_000, (kind) => kind === "refuse");
  proxy.set({ refuseHow: ["startingUp"] });
  proxy.refuseUntil(1);
  sockets.push(connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true }));
  await refused;
  proxy.refuseUntil(0);
  const { client, behind } = await pair();
  const ends = [ending(client), ending(behind)];
  await proxy.stop();
  for (const end of await Promise.all(ends)) expect(["end", "ECONNRESET"]).toContain(end);
  expect(proxy.open).toBe(0);
});
