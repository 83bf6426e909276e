/** Places in a text, and the nearest known name: what makes an error message useful. */

/** "line 2, column 5" of a byte offset in UTF-8 text; undefined without a usable offset. */
export function placeOf(sql: string, byteOffset: number | undefined): string | undefined {
  if (byteOffset === undefined || !Number.isSafeInteger(byteOffset)) return undefined;
  const bytes = Buffer.from(sql, "utf8");
  if (byteOffset < 0 || byteOffset > bytes.length) return undefined;
  const lines = bytes.toString("utf8", 0, byteOffset).split("\n");
  return `SQL, line ${lines.length}, column ${(lines.at(-1) ?? "").length + 1}`;
}

/** The known name at the smallest edit distance, if it is at most a third of the name's length (at least 2). */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const reach = Math.max(2, Math.floor(name.length / 3));
  if (name.length > 128) return undefined;
  let best: string | undefined;
  let bestDistance = reach + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > reach) continue;
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
