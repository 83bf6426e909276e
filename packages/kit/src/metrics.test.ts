import { expect, test } from "vitest";
import { Metrics } from "./metrics.ts";

test("counts, gauges and histograms are told in Prometheus' text form with the role", async () => {
  const metrics = new Metrics({ role: "test", processMetrics: false });
  metrics.counter("things_total", "Things", ["kind"]).inc({ kind: "a" }, 3);
  metrics.gauge("depth", "Depth", [], (gauge) => gauge.set(7));
  metrics.histogram("seconds", "Time", ["route"]).observe({ route: "x" }, 0.2);
  const text = await metrics.text();
  expect(text).toContain('trace_things_total{kind="a",role="test"} 3');
  expect(text).toContain('trace_depth{role="test"} 7');
  expect(text).toContain('trace_seconds_bucket{le="0.25",role="test",route="x"} 1');
});

test("a gauge that cannot be asked is left out and counted; the rest of the page stays", async () => {
  const metrics = new Metrics({ role: "test", processMetrics: false });
  let away = false;
  metrics.gauge("depth", "Depth", ["queue"], (gauge) => {
    if (away) throw new Error("Postgres is away");
    gauge.set({ queue: "q" }, 1);
  });
  metrics.counter("things_total", "Things").inc();
  expect(await metrics.text()).toContain('trace_depth{queue="q"');
  away = true;
  const text = await metrics.text();
  expect(text).not.toContain('trace_depth{queue="q"');
  expect(text).toContain("trace_things_total");
  expect(await metrics.text()).toContain('trace_scrape_failures_total{metric="depth",role="test"}');
});

test("two registries of one process share nothing", async () => {
  const [one, two] = [1, 2].map((n) => new Metrics({ role: `r${n}`, processMetrics: false }));
  one?.counter("things_total", "Things").inc(5);
  two?.counter("things_total", "Things");
  expect(await two?.text()).toContain('trace_things_total{role="r2"} 0');
});
