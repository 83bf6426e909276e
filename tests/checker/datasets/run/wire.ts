/** Calls to the dispatchers as JSON, each with when it was sent and answered. Nothing of the product is used to make them. */
import { setTimeout as pause } from "node:timers/promises";
import type { SeededRandom } from "../../../faults/random.ts";
import { answerMsMax, reachAgainMs, reachTriesMax } from "./limits.ts";

export type Via = "user" | "worker" | "task";

export interface Call {
  readonly via: Via;
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** Of the task API: the lease token. */
  readonly token?: string;
  /** The connection is cut after so many milliseconds, answer or not. */
  readonly cutMs?: number;
}

export interface Answer {
  readonly sentMs: number;
  /** Undefined: no answer came, and it may have had its effect. */
  readonly answeredMs: number | undefined;
  readonly status: number;
  readonly body: unknown;
}

export interface WireOptions {
  readonly urls: Readonly<Record<Via, readonly string[]>>;
  readonly tokens: Readonly<Record<"user" | "worker", string>>;
  readonly random: SeededRandom;
}

/** What surely reached nobody. */
const unreached = new Set(["ECONNREFUSED"]);

export class Wire {
  readonly #options: WireOptions;
  calls = 0;

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** By one of the dispatchers; by another one when that takes no calls. */
  async send(call: Call): Promise<Answer> {
    const { tokens, urls, random } = this.#options;
    const token = call.via === "task" ? (call.token ?? "") : tokens[call.via];
    for (let tries = 1; ; tries += 1) {
      const sentMs = performance.now();
      this.calls += 1;
      try {
        const answer = await fetch(random.pick(urls[call.via]) + call.path, {
          method: call.method,
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: call.body === undefined ? null : JSON.stringify(call.body),
          signal: AbortSignal.timeout(Math.ceil(call.cutMs ?? answerMsMax)),
        });
        const text = await answer.text();
        // 502 to 504 and 500 say nothing of what was done.
        const known = answer.status < 500;
        const body: unknown = text === "" ? undefined : JSON.parse(text);
        return { sentMs, answeredMs: known ? performance.now() : undefined, status: answer.status, body };
      } catch (error) {
        const cause = (error as { cause?: { code?: string } }).cause?.code ?? "";
        if (!unreached.has(cause) || tries === reachTriesMax)
          return { sentMs, answeredMs: undefined, status: 0, body: undefined };
        await pause(reachAgainMs);
      }
    }
  }
}

/** The code of a refusal, where the answer is one. */
export function codeOf({ status, body }: Answer): string | undefined {
  if (status < 400) return undefined;
  return (body as { code?: string } | undefined)?.code ?? `HTTP ${status}`;
}
