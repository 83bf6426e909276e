/**
 * Finds what a misspelt word was meant to be. Written here because the whole need is thirty lines, and a bounded
 * distance (which gives up early) is what keeps a file with thousands of names fast.
 */

/**
 * Optimal string alignment distance (insert, delete, replace, swap of neighbours), or `max + 1` as soon as it is sure
 * to exceed `max`.
 */
export function editDistance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
      if (cost < least) least = cost;
    }
    if (least > max) return max + 1;
    beforeLast = last;
    last = row;
  }
  return Math.min(last[b.length] ?? max + 1, max + 1);
}

/** How far a word may be from its meaning: one slip in a short word, up to three in a long one. */
function slipsAllowed(word: string): number {
  return word.length <= 3 ? 1 : word.length <= 8 ? 2 : 3;
}

/** The known word nearest to `word`, or undefined when none is near. Case is ignored. Equal words do not count. */
export function nearest(word: string, known: Iterable<string>, slipsMax = slipsAllowed(word)): string | undefined {
  // No known word is longer than a name, so a very long word cannot be a slip of one.
  if (word.length > 256) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = slipsMax + 1;
  for (const candidate of known) {
    if (candidate === word) continue;
    const distance = editDistance(lower, candidate.toLowerCase(), bestDistance - 1);
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
    if (bestDistance === 0) break;
  }
  return best;
}
