/** What the Postgres proxy cuts when a client sends ahead, in front of a server whose answers the test gives itself. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PostgresProxy } from "./postgres-proxy.ts";

let server: Server;
let proxy: PostgresProxy;
let client: Socket;
let behind: Socket;

beforeEach(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  proxy = new PostgresProxy({ target: `postgres://x@127.0.0.1:${port}/x`, seed: 1 });
  await proxy.start();
  const came = new Promise<Socket>((resolve) => server.once("connection", resolve));
  client = connect({ port: proxy.port, host: "127.0.0.1" });
  behind = await came;
  for (const socket of [client, behind]) socket.on("error", () => undefined); // told by `gone`
});
afterEach(async () => {
  for (const socket of [client, behind]) socket.destroy();
  await proxy.stop();
  await new Promise((resolve) => server.close(resolve));
});

function typed(type: string, body = ""): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
}

function startUp(code: number): Buffer {
  const packet = Buffer.alloc(8);
  packet.writeUInt32BE(8);
  packet.writeUInt32BE(code, 4);
  return packet;
}

const query = (sql: string) => typed("Q", `${sql}\0`);
const ready = (state = "I") => typed("Z", state);

/** Exactly this comes next. */
async function comes(socket: Socket, expected: Buffer): Promise<void> {
  const chunks: Buffer[] = [];
  while (Buffer.concat(chunks).length < expected.length) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await new Promise((resolve) => socket.once("readable", resolve));
    else chunks.push(chunk);
  }
  expect(Buffer.concat(chunks).toString("latin1")).toBe(expected.toString("latin1"));
}

/** What came before the end, and nothing else. */
async function gone(socket: Socket): Promise<string> {
  let rest = "";
  socket.on("data", (chunk: Buffer) => {
    rest += chunk.toString("latin1");
  });
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return rest;
}

async function session(): Promise<void> {
  client.write(startUp(3 << 16));
  await comes(behind, startUp(3 << 16));
  behind.write(ready());
  await comes(client, ready());
}

test("a client that asks for encryption and is told no is read along like any other", async () => {
  client.write(startUp(80_877_103));
  await comes(behind, startUp(80_877_103));
  behind.write("N");
  await comes(client, Buffer.from("N"));
  await session();
  proxy.set({ cutAfterStatement: 1 });
  client.write(query("insert"));
  await comes(behind, query("insert"));
  behind.write(Buffer.concat([typed("C", "INSERT\0"), ready()]));
  expect(await gone(client)).toBe("");
  expect(proxy.counts().cutAfterStatement).toBe(1);
});

test("an encrypted connection is not read, so only whole ones are cut", async () => {
  client.write(startUp(80_877_103));
  await comes(behind, startUp(80_877_103));
  behind.write("S");
  await comes(client, Buffer.from("S"));
  proxy.set({ cutBeforeStatement: 1, cutBeforeCommit: 1 });
  client.write(query("commit"));
  await comes(behind, query("commit"));
  expect(proxy.cutAll()).toBe(1);
  expect(proxy.counts()).toMatchObject({ cut: 1, cutBeforeCommit: 0 });
});

test("after, of a commit sent ahead: what answers earlier questions arrives, even in one piece with what does not", async () => {
  await session();
  proxy.set({ cutAfterCommit: 1 });
  const asked = Buffer.concat([query("begin"), query("insert"), query("commit")]);
  client.write(asked);
  await comes(behind, asked);
  behind.write(Buffer.concat([typed("C", "BEGIN\0"), ready("T")]));
  await comes(client, Buffer.concat([typed("C", "BEGIN\0"), ready("T")]));
  const inserted = Buffer.concat([typed("C", "INSERT\0"), ready("T")]);
  behind.write(Buffer.concat([inserted, typed("C", "COMMIT\0")]));
  await comes(client, inserted);
  expect(proxy.counts().cutAfterCommit).toBe(0); // not done yet, as far as anybody knows
  behind.write(ready());
  expect(await gone(client)).toBe("");
  expect(proxy.counts().cutAfterCommit).toBe(1);
});

