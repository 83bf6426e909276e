/** Reads a history line by line and shows each call and its outcome to the rules of its route. */
import type { Via } from "../history/lines.ts";
import { start, taskApi } from "./attempts.ts";
import type { CallRules, OpenCall, Outcome } from "./calls.ts";
import { claim } from "./claims.ts";
import { complete, release } from "./ends.ts";
import { codeOf, type Fields, fieldsOf, numberOf, textOf } from "./json.ts";
import { closeSession, heartbeat, openSession } from "./sessions.ts";
import { cancelTasks, createTasks, replayTasks, retryTasks } from "./tasks.ts";
import { nsPerMs, type World } from "./world.ts";

/** By listener and route; what is between slashes and names something is `:id`. Others are counted and prove nothing. */
const routes: Readonly<Record<string, CallRules>> = {
  "worker POST /v1/sessions": openSession,
  "worker POST /v1/sessions/:id/heartbeat": heartbeat,
  "worker DELETE /v1/sessions/:id": closeSession,
  "worker POST /v1/claims": claim,
  "worker POST /v1/completions": complete,
  "worker POST /v1/releases": release,
  "worker POST /v1/starts": start,
  "user POST /v1/tasks": createTasks,
  "user POST /v1/tasks/cancel": cancelTasks,
  "user POST /v1/tasks/retry": retryTasks,
  "user POST /v1/tasks/replay": replayTasks,
  "task GET /v1/task": taskApi,
  "task GET /v1/task/inputs": taskApi,
  "task POST /v1/task/progress": taskApi,
};

const idPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Statuses that say nothing of what the call did: something broke behind the answer. */
function isUnknown(status: number): boolean {
  return status >= 500;
}

export class HistoryCheck {
  readonly #world: World;
  readonly #open = new Map<number, { readonly call: OpenCall; readonly rules: CallRules | undefined }>();
  #line = 0;
  #earliestOffsetNs = Number.POSITIVE_INFINITY;
  #latestOffsetNs = Number.NEGATIVE_INFINITY;

  constructor(world: World) {
    this.#world = world;
  }

  /** By how much the time of day moved against the monotonic clock, nanoseconds. */
  get clockStepNs(): number {
    return Math.max(0, this.#latestOffsetNs - this.#earliestOffsetNs);
  }

  read(line: number, value: unknown): void {
    this.#line = line;
    const fields = fieldsOf(value);
    if (fields.call !== undefined) this.#begin(fields);
    else if (fields.answer !== undefined) this.#settle(numberOf(fields.answer), fields);
    else if (fields.silence !== undefined) this.#settle(numberOf(fields.silence), fields);
    else if (fields.clock !== undefined) this.#clock(fields);
    else if (fields.note === undefined) throw new Error(`line ${line} of the history is none that is known`);
  }

  /** What was still on its way when the recording ended may have had any effect. */
  end(): void {
    for (const number of [...this.#open.keys()]) {
      this.#settle(number, { silence: number, at: Number.MAX_SAFE_INTEGER, carried: true });
    }
  }

  #begin(fields: Fields): void {
    const via = textOf(fields.via) as Via;
    const [method = "", path = ""] = textOf(fields.do).split(" ");
    const parts = path.split("/");
    const id = parts.find((part) => idPattern.test(part)) ?? "";
    const route = `${via} ${method} ${parts.map((part) => (part === id && id !== "" ? ":id" : part)).join("/")}`;
    const rules = routes[route];
    const { body, as } = fields;
    const number = numberOf(fields.call);
    const call = {
      call: number,
      start: numberOf(fields.at),
      line: this.#line,
      via,
      body,
      id,
      as: as as string | undefined,
    };
    this.#open.set(number, { call, rules });
    this.#world.verdict.count("calls");
    rules?.begin?.(this.#world, call);
  }

  #settle(number: number, fields: Fields): void {
    const open = this.#open.get(number);
    if (open === undefined)
      throw new Error(`line ${this.#line} of the history answers call ${number}, which is not open`);
    this.#open.delete(number);
    const outcome = this.#outcome(fields);
    if (outcome.kind === "unknown") this.#world.verdict.count("calls without a certain end");
    open.rules?.settle?.(this.#world, open.call, outcome);
  }

  #outcome(fields: Fields): Outcome {
    const at = numberOf(fields.at);
    const line = this.#line;
    const { body } = fields;
    if (fields.silence !== undefined) {
      return { kind: fields.carried === false ? "refused" : "unknown", at, line, body, code: "" };
    }
    const status = numberOf(fields.status);
    if (status >= 200 && status < 300) return { kind: "answered", at, line, body, code: "" };
    return { kind: isUnknown(status) ? "unknown" : "refused", at, line, body, code: codeOf(body) };
  }

  #clock(fields: Fields): void {
    const offsetNs = numberOf(fields.clock) * nsPerMs - numberOf(fields.at);
    this.#earliestOffsetNs = Math.min(this.#earliestOffsetNs, offsetNs);
    this.#latestOffsetNs = Math.max(this.#latestOffsetNs, offsetNs);
  }
}
