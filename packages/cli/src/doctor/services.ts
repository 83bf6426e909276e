/** Checks of a running stack: does each part answer, does the token work, do the clocks agree. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { clockSkewFailMs, clockSkewWarnMs, outboxAgeWarnMs, portMsMax } from "../limits.ts";
import type { PostgresEndpoint } from "../state/endpoints.ts";
import { count, duration, plural } from "../terminal/format.ts";
import { traceVersion } from "../version.ts";
import { type Check, type DoctorWorld, type Finding, fail, type NamedFinding, ok, skip, warn } from "./check.ts";
import { localChecks, ports } from "./local.ts";

interface HttpAnswer {
  readonly status: number;
  readonly date: string | undefined;
  readonly text: string;
}

/** The beginning of an answer is enough for a doctor. */
const answerBytesMax = 16 * 1024;

function get(url: string, signal: AbortSignal): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? httpsRequest : httpRequest;
    const call = request(url, { signal, agent: false }, (response) => {
      let text = "";
      const done = () => resolve({ status: response.statusCode ?? 0, date: response.headers.date, text });
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length <= answerBytesMax) return;
        done();
        call.destroy();
      });
      response.on("end", done);
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

function refusal(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

const restart = "see its log ('logs' in the state folder); the supervisor restarts it, and 'trace up' starts all of it";

async function ready(role: string, url: string, signal: AbortSignal): Promise<NamedFinding> {
  try {
    const { status, text } = await get(new URL("/readyz", url).href, signal);
    if (status === 200) return { name: role, ...ok(`ready, ${url}`) };
    return { name: role, ...fail(`not ready: ${reasonIn(text)}`, restart) };
  } catch (error) {
    return { name: role, ...fail(`does not answer at ${url}: ${refusal(error)}`, restart) };
  }
}

function reasonIn(text: string): string {
  try {
    const { reason } = JSON.parse(text) as { reason?: unknown };
    if (typeof reason === "string") return reason.slice(0, 300);
  } catch {
    // Not JSON: the beginning of it is shown as it is.
  }
  return text.slice(0, 100);
}

/** Any HTTP answer means that somebody is there; rights are tried by using it. */
async function answers(url: string, signal: AbortSignal): Promise<Finding> {
  try {
    await get(url, signal);
    return ok(`answers, ${url}`);
  } catch (error) {
    return fail(`does not answer at ${url}: ${refusal(error)}`, restart);
  }
}

/** The first message of Postgres' protocol that needs no account: is encryption offered? (PostgreSQL docs, 54.7 SSLRequest.) */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

function postgresAnswers(server: PostgresEndpoint, signal: AbortSignal): Promise<Finding> {
  const place = `${server.host}:${server.port}`;
  return new Promise((resolve) => {
    const socket = connect({ host: server.host, port: server.port, signal });
    const end = (finding: Finding) => {
      socket.destroy();
      resolve(finding);
    };
    socket.on("connect", () => socket.write(sslRequest));
    socket.on("data", (answer: Buffer) => {
      const spoken = answer[0] === 0x4e || answer[0] === 0x53;
      end(spoken ? ok(`answers, ${place}`) : fail(`what answers at ${place} is not Postgres`, restart));
    });
    socket.on("error", (error) => end(fail(`does not answer at ${place}: ${refusal(error)}`, restart)));
    socket.on("close", () => end(fail(`closed the connection at ${place}`, restart)));
  });
}

const noWorker =
  "tasks wait until there is one: 'trace up' runs one; its log says why it is gone ('logs' in the state folder)";

/** Pure. Of another version the command line may ask for what the dispatcher does not know. */
export function judgeVersions(own: string, dispatcher: string): Finding {
  if (own === dispatcher) return ok(`${own}, as the dispatcher's`);
  return warn(
    `this is ${own}, the dispatcher is ${dispatcher}`,
    "run both from one version: install it, and start the stack again",
  );
}

async function api(world: DoctorWorld): Promise<NamedFinding[]> {
  const system = await world.withClient((client) => client.getSystem({}));
  const { workers, queues, outbox } = system;
  const waiting = queues.reduce((sum, queue) => sum + queue.ready, 0);
  const running = queues.reduce((sum, queue) => sum + queue.leased, 0);
  const work = `${plural(workers.length, "worker")}, ${plural(waiting, "task")} waiting, ${count(running)} running`;
  return [
    { name: "user api", ...ok(`version ${system.version}, schema ${system.schema_version}; the token works`) },
    { name: "version", ...judgeVersions(traceVersion, system.version) },
    { name: "workers", ...(workers.length > 0 ? ok(work) : warn(work, noWorker)) },
    { name: "outbox", ...judgeOutbox(outbox) },
  ];
}

/** Pure. */
export function judgeOutbox(outbox: { pending: number; oldest_ms: number | null; failed: number }): Finding {
  if (outbox.failed > 0) {
    return warn(
      `${plural(outbox.failed, "message")} given up`,
      "see why: trace outbox list; once that is mended: trace outbox requeue --all. The tasks themselves are safe",
    );
  }
  const age = outbox.oldest_ms ?? 0;
  const detail = `${plural(outbox.pending, "message")} to send`;
  if (age <= outboxAgeWarnMs) return ok(detail);
  return warn(
    `${detail}, the oldest for ${duration(age)}`,
    "SQS does not take them: see 'sqs' here and the dispatcher's log",
  );
}

/** Pure. `serverDate` is an HTTP Date header, which has whole seconds. */
export function judgeClock(serverDate: string | undefined, nowMs: number, whose = "the dispatcher"): Finding {
  const serverMs = Date.parse(serverDate ?? "");
  if (Number.isNaN(serverMs)) return skip(`${whose} sent no date`);
  const skewMs = Math.max(0, Math.abs(nowMs - (serverMs + 500)) - 500);
  if (skewMs <= clockSkewWarnMs) return ok(`agrees with ${whose}'s`);
  const detail = `${duration(skewMs)} away from ${whose}'s`;
  const fix = "set the time of both machines by NTP; signatures are refused beyond 5 minutes";
  return skewMs > clockSkewFailMs ? fail(detail, fix) : warn(detail, fix);
}

function listening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: portMsMax });
    const end = (found: boolean) => {
      socket.destroy();
      resolve(found);
    };
    socket.on("connect", () => end(true));
    socket.on("timeout", () => end(false));
    socket.on("error", () => end(false));
  });
}

