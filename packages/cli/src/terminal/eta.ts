/** How long something will still take, said as the guess it is. Pure. */

const minuteMs = 60_000;
const hourMs = 3_600_000;

/** To the nearest `step`, never to nothing. */
function to(step: number, value: number): number {
  return Math.max(step, Math.round(value / step) * step);
}

/**
 * `about 2 min left`: the longer, the coarser, so that the figure does not jump about and pretends to nothing. Undefined is
 * not known.
 */
export function etaText(leftMs: number | undefined): string {
  if (leftMs === undefined || !Number.isFinite(leftMs)) return "time left unknown";
  if (leftMs < 4_000) return "a few seconds left";
  if (leftMs < 57_500) return `about ${to(5, leftMs / 1_000)} s left`;
  if (leftMs < 9.75 * minuteMs) {
    const halves = to(1, leftMs / (minuteMs / 2)) / 2;
    return `about ${halves} min left`;
  }
  if (leftMs < 57.5 * minuteMs) return `about ${to(5, leftMs / minuteMs)} min left`;
  if (leftMs < 9.75 * hourMs) return `about ${to(1, leftMs / (hourMs / 2)) / 2} h left`;
  if (leftMs < 24 * hourMs) return `about ${to(1, leftMs / hourMs)} h left`;
  return "more than a day left";
}
