import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient, TraceError, workerRoutes } from "@trace/contracts";
import { HttpTransport, silentLog } from "@trace/kit";
import { afterEach, describe, expect, it } from "vitest";
import { predecessorMsMax } from "./limits.ts";
import { ownPlace } from "./owner.ts";
import { sessionFileName } from "./session-file.ts";
import { Bench, noopJob } from "./testing/bench.ts";
import { workerToken } from "./testing/fake-dispatcher.ts";
import { Workplace } from "./workplace.ts";

let bench: Bench;
afterEach(() => bench.stop());

const leaf = "worker-4194999-123-00000000";

/** What a worker leaves that was killed while it ran one task: a session with its lease, and its folder. */
async function killedWorker(place: string): Promise<{ sessionId: string; taskId: string }> {
  const transport = new HttpTransport({ baseUrl: bench.dispatcher.workerApi, token: async () => workerToken });
  const api = createClient(workerRoutes, transport.send);
  const taskId = bench.dispatcher.add(noopJob());
  const { session_id } = await api.openSession({ body: { worker: "killed", host: "here", pid: 4_194_999, slots: 1 } });
  await api.claim({ body: { session_id, queue: "default", task_ids: [taskId], max: 1 } });
  await transport.stop();
  await mkdir(join(bench.folder, "work", leaf), { recursive: true });
  const kept = JSON.stringify({ place, sessions: [session_id] });
  await writeFile(join(bench.folder, "work", leaf, sessionFileName), kept);
  return { sessionId: session_id, taskId };
}

async function keptBy(folder: string): Promise<string[]> {
  return JSON.parse(await readFile(join(folder, sessionFileName), "utf8")).sessions;
}

describe("the session of a worker that was killed", () => {
  it("is closed by the next one at its start, which gets its task without waiting for the lease to end", async () => {
    bench = await Bench.start({ idle: true });
    const { dispatcher, operator, worker } = bench;
    const { sessionId, taskId } = await killedWorker(await ownPlace());
    const closed = worker.predecessors.closed.next(10_000);
    await worker.start();
    expect(await closed).toBe(sessionId);
    expect(dispatcher.closed).toEqual([sessionId]);
    await bench.passUntil("the task", () => operator.started.length > 0);
    expect(operator.started[0]?.context.task.task_id).toBe(taskId);
    expect(await readdir(join(bench.folder, "work"))).not.toContain(leaf);
  });

  it("is left alone where its process id cannot be judged: another boot, another container", async () => {
    bench = await Bench.start({ idle: true });
    await killedWorker("another place");
    await bench.worker.start();
    await bench.waiting();
    await bench.pass(1);
    expect(bench.dispatcher.closed).toEqual([]);
  });

  it("is asked to be closed until the dispatcher answers, and kept for the next worker meanwhile", async () => {
    bench = await Bench.start({ idle: true });
    const { dispatcher, timers, worker } = bench;
    const { sessionId } = await killedWorker(await ownPlace());
    let refused = 0;
    dispatcher.before.close = () => {
      refused += 1;
      dispatcher.journal.note();
      if (refused < 3) throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    const closed = worker.predecessors.closed.next(10_000);
    await worker.start();
    await dispatcher.until("a refusal", () => refused === 1);
    const [own = ""] = (await readdir(join(bench.folder, "work"))).filter((name) => name.startsWith("worker-"));
    expect(await keptBy(join(bench.folder, "work", own))).toContain(sessionId);
    await timers.advanceUntil(closed, 10);
    expect(refused).toBe(3);
    expect(await keptBy(join(bench.folder, "work", own))).not.toContain(sessionId);
  });

  it("is given up when it must have ended by itself", async () => {
    bench = await Bench.start({ idle: true });
    const { dispatcher, timers, worker } = bench;
    await killedWorker(await ownPlace());
    dispatcher.before.close = () => {
      dispatcher.journal.note();
      throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    await worker.start();
    await dispatcher.until("a refusal", () => dispatcher.closed.length === 1);
    const fromMs = timers.monotonicMs();
    while (timers.monotonicMs() < fromMs + 2 * predecessorMsMax) await bench.pass(1);
    const tries = dispatcher.closed.length;
    await bench.pass(4);
    expect(tries).toBeGreaterThan(2);
    expect(dispatcher.closed).toHaveLength(tries);
  });

  it("is not looked for in what is no file of ours", async () => {
    bench = await Bench.start({ idle: true });
    await mkdir(join(bench.folder, "work", leaf), { recursive: true });
    const kept = { place: await ownPlace(), sessions: ["../../v1/else"] };
    await writeFile(join(bench.folder, "work", leaf, sessionFileName), JSON.stringify(kept));
    await bench.worker.start();
    await bench.waiting();
    expect(bench.dispatcher.closed).toEqual([]);
    expect(await readdir(join(bench.folder, "work"))).not.toContain(leaf);
  });
});

describe("the sessions of workers that share a folder", () => {
  it("stay open while their processes live", async () => {
    bench = await Bench.start();
    const other = new Workplace(join(bench.folder, "work"), silentLog());
    await other.start();
    expect(other.leftSessions).toEqual([]);
    const folders = (await readdir(join(bench.folder, "work"))).filter((name) => name.startsWith("worker-"));
    expect(folders).toHaveLength(2);
    await other.stop();
    expect(bench.dispatcher.closed).toEqual([]);
  });

  it("are found when a process was killed, and those of a process that still runs are not", async () => {
    bench = await Bench.start();
    const folder = join(bench.folder, "work");
    const sessionId = "0197c7a4-0000-7000-8000-000000000001";
    const script = `
      import { Workplace } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, "workplace.ts")).href)};
      const workplace = new Workplace(${JSON.stringify(folder)}, console);
      await workplace.start();
      await workplace.sessions.add(${JSON.stringify(sessionId)});
      console.log("kept");
      setInterval(() => undefined, 1_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
      cwd: import.meta.dirname,
    });
    await once(child.stdout, "data");
    const early = new Workplace(folder, silentLog());
    await early.start();
    expect(early.leftSessions).toEqual([]);
    child.kill("SIGKILL");
    await once(child, "exit");
    const next = new Workplace(folder, silentLog());
    await next.start();
    expect(next.leftSessions).toEqual([sessionId]);
    await Promise.all([early.stop(), next.stop()]);
  });

  it("are kept while they are open, and for the next worker where the dispatcher did not hear of their end", async () => {
    bench = await Bench.start({ drainMs: 0 });
    const { dispatcher, timers, worker } = bench;
    const folder = join(bench.folder, "work");
    const [own = ""] = (await readdir(folder)).filter((name) => name.startsWith("worker-"));
    expect(await keptBy(join(folder, own))).toEqual(dispatcher.opened);
    dispatcher.before.close = () => {
      throw new TraceError("TR-1009", { detail: "Postgres is away" });
    };
    await timers.advanceUntil(worker.stop());
    expect(await readdir(join(folder, own))).toEqual([sessionFileName]);
    expect(await keptBy(join(folder, own))).toEqual(dispatcher.opened);
  });

  it("are forgotten when they were closed", async () => {
    bench = await Bench.start();
    const { dispatcher, worker } = bench;
    const [own = ""] = (await readdir(join(bench.folder, "work"))).filter((name) => name.startsWith("worker-"));
    const opened = worker.sessions.opened.next(10_000);
    worker.sessions.current?.retire();
    await opened;
    await dispatcher.until("the first closed", () => dispatcher.closed.length === 1);
    await bench.pass(1);
    expect(await keptBy(join(bench.folder, "work", own))).toEqual([dispatcher.opened[1]]);
  });
});
