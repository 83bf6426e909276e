/**
 * Histories made by hand: what callers said and were told, moment by moment, and the rows that were left. A scene is good
 * unless the test bends it.
 */

import { check } from "../check/check.ts";
import type { Verdict } from "../check/verdict.ts";
import type { CheckOptions } from "../check/world.ts";
import type { DumpAttempt, DumpCommit, DumpTask } from "../history/dump.ts";
import type { HistoryLine } from "../history/lines.ts";

export const ttlMs = 3_000;
export const timeoutMs = 20_000;
/** The timeout, the grace of the dispatcher, and the slack of the checker. */
export const deadlineMs = timeoutMs + 10_000 + 50;

/** Between what one caller hears and what it says next. */
const momentMs = 0.01;

type Body = Record<string, unknown>;

export function tokenOf(no: number): string {
  const bytes = Buffer.alloc(40, 7);
  bytes.writeBigInt64BE(BigInt(no), 8);
  return bytes.toString("base64url");
}

export function uuidOf(name: string): string {
  return `00000000-0000-7000-8000-${Buffer.from(name.padEnd(6, "_").slice(-6)).toString("hex")}`;
}

export const success = { kind: "success", outputs: [] };
export const failure = { kind: "failure", error: { code: "TR-5001", detail: "the file is broken" } };
export const stale = { accepted: false, error: { code: "TR-3001", detail: "stale" } };
export const completed = { accepted: true, attempt_state: "succeeded", task_state: "completed" };
export const failed = { accepted: true, attempt_state: "failed", task_state: "queued" };
export const released = { accepted: true };

export interface Claimed {
  readonly task: string;
  readonly no: number;
  readonly attempt?: number;
  /** Datasets that the job writes. */
  readonly staging?: readonly string[];
}

export class Scene {
  readonly lines: HistoryLine[] = [];
  readonly dump: (DumpTask | DumpCommit)[] = [];
  /** Milliseconds since the recording began. */
  nowMs = 1_000;
  /** Between a call and its answer. */
  latencyMs = 5;
  #calls = 0;

  wait(ms: number): this {
    this.nowMs += ms;
    return this;
  }

