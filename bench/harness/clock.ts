/** One clock for every process of a benchmark: CLOCK_MONOTONIC, which on one machine all of them read alike. */

/** Milliseconds since the machine started, with fractions. Comparable between processes; no change of the time of day shows. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
