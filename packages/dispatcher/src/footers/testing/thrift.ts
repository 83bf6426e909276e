/** Writes Parquet footers by hand, honest and not: Thrift's compact protocol, and the smallest footer that is whole. */

export type Value =
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "i32"; readonly value: number }
  | { readonly type: "i64"; readonly value: number | bigint }
  | { readonly type: "binary"; readonly value: string | Uint8Array }
  | { readonly type: "list"; readonly value: readonly Value[] }
  | { readonly type: "struct"; readonly value: Fields }
  | { readonly type: "raw"; readonly code: number; readonly value: Uint8Array };
export type Fields = Readonly<Record<number, Value | undefined>>;

export const bool = (value: boolean): Value => ({ type: "bool", value });
export const i32 = (value: number): Value => ({ type: "i32", value });
export const i64 = (value: number | bigint): Value => ({ type: "i64", value });
export const binary = (value: string | Uint8Array): Value => ({ type: "binary", value });
export const list = (...value: Value[]): Value => ({ type: "list", value });
export const struct = (value: Fields): Value => ({ type: "struct", value });

const codes = { bool: 1, i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const;

export function varint(value: bigint | number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

function zigzag(value: bigint | number): Buffer {
  const whole = BigInt(value);
  return varint(whole >= 0n ? whole << 1n : (-whole << 1n) - 1n);
}

function codeOf(value: Value): number {
  if (value.type === "raw") return value.code;
  return value.type === "bool" && !value.value ? 2 : codes[value.type];
}

function encode(value: Value): Buffer {
  switch (value.type) {
    case "bool":
      return Buffer.alloc(0);
    case "i32":
    case "i64":
      return zigzag(value.value);
    case "binary": {
      const bytes = Buffer.from(value.value as Uint8Array);
      return Buffer.concat([varint(bytes.length), bytes]);
    }
    case "list": {
      const code = value.value[0] === undefined ? codes.struct : codeOf(value.value[0]);
      return Buffer.concat([Buffer.from([0xf0 | code]), varint(value.value.length), ...value.value.map(encode)]);
    }
    case "struct":
      return encodeStruct(value.value);
    case "raw":
      return Buffer.from(value.value);
  }
}

export function encodeStruct(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  let before = 0;
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    parts.push(Buffer.from([((Number(key) - before) << 4) | codeOf(value)]), encode(value));
    before = Number(key);
  }
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** A file that is nothing but pages of nought and this metadata. */
export function fileOf(metadata: Uint8Array, magic = "PAR1"): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(metadata.length);
  return Buffer.concat([Buffer.from("PAR1"), Buffer.alloc(pageBytes), metadata, length, Buffer.from(magic)]);
}

export const pageBytes = 100;

export interface Parts {
  readonly metadata?: Fields;
  readonly root?: Fields;
  readonly leaf?: Fields;
  readonly group?: Fields;
  readonly chunk?: Fields;
  readonly data?: Fields;
  readonly statistics?: Fields;
}

/** The footer of a file with one column `x BIGINT` of three rows, 1 to 3, with whatever is to be wrong in it. */
export function footerWith(parts: Parts = {}): Fields {
  const number = (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return binary(bytes);
  };
  const statistics = struct({ 3: i64(0), 5: number(3n), 6: number(1n), ...parts.statistics });
  const data = struct({
    1: i32(2),
    2: list(i32(0)),
    3: list(binary("x")),
    4: i32(0),
    5: i64(3),
    6: i64(40),
    7: i64(40),
    9: i64(4),
    12: statistics,
    ...parts.data,
  });
  const chunk = struct({ 2: i64(4), 3: data, ...parts.chunk });
  const group = struct({ 1: list(chunk), 2: i64(40), 3: i64(3), ...parts.group });
  const root = struct({ 4: binary("root"), 5: i32(1), ...parts.root });
  const leaf = struct({ 1: i32(2), 3: i32(1), 4: binary("x"), ...parts.leaf });
  return { 1: i32(1), 2: list(root, leaf), 3: i64(3), 4: list(group), ...parts.metadata };
}