test("after, of a long answer: not a part of it arrives before the cut", async () => {
  await session();
  proxy.set({ cutAfterStatement: 1 });
  client.write(query("select"));
  await comes(behind, query("select"));
  const row = typed("D", "x".repeat(10_000));
  for (let n = 0; n < 10; n += 1) behind.write(row);
  behind.write(ready());
  expect(await gone(client)).toBe("");
});

test("before: of what was sent in one piece nothing reaches the server; what was sent earlier does", async () => {
  await session();
  proxy.set({ cutBeforeCommit: 1 });
  client.write(query("begin"));
  await comes(behind, query("begin"));
  client.write(Buffer.concat([query("insert"), query("commit")]));
  expect(await gone(behind)).toBe("");
  expect(proxy.counts().cutBeforeCommit).toBe(1);
});

test("during: the client is cut before any answer, and the server's connection lives until it has answered", async () => {
  await session();
  proxy.set({ cutDuringCommit: 1 });
  client.write(Buffer.concat([typed("P", "\0commit\0\0\0"), typed("B", "\0\0\0\0\0\0\0\0"), typed("E", "\0\0\0\0\0")]));
  expect(client.destroyed).toBe(false); // without its Sync it is not under way
  client.write(typed("S"));
  expect(await gone(client)).toBe("");
  expect(proxy.counts().cutDuringCommit).toBe(1);
  expect([proxy.open, proxy.cutAll(), behind.destroyed]).toEqual([0, 0, false]);
  behind.write(ready());
  await gone(behind);
});

test("during: a client that had stopped reading does not keep the server from its answer", async () => {
  await session();
  client.pause();
  const notice = typed("N", "x".repeat(1_000_000));
  for (let n = 0; n < 20; n += 1) behind.write(notice);
  for (let left = 0, turns = 0; turns < 500; turns += 1) {
    if (behind.writableLength !== left) turns = 0; // more was taken meanwhile
    left = behind.writableLength;
    await new Promise(setImmediate);
  }
  expect(behind.writableLength).toBeGreaterThan(0);
  proxy.set({ cutDuringCommit: 1 });
  const cut = proxy.performed.next(5_000, (kind) => kind === "cutDuringCommit");
  client.write(query("commit"));
  await cut;
  behind.write(ready());
  await gone(behind);
});

test("during: a server that ends without an answer leaves nothing behind", async () => {
  await session();
  proxy.set({ cutDuringStatement: 1 });
  client.write(query("insert"));
  expect(await gone(client)).toBe("");
  behind.end();
  await gone(behind);
  expect(proxy.open).toBe(0);
});

test("executed behind a begin of one batch, a statement is not cut as if it committed by itself", async () => {
  await session();
  proxy.set({ cutBeforeStatement: 1 });
  const execute = (sql: string) =>
    Buffer.concat([typed("P", `\0${sql}\0\0\0`), typed("B", "\0".repeat(8)), typed("E", "\0".repeat(5))]);
  const batch = Buffer.concat([execute("begin"), execute("insert"), typed("S")]);
  client.write(batch);
  await comes(behind, batch);
  expect(proxy.counts().cutBeforeStatement).toBe(0);
});

test("sent behind a begin, a statement does not commit by itself and is not cut as if it did", async () => {
  await session();
  proxy.set({ cutBeforeStatement: 1 });
  const asked = Buffer.concat([query("begin"), query("insert")]);
  client.write(asked);
  await comes(behind, asked);
  behind.write(Buffer.concat([ready("T"), ready("T")]));
  await comes(client, Buffer.concat([ready("T"), ready("T")]));
  client.write(query("insert"));
  await comes(behind, query("insert"));
  behind.write(ready("T"));
  await comes(client, ready("T"));
  client.write(query("rollback"));
  await comes(behind, query("rollback"));
  behind.write(ready());
  await comes(client, ready());
  expect(proxy.counts().cutBeforeStatement).toBe(0);
  client.write(query("insert"));
  expect(await gone(behind)).toBe("");
  expect(proxy.counts().cutBeforeStatement).toBe(1);
});
