/**
 * What Postgres can keep of the texts that callers send. JSON allows two things that Postgres does not: NUL in a string,
 * and half of a surrogate pair. Nesting is bounded as well: parsers on both sides recurse.
 */

/** Levels of arrays and objects in a JSON value of a caller's. */
export const jsonDepthMax = 64;

const replacement = "\ufffd";

/** For words of our own making (errors, progress): what cannot be kept becomes U+FFFD, the rest stays. */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll("\0", replacement);
}

/** The same for every text of a flat record; the other members stay as they are. */
export function storableRecord<T extends object>(record: T): T {
  const entries = Object.entries(record).map(([key, value]) => [
    key,
    typeof value === "string" ? storableText(value) : value,
  ]);
  return Object.fromEntries(entries) as T;
}

function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** Why Postgres could not keep this JSON value unchanged; undefined when it can. Data of users is refused, never altered. */
export function unstorable(value: unknown): string | undefined {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > jsonDepthMax) return `it is nested more than ${jsonDepthMax} levels deep`;
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one === "string" && !isStorable(one)) return "a text in it holds NUL or half of a character";
      if (typeof one !== "object" || one === null) continue;
      for (const [key, member] of Object.entries(one)) {
        if (!isStorable(key)) return "a name in it holds NUL or half of a character";
        next.push(member);
      }
    }
    level = next;
  }
  return undefined;
}
