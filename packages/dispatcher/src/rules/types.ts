/**
 * Types of columns as DuckDB writes them (`DECIMAL(18,3)`, `STRUCT(a INTEGER, "b c" VARCHAR)[]`), as far as it must be known which
 * of two holds every value of both. What is not understood is equal to itself and to nothing else.
 */

export type Type =
  | { readonly kind: "plain"; readonly name: string }
  | { readonly kind: "decimal"; readonly width: number; readonly scale: number }
  | { readonly kind: "list"; readonly of: Type }
  | { readonly kind: "map"; readonly key: Type; readonly value: Type }
  | { readonly kind: "struct"; readonly fields: readonly { readonly name: string; readonly type: Type }[] };

/** Levels of lists, maps and structs that are looked into; deeper types are compared as text. */
const typeDepthMax = 32;

/** Whole numbers: how many values, as bits, and whether below zero. */
const integers: Readonly<Record<string, { readonly bits: number; readonly signed: boolean }>> = {
  TINYINT: { bits: 8, signed: true },
  SMALLINT: { bits: 16, signed: true },
  INTEGER: { bits: 32, signed: true },
  BIGINT: { bits: 64, signed: true },
  HUGEINT: { bits: 128, signed: true },
  UTINYINT: { bits: 8, signed: false },
  USMALLINT: { bits: 16, signed: false },
  UINTEGER: { bits: 32, signed: false },
  UBIGINT: { bits: 64, signed: false },
};
/** Digits that hold every value of the type. */
const integerDigits: Readonly<Record<string, number>> = {
  TINYINT: 3,
  SMALLINT: 5,
  INTEGER: 10,
  BIGINT: 19,
  UTINYINT: 3,
  USMALLINT: 5,
  UINTEGER: 10,
  UBIGINT: 20,
};
/** Bits of whole numbers that a floating point type holds exactly (IEEE 754). */
const exactBits: Readonly<Record<string, number>> = { FLOAT: 24, DOUBLE: 53 };
const decimalWidthMax = 38;

/** A type that holds every value of both exactly; undefined when neither of them does. */
export function widest(a: Type, b: Type): Type | undefined {
  if (printType(a) === printType(b)) return a;
  if (isNull(a)) return b;
  if (isNull(b)) return a;
  if (a.kind === "list" && b.kind === "list") {
    const of = widest(a.of, b.of);
    return of && { kind: "list", of };
  }
  if (a.kind === "map" && b.kind === "map") {
    const key = widest(a.key, b.key);
    const value = widest(a.value, b.value);
    return key && value && { kind: "map", key, value };
  }
  if (a.kind === "struct" && b.kind === "struct") return widestStruct(a.fields, b.fields);
  if (holds(a, b)) return a;
  return holds(b, a) ? b : undefined;
}

type Fields = Extract<Type, { kind: "struct" }>["fields"];

/** As of whole rows: fields may be added, and may not go. */
function widestStruct(before: Fields, after: Fields): Type | undefined {
  const fields: { name: string; type: Type }[] = [];
  for (const field of before) {
    const now = after.find(({ name }) => name === field.name);
    const type = now && widest(field.type, now.type);
    if (type === undefined) return undefined;
    fields.push({ name: field.name, type });
  }
  return {
    kind: "struct",
    fields: [...fields, ...after.filter(({ name }) => !before.some((field) => field.name === name))],
  };
}

function isNull(type: Type): boolean {
  return type.kind === "plain" && type.name === '"NULL"';
}

