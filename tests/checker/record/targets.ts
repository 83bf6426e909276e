/** The dispatchers behind the recorder: calls are spread over those that answer, and go on to another one when refused. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { Via } from "../history/lines.ts";
import { answerMsMax, bodyBytesMax, waitForTargetMsMax, waitForTargetPollMs } from "./limits.ts";

export interface Target {
  /** Which dispatcher it is, in the history. */
  readonly index: number;
  readonly ports: Readonly<Record<Via, number>>;
}

export interface Forwarded {
  readonly via: Via;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Answer {
  readonly by: number;
  readonly status: number;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/** No answer came. `carried` is false when the call surely reached nobody. */
export class NoAnswer extends Error {
  readonly carried: boolean;

  constructor(why: string, carried: boolean) {
    super(why);
    this.carried = carried;
  }
}

const host = "127.0.0.1";

export class Targets {
  #targets: readonly Target[] = [];
  #turn = 0;
  // Each agent keeps connections by port, so one serves all dispatchers.
  readonly #agent = new Agent({ keepAlive: true });

  set(targets: readonly Target[]): void {
    this.#targets = targets;
  }

  stop(): void {
    this.#agent.destroy();
  }

  /** Asks one after another until one takes the call. What was taken is never sent again. Throws NoAnswer. */
  async send(call: Forwarded): Promise<Answer> {
    const untilMs = performance.now() + waitForTargetMsMax;
    for (;;) {
      const targets = this.#targets;
      this.#turn += 1;
      for (let n = 0; n < targets.length; n += 1) {
        const target = targets[(this.#turn + n) % targets.length];
        if (target === undefined) continue;
        try {
          return await this.#ask(target, call);
        } catch (error) {
          if (!(error instanceof NoAnswer) || error.carried) throw error;
        }
      }
      if (performance.now() >= untilMs) throw new NoAnswer("no dispatcher takes calls", false);
      await pause(waitForTargetPollMs);
    }
  }

  #ask(target: Target, call: Forwarded): Promise<Answer> {
    const { authorization, "content-type": type } = call.headers;
    return new Promise((resolve, reject) => {
      let connected = false;
      const request = httpRequest({
        host,
        port: target.ports[call.via],
        method: call.method,
        path: call.path,
        agent: this.#agent,
        timeout: answerMsMax,
        headers: {
          accept: "application/json",
          ...(authorization === undefined ? {} : { authorization }),
          ...(type === undefined ? {} : { "content-type": type }),
          "content-length": Buffer.byteLength(call.body),
        },
      });
      request.on("socket", (socket) => {
        connected = !socket.connecting;
        if (connected) return;
        socket.once("connect", () => {
          connected = true;
        });
      });
      request.on("timeout", () => request.destroy(new NoAnswer(`no answer within ${answerMsMax} ms`, true)));
      request.on("error", (error: NodeJS.ErrnoException) => {
        reject(error instanceof NoAnswer ? error : new NoAnswer(error.code ?? error.message, connected));
      });
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > bodyBytesMax) request.destroy(new NoAnswer("an answer is too long", true));
          else chunks.push(chunk);
        });
        response.on("aborted", () => reject(new NoAnswer("cut off in the middle of its answer", true)));
        response.on("error", (error) => reject(new NoAnswer(error.message, true)));
        response.on("end", () =>
          resolve({
            by: target.index,
            status: response.statusCode ?? 0,
            contentType: response.headers["content-type"] ?? "application/json",
            retryAfter: response.headers["retry-after"],
            body: Buffer.concat(chunks).toString("utf8"),
          }),
        );
      });
      request.end(call.body);
    });
  }
}
