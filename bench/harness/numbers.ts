/** Medians, percentiles, and figures as people read them. */

/** The middle of the values, or the mean of the two in the middle. Throws on none: no figure is better than a made-up one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) throw new RangeError("the median of nothing");
  return (lower + upper) / 2;
}

/** The smallest value that at least `share` (0..1) of the values do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("a percentile of nothing");
  return value;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `51,000`: three digits that mean something, the others nought. */
export function rounded(value: number): string {
  if (value < 1_000) return whole.format(value);
  const step = 10 ** Math.floor(Math.log10(value) - 2);
  return whole.format(Math.round(value / step) * step);
}

export function perSecond(value: number): string {
  return `${rounded(value)}/s`;
}

export function milliseconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

export function ratio(value: number): string {
  return `${value.toFixed(2)}x`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
