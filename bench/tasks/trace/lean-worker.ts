/**
 * A worker with nothing in it but the protocol: session and heartbeats, claims, completions, wake-ups. It keeps the rules of
 * the real one (packages/worker) and leaves out what a task costs there: a slot, a folder, a log, an operator. What it
 * measures is the dispatcher.
 *
 * Claims go on while the last one left work. When nothing is left, one claim waits at the dispatcher, and beside it SQS is
 * long-polled: what a message names is claimed, and the message deleted when those tasks have ended.
 */
import { createClient, workerRoutes } from "@trace/contracts";
import { type HttpTransport, MessageQueue } from "@trace/kit";
import { machineMs } from "../../harness/clock.ts";
import { leanWorker } from "../limits.ts";
import type { Payload } from "../messages.ts";
import { type BenchWorker, runWorker, type Tally } from "../worker.ts";
import {
  benchQueue,
  type ClaimAnswer,
  caller,
  type TraceEnvironment,
  traceEnvironment,
  transportTo,
} from "./environment.ts";

/** As the real worker does. */
const claimWaitMs = 5_000;
const claimWaitLeastMs = 1_000;
const retryMs = 250;
const receiveWaitSeconds = 20;
const visibilitySeconds = 30;
const sqsQueue = `trace-${benchQueue}`;

/** What one claim brought, until the last of its tasks has ended. */
interface Claimed {
  open: number;
  readonly receipts: readonly string[];
}

interface Held {
  readonly leaseNo: number;
  readonly token: string;
  readonly claimed: Claimed;
}

interface Named {
  readonly taskIds: readonly string[];
  readonly receipts: readonly string[];
}

class LeanWorker implements BenchWorker {
  readonly #tally: Tally;
  readonly #transport: HttpTransport;
  readonly #queue: MessageQueue;
  readonly #client;
  readonly #claim;
  readonly #complete;
  readonly #stop = new AbortController();
  /** Claimed, and its completion not sent. */
  readonly #held = new Set<number>();
  #sessionId = "";
  #free: number = leanWorker.slots;
  #claiming = 0;
  /** A claim waits at the dispatcher, or is not to be sent yet. */
  #waiting = false;
  /** Claims sent so far, the ones that wait aside: at the dispatcher each takes the place of one that waits. */
  #sent = 0;
  #completing = 0;
  /** The queue has more than was claimed, as far as is known; a session begins by asking. */
  #more = true;
  /** Wake-ups received and not claimed for. */
  #named: Named[] = [];
  #ran: Held[] = [];
  #timers: NodeJS.Timeout[] = [];
  #background = new Set<Promise<unknown>>();
  #idle: (() => void) | undefined;

  constructor(environment: TraceEnvironment, tally: Tally) {
    this.#tally = tally;
    this.#transport = transportTo(environment.workerApi, environment.workerToken);
    this.#client = createClient(workerRoutes, this.#transport.send);
    this.#claim = caller(this.#transport, workerRoutes.claim);
    this.#complete = caller(this.#transport, workerRoutes.complete);
    const { region, sqsEndpoint: endpoint, credentials } = environment;
    this.#queue = new MessageQueue({ endpoint, region, credentials });
  }