  /** The call's line alone, a moment after what was before; the answer comes when the test says so. */
  call(via: "user" | "worker" | "task", what: string, body?: unknown, as?: string): number {
    this.#calls += 1;
    this.wait(momentMs);
    const parts = { ...(body === undefined ? {} : { body }), ...(as === undefined ? {} : { as }) };
    this.lines.push({ call: this.#calls, at: this.nowMs * 1e6, via, do: what, ...parts });
    return this.#calls;
  }

  answer(call: number, body: unknown, status = 200): this {
    this.lines.push({ answer: call, at: this.nowMs * 1e6, status, by: 0, body });
    return this;
  }

  silence(call: number, carried = true): this {
    this.lines.push({ silence: call, at: this.nowMs * 1e6, why: "ECONNRESET", carried });
    return this;
  }

  /** A call and its answer, `latencyMs` later. */
  ask(via: "user" | "worker" | "task", what: string, body: unknown, answer: unknown, status = 200): this {
    const call = this.call(via, what, body);
    this.wait(this.latencyMs);
    return this.answer(call, answer, status);
  }

  open(session: string): this {
    const answer = { session_id: uuidOf(session), ttl_ms: ttlMs, beat_ms: ttlMs / 3 };
    return this.ask("worker", "POST /v1/sessions", { worker: session, host: "h", pid: 1 }, answer);
  }

  beat(session: string, leases: readonly number[] = [], lost: readonly number[] = []): this {
    return this.ask("worker", `POST /v1/sessions/${uuidOf(session)}/heartbeat`, { leases, progress: [] }, { lost });
  }

  /** Lets time pass while a session beats. */
  keep(session: string, ms: number): this {
    for (let left = ms; left > 0; left -= 1_000) this.wait(Math.min(left, 1_000)).beat(session);
    return this;
  }

  close(session: string): this {
    return this.ask("worker", `DELETE /v1/sessions/${uuidOf(session)}`, undefined, {});
  }

  create(...tasks: readonly string[]): this {
    const items = tasks.map(() => ({ dag: "dag", job: "work" }));
    const answers = tasks.map((task) => ({ task_id: uuidOf(task), created: true }));
    return this.ask("user", "POST /v1/tasks", { items }, { items: answers });
  }

  claim(session: string, ...claimed: readonly Claimed[]): this {
    const body = { session_id: uuidOf(session), queue: "default", task_ids: [], max: 100 };
    return this.ask("worker", "POST /v1/claims", body, claimAnswer(claimed));
  }

  complete(no: number, answer: Body = completed, result: Body = success): this {
    return this.ask("worker", "POST /v1/completions", completion(no, result), { items: [answer] });
  }

  release(no: number, answer: Body = released): this {
    return this.ask("worker", "POST /v1/releases", { items: [{ lease_token: tokenOf(no) }] }, { items: [answer] });
  }

  start(no: number, nonce: string, answer: Body = { accepted: true }): this {
    const items = [{ lease_token: tokenOf(no), nonce: uuidOf(nonce) }];
    return this.ask("worker", "POST /v1/starts", { items }, { items: [answer] });
  }

  act(action: "cancel" | "retry" | "replay", task: string, answer: Body): this {
    const item = { task_id: uuidOf(task), ...answer };
    return this.ask("user", `POST /v1/tasks/${action}`, { task_ids: [uuidOf(task)] }, { items: [item] });
  }

  /** A task as the dump has it: over, with one good attempt, unless bent. */
  row(task: string, attempts: readonly DumpAttempt[], parts: Partial<DumpTask> = {}): this {
    const last = attempts.at(-1);
    this.dump.push({
      task: uuidOf(task),
      places: ["outcome"],
      state: "completed",
      attempt: last === undefined ? 0 : last[1] - (last[2] === "released" ? 1 : 0),
      failures: attempts.filter(([, , state]) => state === "failed").length,
      failures_max: 3,
      lease_losses: attempts.filter(([, , state]) => state === "expired").length,
      lease_losses_max: 10,
      due_ms: null,
      slots_full: null,
      lease_live: null,
      error: null,
      attempts,
      ...parts,
    });
    return this;
  }

  commit(dataset: string, commit: number, task: string, lease: number): this {
    this.dump.push({ commit, dataset, generation: 1, task: uuidOf(task), lease });
    return this;
  }

  /** Checks what has been said; the dump only when the scene has rows. */
  async check(options: Partial<CheckOptions> = {}): Promise<Verdict> {
    const numbered = (values: readonly unknown[]) => values.map((value, index) => ({ line: index + 1, value }));
    return check(numbered(this.lines), this.dump.length === 0 ? undefined : numbered(this.dump), options);
  }

  /** The rules that the scene breaks, each as often as it does. */
  async broken(options: Partial<CheckOptions> = {}): Promise<string[]> {
    return (await this.check(options)).violations.map(({ rule }) => rule);
  }
}

export function attempt(no: number, number: number, state: string, code: string | null = null): DumpAttempt {
  return [no, number, state, code, code !== null, tokenOf(no)];
}

export function completion(no: number, result: Body = success) {
  return { items: [{ lease_token: tokenOf(no), result }] };
}

export function claimAnswer(claimed: readonly Claimed[]) {
  const tasks = claimed.map(({ task, no, attempt: number = 1, staging = [] }) => ({
    task_id: uuidOf(task),
    lease_no: no,
    lease_token: tokenOf(no),
    attempt: number,
    payload: {},
    job: 0,
    ...(staging.length === 0
      ? {}
      : { staging: staging.map((dataset) => ({ dataset, bucket: "b", prefix: `p/${no}/` })) }),
  }));
  return { tasks, jobs: [{ dag: "dag", job: {}, timeout_ms: timeoutMs }], more: false };
}
