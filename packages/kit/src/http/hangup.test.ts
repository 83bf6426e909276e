/**
 * Servers that send their whole answer and hang up at once, before anybody has read it. undici 7 asserts that its parser does
 * not wait for a reader at that moment, and nothing can catch that: the process ends (nodejs/undici#5360).
 */
import { createServer, type Server, type Socket } from "node:net";
import { createClient, defineRoutes, progressSchema, watchEndSchema } from "@trace/contracts";
import { afterEach, expect, test } from "vitest";
import { PlainReads } from "../aws/s3plain.ts";
import { TokenService } from "../aws/sts.ts";
import { stsAnswerBytesMax } from "../limits.ts";
import type { Service } from "../service.ts";
import { HttpTransport } from "./client.ts";
import { eventText } from "./sse.ts";

const servers: Server[] = [];
const sockets: Socket[] = [];
const clients: Pick<Service, "stop">[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.stop()));
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

interface HangingUp {
  readonly url: string;
  /** Connections that the other side has closed as well, or that have been ended for long enough. */
  over(): Promise<void>;
}

/** Answers each connection with the next of these texts, the last one for ever, and hangs up. */
async function hangingUp(...answers: readonly (readonly [head: string, body: string | Buffer])[]): Promise<HangingUp> {
  const sent = Promise.withResolvers<void>();
  let connections = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined); // a client that has enough resets the connection
    socket.once("data", () => {
      const [head, body] = answers[Math.min(connections, answers.length - 1)] ?? ["", ""];
      connections += 1;
      socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\n${head}\r\n`);
      socket.end(body, () => sent.resolve());
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const over = async () => {
    await sent.promise;
    // What was sent lies in our socket's buffers, and is taken in a few turns.
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return { url: `http://127.0.0.1:${port}`, over };
}

function kept<C extends Pick<Service, "stop">>(client: C): C {
  clients.push(client);
  return client;
}

const routes = defineRoutes({
  look: {
    method: "GET",
    path: "/v1/look",
    auth: "user",
    summary: "x",
    answer: progressSchema,
    errors: [],
  },
  ticks: {
    method: "GET",
    path: "/v1/ticks",
    auth: "user",
    summary: "x",
    events: { tick: progressSchema, end: watchEndSchema },
    errors: [],
  },
});

const clientOf = (url: string) => {
  const transport = new HttpTransport({
    baseUrl: url,
    token: () => Promise.resolve("t"),
    pause: () => Promise.resolve(),
    random: () => 0,
  });
  return createClient(routes, kept(transport).send, transport.stream);
};

const sizes = [65_535, 65_536, 65_537, 1_000_000];
const lengthOf = (body: string | Buffer) => `content-length: ${Buffer.byteLength(body)}\r\n`;

test.each(sizes)("the answer to a call, of %i bytes", async (bytes) => {
  const text = JSON.stringify({ message: "" });
  const body = text.padEnd(bytes);
  for (const head of [lengthOf(body), ""]) {
    const { url } = await hangingUp([`content-type: application/json\r\n${head}`, body]);
    expect(await clientOf(url).look({})).toEqual({ message: "" });
  }
});

test.each(sizes)("an object that is read later, of %i bytes", async (bytes) => {
  const body = Buffer.alloc(bytes, 7);
  for (const [head, whole] of [
    [lengthOf(body), true],
    ["", true],
    [`content-length: ${bytes + 1}\r\n`, false],
  ] as const) {
    const { url, over } = await hangingUp([head, body]);
    const credentials = { accessKeyId: "a", secretAccessKey: "s" };
    const reads = kept(new PlainReads({ endpoint: url, region: "us-east-1", credentials }));
    const answer = await reads.send("GET", "b", "k");
    await over();
    const read = async () => {
      let got = 0;
      for await (const chunk of answer?.body ?? []) got += (chunk as Buffer).length;
      return got;
    };
    if (whole) expect(await read()).toBe(bytes);
    else await expect(read()).rejects.toThrow();
  }
});

test("keys in an answer as large as one may be", async () => {
  const part = (name: string) => `<${name}>x</${name}>`;
  const xml = `${["AccessKeyId", "SecretAccessKey", "SessionToken"].map(part).join("")}<Expiration>2026-01-01T00:00:00Z</Expiration>`;
  const body = xml.padEnd(stsAnswerBytesMax);
  const { url } = await hangingUp([lengthOf(body), body]);
  const credentials = { accessKeyId: "a", secretAccessKey: "s" };
  const tokens = kept(new TokenService({ endpoint: url, region: "us-east-1", credentials, triesMax: 1 }));
  const policy = { Version: "2012-10-17", Statement: [] } as const;
  const keys = await tokens.assumeRole({ roleArn: "arn", sessionName: "me", policy, seconds: 900 });
  expect(keys).toMatchObject({ accessKeyId: "x", sessionToken: "x" });
});

const tick = (done: number) => eventText({ event: "tick", data: { message: "", done }, id: `id${done}` });
const end = eventText({ event: "end", data: { state: "completed" }, id: "z" });
const events = "content-type: text/event-stream\r\n";

// Which of them the client has in hand entirely, and not yet read, depends on how the kernel hands them over.
test.each([65_536, 66_000, 100_000, 131_072, 140_000, 196_608, 1_000_000])(
  "events of %i bytes that come faster than their reader takes them",
  async (bytes) => {
    const ticks = tick(1) + tick(2);
    const text = `${ticks}:${"x".repeat(bytes - ticks.length - end.length - 3)}\n\n${end}`;
    const { url, over } = await hangingUp([events, text]);
    const seen: unknown[] = [];
    for await (const { data } of clientOf(url).ticks({})) {
      if (seen.length === 0) await over();
      seen.push((data as { done?: number }).done);
    }
    expect(seen).toEqual([1, 2, undefined]);
  },
);
