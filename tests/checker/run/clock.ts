/**
 * Loaded before everything else in a worker of a run: its time of day is wrong by `TRACE_TEST_CLOCK_SKEW_MS`, and is set
 * again when its parent says so. Monotonic time is left alone, as the system leaves it alone.
 */
let skewMs = Number(process.env.TRACE_TEST_CLOCK_SKEW_MS ?? 0);
const RealDate = Date;

globalThis.Date = new Proxy(RealDate, {
  construct(target, args: unknown[], newTarget) {
    return Reflect.construct(target, args.length === 0 ? [RealDate.now() + skewMs] : args, newTarget) as object;
  },
  apply: () => new RealDate(RealDate.now() + skewMs).toString(),
  get(target, name, receiver) {
    if (name === "now") return () => RealDate.now() + skewMs;
    return Reflect.get(target, name, receiver) as unknown;
  },
});

process.on("message", (message: unknown) => {
  const { kind, ms } = (message ?? {}) as { kind?: unknown; ms?: unknown };
  if (kind === "clock" && typeof ms === "number") skewMs = ms;
});