/** Every value of `narrow` is one of `wide`, exactly. */
function holds(wide: Type, narrow: Type): boolean {
  if (wide.kind === "decimal") {
    if (narrow.kind === "decimal") {
      return wide.scale >= narrow.scale && wide.width - wide.scale >= narrow.width - narrow.scale;
    }
    const digits = narrow.kind === "plain" ? integerDigits[narrow.name] : undefined;
    return digits !== undefined && wide.width - wide.scale >= digits;
  }
  if (wide.kind !== "plain" || narrow.kind !== "plain") return false;
  const whole = integers[narrow.name];
  if (whole !== undefined) {
    const wider = integers[wide.name];
    if (wider !== undefined) {
      if (whole.signed) return wider.signed && wider.bits > whole.bits;
      return wider.bits > whole.bits || (!wider.signed && wider.bits === whole.bits);
    }
    return (exactBits[wide.name] ?? 0) >= whole.bits;
  }
  if (narrow.name === "FLOAT") return wide.name === "DOUBLE";
  return narrow.name === "DATE" && wide.name === "TIMESTAMP";
}

export function printType(type: Type): string {
  switch (type.kind) {
    case "plain":
      return type.name;
    case "decimal":
      return `DECIMAL(${type.width},${type.scale})`;
    case "list":
      return `${printType(type.of)}[]`;
    case "map":
      return `MAP(${printType(type.key)}, ${printType(type.value)})`;
    case "struct":
      return `STRUCT(${type.fields.map(({ name, type: of }) => `${printName(name)} ${printType(of)}`).join(", ")})`;
  }
}

/** Always in quotes: which words need them is the parser's business. */
function printName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Never throws: what it does not understand is a plain type of that text. */
export function parseType(text: string): Type {
  const reader = new Reader(text);
  const type = reader.type(0);
  return type !== undefined && reader.atEnd() ? type : { kind: "plain", name: text.trim() };
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    this.#spaces();
    return this.#at === this.#text.length;
  }

  type(depth: number): Type | undefined {
    if (depth > typeDepthMax) return undefined;
    let type = this.#base(depth);
    while (type !== undefined && this.#take("[]")) type = { kind: "list", of: type };
    return type;
  }

  #base(depth: number): Type | undefined {
    this.#spaces();
    const word = /^(?:[A-Za-z_][A-Za-z0-9_]*(?: WITH TIME ZONE)?|"NULL")/i.exec(this.#text.slice(this.#at))?.[0];
    if (word === undefined) return undefined;
    this.#at += word.length;
    const name = word.toUpperCase();
    if (name === "STRUCT" && this.#take("(")) return this.#struct(depth);
    if (name === "MAP" && this.#take("(")) {
      const key = this.type(depth + 1);
      const value = this.#take(",") ? this.type(depth + 1) : undefined;
      return key && value && this.#take(")") ? { kind: "map", key, value } : undefined;
    }
    if (name === "DECIMAL" && this.#take("(")) return this.#decimal();
    // Anything else in brackets (enumerations, lengths) is compared as text.
    return this.#text[this.#at] === "(" ? undefined : { kind: "plain", name };
  }

  #decimal(): Type | undefined {
    const found = /^\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)/.exec(this.#text.slice(this.#at));
    if (found === null) return undefined;
    this.#at += found[0].length;
    const [width, scale] = [Number(found[1]), Number(found[2])];
    return width <= decimalWidthMax && scale <= width ? { kind: "decimal", width, scale } : undefined;
  }

  #struct(depth: number): Type | undefined {
    const fields: { name: string; type: Type }[] = [];
    do {
      this.#spaces();
      const name = this.#name();
      const type = name === undefined ? undefined : this.type(depth + 1);
      if (name === undefined || type === undefined) return undefined;
      fields.push({ name, type });
    } while (this.#take(","));
    return this.#take(")") ? { kind: "struct", fields } : undefined;
  }

  #name(): string | undefined {
    const rest = this.#text.slice(this.#at);
    const found = /^(?:"((?:[^"]|"")*)"|([^\s"(),]+))/.exec(rest);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found[1]?.replaceAll('""', '"') ?? found[2];
  }

  #take(text: string): boolean {
    this.#spaces();
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #spaces(): void {
    while (this.#text[this.#at] === " ") this.#at += 1;
  }
}