function notRunning(world: DoctorWorld): Finding {
  const fix = "start it: trace up";
  if (world.holder === undefined) return warn("no stack runs here", fix);
  return fail(
    "the state folder is held, and says nothing about where the stack answers",
    "wait until it has started, or see its log",
  );
}

export function serviceChecks(world: DoctorWorld): Check[] {
  const group = "services";
  const { endpoints } = world;
  const base = world.url ?? endpoints?.user_api;
  if (base === undefined) {
    return [
      { name: "stack", group, find: () => Promise.resolve(notRunning(world)) },
      { name: "ports", group, find: () => ports(listening) },
    ];
  }
  const checks: Check[] = [
    { name: "user api", group, find: () => api(world) },
    { name: "clock", group, find: async (signal) => judgeClock((await get(base, signal)).date, world.clock.nowMs()) },
  ];
  // Somewhere else than on this machine, only the API is ours to ask.
  if (
    endpoints === undefined ||
    (world.url !== undefined && new URL(world.url).origin !== new URL(endpoints.user_api).origin)
  ) {
    return checks;
  }
  const roles = Object.entries(endpoints.ops);
  return [
    { name: "roles", group, find: (signal) => Promise.all(roles.map(([role, url]) => ready(role, url, signal))) },
    ...checks,
    { name: "postgres state", group, find: (signal) => postgresAnswers(endpoints.postgres.state, signal) },
    { name: "postgres data", group, find: (signal) => postgresAnswers(endpoints.postgres.data, signal) },
    { name: "s3", group, find: (signal) => answers(endpoints.s3, signal) },
    {
      name: "clock of s3",
      group,
      find: async (signal) => judgeClock((await get(endpoints.s3, signal)).date, world.clock.nowMs(), "the store"),
    },
    { name: "sqs", group, find: (signal) => answers(endpoints.sqs, signal) },
    ...localChecks(world, endpoints),
  ];
}