  async start(): Promise<void> {
    const body = { worker: "lean", host: "bench", pid: process.pid, slots: leanWorker.slots };
    const session = await this.#client.openSession({ body });
    this.#sessionId = session.session_id;
    this.#every(session.beat_ms, () => this.#beat());
    this.#pump();
    this.#go(this.#receive());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers) clearInterval(timer);
    while (this.#background.size > 0) await Promise.allSettled([...this.#background]);
    await this.#client.closeSession({ params: { session_id: this.#sessionId } });
    await this.#transport.stop();
    await this.#queue.stop();
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(setInterval(work, ms));
  }

  /** Work beside others, whose failure ends the measurement. */
  #go(work: Promise<unknown>): void {
    const settled = work
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.#tally.fail(error);
      })
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  #beat(): void {
    const beat = async () => {
      const leases = [...this.#held];
      const answer = await this.#client.heartbeat({ params: { session_id: this.#sessionId }, body: { leases } });
      // Those whose completion was sent meanwhile may be live no longer, and were not lost.
      const lost = answer.lost.filter((leaseNo) => this.#held.has(leaseNo));
      if (lost.length > 0) throw new Error(`${lost.length} leases were lost`);
    };
    this.#go(beat());
  }

  /** Does what can be done now. */
  #pump(): void {
    if (this.#stop.signal.aborted) return;
    while (this.#completing < leanWorker.completionsInFlight && this.#ran.length > 0) {
      // A full batch goes at once, a smaller one when none is on its way.
      if (this.#ran.length < leanWorker.completeBatch && this.#completing > 0) break;
      this.#go(this.#completeSome(this.#ran.splice(0, leanWorker.completeBatch)));
    }
    while (this.#claiming < leanWorker.claimsInFlight && this.#free >= leanWorker.claimBatch) {
      const named = this.#named.shift();
      if (named === undefined && !this.#more) break;
      this.#go(this.#claimSome(named));
    }
    if (this.#more || this.#named.length > 0) return;
    if (this.#claiming === 0 && !this.#waiting && this.#free > 0) this.#go(this.#claimNext());
    this.#idle?.();
  }

  async #claimSome(named: Named | undefined): Promise<void> {
    this.#tally.first();
    this.#claiming += 1;
    this.#sent += 1;
    const max = Math.max(leanWorker.claimBatch, named?.taskIds.length ?? 0);
    this.#free -= max;
    const sentMs = machineMs();
    const body = { session_id: this.#sessionId, queue: benchQueue, task_ids: [...(named?.taskIds ?? [])], max };
    const answer = await this.#claim({ body });
    this.#tally.claimed(machineMs() - sentMs);
    this.#claiming -= 1;
    this.#free += max - answer.tasks.length;
    this.#more = answer.more;
    if (answer.more && answer.tasks.length === 0) {
      // What is left is being claimed by the other call: asking at once again would spin.
      this.#more = this.#claiming > 0;
      if (!this.#more) setTimeout(() => this.#askAgain(), retryMs * (0.5 + Math.random()));
    }
    this.#run(answer, named?.receipts ?? []);
    this.#pump();
  }

  /** Nothing is left, as far as is known: what becomes ready answers this, or its time. */
  async #claimNext(): Promise<void> {
    this.#waiting = true;
    const max = Math.min(this.#free, leanWorker.claimBatch);
    this.#free -= max;
    const sent = this.#sent;
    const sentMs = machineMs();
    const wait_ms = Math.round(claimWaitMs * (0.5 + Math.random()));
    const body = { session_id: this.#sessionId, queue: benchQueue, task_ids: [], max, wait_ms };
    // Stopping breaks it off: what it may bring all the same is requeued by closing the session.
    const answer = await this.#claim({ body }, this.#stop.signal);
    this.#tally.claimed();
    this.#free += max - answer.tasks.length;
    const isNothing = answer.tasks.length === 0 && this.#sent === sent;
    const leftMs = wait_ms - (machineMs() - sentMs);
    if (isNothing && (answer.more || leftMs > wait_ms - claimWaitLeastMs)) {
      // What there is others are claiming, or the dispatcher does not wait: asking at once again would spin.
      const restMs = answer.more ? retryMs * (0.5 + Math.random()) : leftMs;
      setTimeout(() => this.#mayWait(), restMs).unref();
    } else {
      this.#waiting = false;
      if (answer.more) this.#more = true;
    }
    this.#run(answer, []);
    this.#pump();
  }

  #mayWait(): void {
    this.#waiting = false;
    this.#pump();
  }

  #askAgain(): void {
    this.#more = true;
    this.#pump();
  }

  #run(answer: ClaimAnswer, receipts: readonly string[]): void {
    const { handle } = this.#tally;
    const claimed: Claimed = { open: answer.tasks.length, receipts };
    for (const task of answer.tasks) {
      this.#held.add(task.lease_no);
      handle(task.payload as unknown as Payload);
      this.#ran.push({ leaseNo: task.lease_no, token: task.lease_token, claimed });
    }
    // Nothing of it is left to be had: others were faster.
    if (claimed.open === 0) this.#forget(receipts);
  }

  async #completeSome(batch: readonly Held[]): Promise<void> {
    this.#completing += 1;
    for (const { leaseNo } of batch) this.#held.delete(leaseNo);
    const items = batch.map(({ token }) => ({ lease_token: token, result: { kind: "success" as const } }));
    const answer = await this.#complete({ body: { items } });
    const refused = answer.items.find((item) => !item.accepted);
    if (refused !== undefined || answer.items.length !== batch.length) {
      throw new Error(`a completion was not accepted: ${JSON.stringify(refused)}`);
    }
    this.#completing -= 1;
    this.#free += batch.length;
    for (const { claimed } of batch) {
      claimed.open -= 1;
      if (claimed.open === 0) this.#forget(claimed.receipts);
    }
    this.#tally.ended(batch.length);
    this.#pump();
  }

  #forget(receipts: readonly string[]): void {
    if (receipts.length > 0) this.#go(this.#queue.delete(sqsQueue, receipts));
  }

  async #receive(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (this.#more || this.#named.length > 0) await this.#whenIdle(signal);
      if (signal.aborted) return;
      const messages = await this.#queue.receive(sqsQueue, receiveWaitSeconds, visibilitySeconds, signal);
      if (messages.length === 0) continue;
      this.#tally.wokenUp(messages.length);
      const bodies = messages.map((message) => JSON.parse(message.body) as { readonly task_ids: readonly string[] });
      const taskIds = [...new Set(bodies.flatMap((body) => body.task_ids))];
      this.#named.push({ taskIds, receipts: messages.map((message) => message.receipt) });
      this.#pump();
    }
  }

  /** Resolves when nothing is known to wait. */
  #whenIdle(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#idle = undefined;
        signal.removeEventListener("abort", done);
        resolve();
      };
      signal.addEventListener("abort", done, { once: true });
      this.#idle = done;
    });
  }
}

const environment = traceEnvironment(process.env);

runWorker(async (tally) => {
  const worker = new LeanWorker(environment, tally);
  await worker.start();
  return worker;
});
