/**
 * When a destination may be spoken to. One that cannot be reached is left alone, ever longer, and then tried with one call:
 * only when that came through do the others follow. The rows wait meanwhile, and nothing is held against them.
 */
import { backoffMs, type Log, type Random } from "@trace/kit";
import { lanePauseBaseMs, lanePauseMaxMs } from "../limits.ts";

export interface PauseOptions {
  /** For the log: "SQS cannot be reached; workers go on by polling". */
  readonly saying: string;
  readonly random: Random;
  readonly log: Log;
  readonly monotonicMs: () => number;
  onPaused(paused: boolean): void;
}

/** Leave to make calls. Whoever has it says how they went, once. */
export interface Turn {
  /** Only one call may be made: it is to show whether the destination is back, and nobody else calls meanwhile. */
  readonly probe: boolean;
  /** The destination took a call. */
  passed(): void;
  /** It did not. Several that fail together pause the lane once. */
  failed(error: unknown): void;
  /** There was nothing to say. */
  left(): void;
}

export class LanePause {
  readonly #options: PauseOptions;
  #failures = 0;
  #untilMs = 0;
  #probing: Turn | undefined;

  constructor(options: PauseOptions) {
    this.#options = options;
  }

  /** Undefined: nobody may call now. */
  enter(): Turn | undefined {
    const probe = this.#failures > 0;
    if (probe && (this.#probing !== undefined || this.#options.monotonicMs() < this.#untilMs)) return undefined;
    const turn: Turn = {
      probe,
      passed: () => this.#passed(turn),
      failed: (error) => this.#failed(turn, error),
      left: () => {
        if (this.#probing === turn) this.#probing = undefined;
      },
    };
    if (probe) this.#probing = turn;
    return turn;
  }

  /** A call that was begun before the pause and is answered in it says nothing new; only the probe ends a pause. */
  #passed(turn: Turn): void {
    if (this.#probing !== turn) return;
    this.#probing = undefined;
    this.#failures = 0;
    this.#options.onPaused(false);
    this.#options.log.info("the outbox lane goes on");
  }

  #failed(turn: Turn, error: unknown): void {
    if (this.#failures > 0 && this.#probing !== turn) return;
    this.#probing = undefined;
    const { log, monotonicMs, onPaused, random, saying } = this.#options;
    const rule = { baseMs: lanePauseBaseMs, maxMs: lanePauseMaxMs };
    const ms = Math.min(lanePauseMaxMs, backoffMs(rule, this.#failures, random));
    this.#untilMs = monotonicMs() + ms;
    if (this.#failures++ === 0) onPaused(true);
    log.warn({ error, pausedMs: Math.round(ms) }, `${saying}: the outbox lane pauses`);
  }
}
