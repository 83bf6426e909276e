/** Metrics of one process, in Prometheus' text form. A registry per role instance, so that tests do not share counts. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export type Labels = Readonly<Record<string, string | number>>;

export class Metrics {
  readonly #registry = new Registry();
  readonly #prefix = "trace_";

  readonly #scrapeFailures: Counter<"metric">;

  constructor(options: { role: string; processMetrics?: boolean }) {
    this.#registry.setDefaultLabels({ role: options.role });
    this.#scrapeFailures = this.counter(
      "scrape_failures_total",
      "Metrics left out of a scrape, because they could not be asked",
      ["metric"],
    );
    if (options.processMetrics !== false) collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `${this.#prefix}${name}`, help, labelNames, registers: [this.#registry] });
  }

  /** `collect`, when given, is asked at each scrape. */
  gauge<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    collect?: (gauge: Gauge<L>) => void | Promise<void>,
  ): Gauge<L> {
    // What cannot be asked now (Postgres is away) is left out of this scrape; the rest of the page must not go with it.
    const collected = async (gauge: Gauge<L>) => {
      try {
        await collect?.(gauge);
      } catch {
        gauge.reset();
        this.#scrapeFailures.inc({ metric: name });
      }
    };
    return new Gauge({
      name: `${this.#prefix}${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      ...(collect === undefined
        ? {}
        : {
            collect() {
              return collected(this as unknown as Gauge<L>);
            },
          }),
    });
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    labelNames: readonly L[] = [],
    buckets: number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  ): Histogram<L> {
    return new Histogram({ name: `${this.#prefix}${name}`, help, labelNames, buckets, registers: [this.#registry] });
  }
}
