/** What the running stack answers to wrong DAG files, wrong tokens and bodies without end, and that nothing is left of them. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { problemSchema } from "@trace/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningStack, startStack, tellIfFailed } from "./harness/stack.ts";
import { TraceProcess } from "./harness/up.ts";
import { deploy, noopDag } from "./harness/work.ts";
import { ByHand } from "./refusals-byhand.ts";
import { expectTold, refusalOf, rowCounts } from "./refusals-traces.ts";

const mib = 1024 * 1024;

let stack: RunningStack;
let byHand: ByHand;

beforeAll(async () => {
  stack = await startStack();
  byHand = await ByHand.open(stack.access);
});

afterAll(async () => {
  await byHand?.stop();
  await stack?.stop();
});

afterEach((context) => tellIfFailed(context, stack?.folder));

interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function cli(...args: string[]): Promise<CliEnd> {
  const ran = new TraceProcess(["--state", stack.folder.dir, ...args]);
  const { code } = await ran.ended;
  return { code, stdout: ran.stdout, stderr: ran.stderr };
}

function fileWith(name: string, text: string): string {
  const path = join(stack.folder.dir, name);
  writeFileSync(path, text);
  return path;
}

function pipeWith(name: string): string {
  const path = join(stack.folder.dir, name);
  execFileSync("mkfifo", [path]);
  return path;
}

const job = (name: string, lines: string) => `  ${name}:\n${lines.replaceAll(/^/gm, "    ")}\n`;
const sqlJob = (name: string, input: string, output: string) =>
  job(name, `operator: sql\ninputs: [${input}]\nsql: SELECT 1 AS one\noutputs: [${output}]`);

const malformed = 'dag: broken\njobs:\n  one: {operator: noop\n  two: "\n';
const unknownOperator = `dag: broken\njobs:\n${job("one", "operator: ingst\nsource: {file: a.csv}\noutputs: [broken_one]")}`;
const cycle = `dag: broken\njobs:\n${sqlJob("one", "broken_two", "broken_one")}${sqlJob("two", "broken_one", "broken_two")}`;
const several = `${unknownOperator}${sqlJob("two", "broken_three", "broken_two")}${sqlJob("three", "broken_two", "broken_three")}${job("four", "operator: noop\nretrys: 3")}`;

test.each([
  ["malformed YAML", malformed, ["TR-2001"]],
  ["an unknown operator", unknownOperator, ["TR-2003"]],
  ["a cycle", cycle, ["TR-2012"]],
  ["several faults at once", several, ["TR-2003", "TR-2004", "TR-2012"]],
  ["an input that exists nowhere", `dag: broken\njobs:\n${sqlJob("one", "nowhere", "broken_one")}`, ["TR-4010"]],
])(
  "a DAG file with %s is refused by the API with every fault and its place, and leaves no row",
  async (_, source, codes) => {
    const before = await rowCounts(stack.access);
    const refusal = await refusalOf(deploy(stack.access, source, "broken.yaml"));
    const all = refusal.errors ?? [];
    expect([...new Set(all.map(({ code }) => code))].sort()).toEqual(codes);
    expect(refusal.code).toBe(all[0]?.code);
    for (const error of all) expect(error.where).toMatch(/^(broken\.yaml:\d+:\d+|jobs\.)/);
    expect(await rowCounts(stack.access)).toEqual(before);
  },
);

test("the command line shows every fault of a file with line, column, frame and suggestion, and deploys nothing", async () => {
  const before = await rowCounts(stack.access);
  const path = fileWith("several.yaml", several);
  const people = await cli("deploy", path);
  expect(people).toMatchObject({ code: 1, stdout: "" });
  expect(people.stderr).toContain("error[TR-2003]");
  expect(people.stderr).toContain(`${path}:4:15`);
  expect(people.stderr).toMatch(/operator: ingst\n\s*\|\s+\^{5}\n/);
  expect(people.stderr).toContain("did you mean 'ingest'?");
  expect(people.stderr).toContain("did you mean 'retries'?");
  const script = await cli("deploy", path, "--json");
  expect(script).toMatchObject({ code: 1, stdout: "" });
  const { error } = JSON.parse(script.stderr) as { error: { code: string; diagnostics: Record<string, unknown>[] } };
  expect(error.code).toBe("TR-7008");
  expect(error.diagnostics.map(({ code }) => code)).toEqual(["TR-2003", "TR-2012", "TR-2004"]);
  for (const found of error.diagnostics) {
    expect(found).toMatchObject({ line: expect.any(Number), column: expect.any(Number), frame: expect.any(String) });
  }
  expect(await rowCounts(stack.access)).toEqual(before);
});

test.each([
  ["is missing", () => join(stack.folder.dir, "no-such.yaml")],
  ["is a folder", () => stack.folder.dir],
  ["never ends", () => "/dev/zero"],
  ["is a pipe that nobody writes to", () => pipeWith("pipe.yaml")],
])("a DAG file that %s ends the command with TR-7004", async (_, path) => {
  const ended = await cli("deploy", path(), "--json");
  expect(ended).toMatchObject({ code: 1, stdout: "" });
  expectTold((JSON.parse(ended.stderr) as { error: never }).error, "TR-7004");
});

const listeners = {
  user: { path: "/v1/tasks", method: "GET" },
  worker: { path: "/v1/claims", method: "POST" },
  task: { path: "/v1/task", method: "GET" },
} as const;
type ListenerName = keyof typeof listeners;

function baseUrl(listener: ListenerName): string {
  return stack.access.endpoints[`${listener}_api`];
}

async function call(listener: ListenerName, token: string | undefined) {
  const { path, method } = listeners[listener];
  const body = method === "POST" ? "{}" : null;
  const answer = await fetch(`${baseUrl(listener)}${path}`, {
    method,
    body,
    headers: {
      ...(body === null ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  return { status: answer.status, type: answer.headers.get("content-type"), body: (await answer.json()) as unknown };
}

test("no token, a made-up one, and that of another listener open none of the three listeners", async () => {
  const claimed = await byHand.claim("token_dag", "token_out");
  const forgedLease = `${claimed.lease_token.slice(0, -2)}${claimed.lease_token.endsWith("AA") ? "BA" : "AA"}`;
  const own = {
    user: stack.folder.secret("api-token"),
    worker: stack.folder.secret("worker-token").split("\n")[0] ?? "",
    task: claimed.lease_token,
  };
  const before = await rowCounts(stack.access);
  for (const listener of ["user", "worker", "task"] as const) {
    const foreign = Object.entries(own).flatMap(([name, token]) => (name === listener ? [] : [token]));
    for (const token of [undefined, "x", `${own[listener]}x`, "A".repeat(54), forgedLease, ...foreign]) {
      const answer = await call(listener, token);
      expect(answer).toMatchObject({ status: 401, type: expect.stringContaining("application/problem+json") });
      const problem = problemSchema.parse(answer.body);
      expect(problem).toMatchObject({ code: "TR-1003", fix: expect.any(String) });
      // Nothing of a token is repeated, right or wrong.
      for (const secret of Object.values(own)) expect(JSON.stringify(problem)).not.toContain(secret);
    }
    expect((await call(listener, own[listener])).status).not.toBe(401);
  }
  expect(await rowCounts(stack.access)).toEqual(before);
  await byHand.giveUp(claimed.lease_token);
});

test("the command line with a wrong token ends with TR-1003 and exit code 1, with none with TR-7003", async () => {
  const wrong = fileWith("wrong-token", "trace_0000000000000000000000000000000000000000000\n");
  const refused = await cli("task", "list", "--token-file", wrong, "--json");
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expectTold((JSON.parse(refused.stderr) as { error: never }).error, "TR-1003");
  const none = await cli("task", "list", "--token-file", `${wrong}-missing`, "--json");
  expect(none).toMatchObject({ code: 1, stdout: "" });
  expectTold((JSON.parse(none.stderr) as { error: never }).error, "TR-7003");
});

interface Flood {
  readonly answer: string;
  /** What left this process at most: kernel buffers of both ends included. */
  readonly sentBytes: number;
}

