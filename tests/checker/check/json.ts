/** Reading what was recorded without trusting its form, and comparing what was said. */

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function numberOf(value: unknown): number {
  return typeof value === "number" ? value : Number.NaN;
}

/** The code of an error record or a problem document; empty when there is none. */
export function codeOf(error: unknown): string {
  return textOf(fieldsOf(error).code);
}

/** Values that mean the same have the same text: names in order, nothing that is undefined. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = value as Fields;
  const named = Object.keys(fields)
    .filter((name) => fields[name] !== undefined)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical(fields[name])}`);
  return `{${named.join()}}`;
}

/** Most attempts say one of a few things: each is kept once. */
export class Interner {
  readonly #kept = new Map<string, string>();

  of(text: string): string {
    if (text.length > internedCharsMax) return text;
    const found = this.#kept.get(text);
    if (found !== undefined) return found;
    if (this.#kept.size < internedMax) this.#kept.set(text, text);
    return text;
  }
}

const internedMax = 10_000;
const internedCharsMax = 400;
