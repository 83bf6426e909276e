/**
 * Progress of one piece of work of this command: a bar that is redrawn on a terminal, a line every 10 s elsewhere, nothing at
 * all where nobody is spoken to. When the work has ended nothing of it is left: the command says the total.
 */
import type { Progress } from "@trace/contracts";
import type { Cli } from "../cli.ts";
import { progressAfterMs, redrawMs, runLineEveryMs } from "../limits.ts";
import { ProgressMeter, progressLine } from "../runs/progress.ts";
import { LiveBlock } from "./live.ts";

export class ProgressReport {
  readonly #cli: Cli;
  readonly #label: string;
  readonly #meter = new ProgressMeter();
  readonly #block: LiveBlock | undefined;
  readonly #startedMs: number;
  #shownMs: number;

  constructor(cli: Cli, label: string) {
    this.#cli = cli;
    this.#label = label;
    this.#startedMs = cli.io.clock.nowMs();
    this.#shownMs = this.#startedMs;
    const { stderr, env } = cli.io;
    const drawn = stderr.isTTY && env.TERM !== "dumb" && !cli.json && !cli.options.quiet;
    this.#block = drawn ? new LiveBlock(stderr) : undefined;
  }

  show(progress: Omit<Progress, "message">): void {
    const nowMs = this.#cli.io.clock.nowMs();
    const whole = { ...progress, message: this.#label };
    this.#meter.take(whole, nowMs);
    // What is over at once would only flicker.
    if (nowMs - this.#startedMs < progressAfterMs) return;
    if (nowMs - this.#shownMs < (this.#block === undefined ? runLineEveryMs : redrawMs)) return;
    this.#shownMs = nowMs;
    const { errWidth: width, errColors: palette } = this.#cli;
    if (this.#block === undefined) this.#cli.say(progressLine(whole, this.#meter, { nowMs }));
    else this.#block.draw([progressLine(whole, this.#meter, { nowMs, bar: { width, palette } })]);
  }

  end(): void {
    this.#block?.erase();
  }
}