const floodMsMax = 30_000;

/** Sends a body without end, as fast as it is taken, until the other side cuts the connection. */
function flood(
  listener: ListenerName,
  path: string,
  token: string | undefined,
  length: number | "chunked",
): Promise<Flood> {
  const { hostname, port } = new URL(baseUrl(listener));
  const spaces = Buffer.alloc(256 * 1024, 0x20);
  const piece =
    length === "chunked"
      ? Buffer.concat([Buffer.from(`${spaces.length.toString(16)}\r\n`), spaces, Buffer.from("\r\n")])
      : spaces;
  const head = [
    `POST ${path} HTTP/1.1`,
    "Host: localhost",
    "Content-Type: application/json",
    ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    length === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${length}`,
    "\r\n",
  ].join("\r\n");
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let answer = "";
    let pending = 0;
    let sentBytes = 0;
    const give = () => {
      while (!socket.destroyed && pending < 4) {
        pending += 1;
        socket.write(piece, (error) => {
          pending -= 1;
          if (error) return;
          sentBytes += piece.length;
          give();
        });
      }
    };
    const timer = setTimeout(() => socket.destroy(new Error("the connection was never cut")), floodMsMax);
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    socket.on("connect", () => {
      socket.write(head);
      give();
    });
    let failure: Error | undefined;
    socket.on("error", (error) => {
      failure = error;
    });
    socket.on("close", () => {
      clearTimeout(timer);
      if (failure !== undefined && (failure as NodeJS.ErrnoException).code === undefined) reject(failure);
      else resolve({ answer, sentBytes });
    });
  });
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

const fiveGb = 5 * 1024 * mib;

test.each([
  ["user", "/v1/dags"],
  ["worker", "/v1/sessions"],
  ["task", "/v1/task/progress"],
] as const)(
  "a body of 5 GB on the %s listener is refused at 32 MiB, whoever sends it and however",
  async (listener, path) => {
    const claimed = await byHand.claim(`flood_${listener}`, `flood_${listener}_out`);
    const tokens = {
      user: stack.folder.secret("api-token"),
      worker: stack.folder.secret("worker-token").split("\n")[0],
      task: claimed.lease_token,
    };
    const before = await rowCounts(stack.access);
    const pid = stack.pidOf("dispatcher");
    const rssBefore = residentBytes(pid);
    const known = await flood(listener, path, tokens[listener], fiveGb);
    const endless = await flood(listener, path, tokens[listener], "chunked");
    const [stranger, endlessStranger, nowhere] = await Promise.all([
      flood(listener, path, undefined, fiveGb),
      flood(listener, path, undefined, "chunked"),
      flood(listener, "/no/such/route", undefined, "chunked"),
    ]);
    for (const { answer } of [known, endless]) {
      expect(answer).toMatch(/^HTTP\/1\.1 413 /);
      expectTold(problemSchema.parse(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")), "TR-1001");
    }
    for (const { answer } of [stranger, endlessStranger]) expect(answer).toContain('"code":"TR-1003"');
    expect(nowhere.answer).toContain('"code":"TR-1005"');
    // Socket buffers of the two ends hold several MiB beyond what the listener has read.
    expect(endless.sentBytes).toBeLessThan(48 * mib);
    for (const { sentBytes } of [known, stranger, endlessStranger, nowhere]) expect(sentBytes).toBeLessThan(16 * mib);
    expect(residentBytes(pid) - rssBefore).toBeLessThan(100 * mib);
    expect(stack.pidOf("dispatcher")).toBe(pid);
    expect((await call(listener, tokens[listener])).status).toBeLessThan(500);
    expect(await rowCounts(stack.access)).toEqual(before);
    await byHand.giveUp(claimed.lease_token);
  },
);

test("a client of ours that sends too much is told so each time, and is not told that nobody answers", async () => {
  const source = "#".repeat(33 * mib);
  for (let call = 0; call < 6; call += 1) {
    expectTold(await refusalOf(deploy(stack.access, source)), "TR-1001");
  }
  expect((await deploy(stack.access, noopDag("after_flood", "1ms"))).changed).toBe(true);
});
