/**
 * What a leaf of a Parquet schema is to DuckDB, and how its bounds are read. A leaf that is not in these tables has no type
 * here, and so is not judged: a file with it is refused.
 */
import type { SchemaNode, Thrift } from "./footer.ts";

/** Whole numbers, fractions, and bytes in unsigned order: each kind has one order, that of its column. */
export type Bound = bigint | number | Buffer;

export interface Leaf {
  readonly type: string;
  /** The bound, or undefined when these bytes are none (a wrong length, NaN). Undefined: bounds of this type are not judged. */
  readonly read?: (bytes: Uint8Array) => Bound | undefined;
  /** Its values are ordered as signed numbers, as the older pair of bounds presumes. */
  readonly signed?: boolean;
  /** The bound is text. */
  readonly isText?: boolean;
  /** Values that compare as no number are left out of bounds, and sort above all others. */
  readonly hidesNan?: boolean;
}

const physical = {
  boolean: 0,
  int32: 1,
  int64: 2,
  int96: 3,
  float: 4,
  double: 5,
  bytes: 6,
  fixed: 7,
} as const;

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const sized = (length: number, read: (view: DataView) => Bound | undefined) => (bytes: Uint8Array) =>
  bytes.length === length ? read(view(bytes)) : undefined;
const int32 = sized(4, (bytes) => BigInt(bytes.getInt32(0, true)));
const int64 = sized(8, (bytes) => bytes.getBigInt64(0, true));
const uint32 = sized(4, (bytes) => BigInt(bytes.getUint32(0, true)));
const uint64 = sized(8, (bytes) => bytes.getBigUint64(0, true));
/** -0 and 0 are one value; writers are told to write the one as a smallest and the other as a largest. */
const fraction = (value: number) => (Number.isNaN(value) ? undefined : value + 0);
const asBytes = (bytes: Uint8Array) => Buffer.from(bytes);
const times = (factor: bigint) => (bytes: Uint8Array) => {
  const value = int64(bytes);
  return typeof value === "bigint" ? value * factor : undefined;
};

/** Two's complement, big endian, as decimals in bytes are written. */
function bigEndian(bytes: Uint8Array): bigint | undefined {
  if (bytes.length === 0 || bytes.length > 16) return undefined;
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
}

const plain: Readonly<Record<number, Leaf>> = {
  [physical.boolean]: { type: "BOOLEAN", read: sized(1, (bytes) => (bytes.getUint8(0) === 0 ? 0n : 1n)), signed: true },
  [physical.int32]: { type: "INTEGER", read: int32, signed: true },
  [physical.int64]: { type: "BIGINT", read: int64, signed: true },
  // Its bounds were never defined.
  [physical.int96]: { type: "TIMESTAMP" },
  [physical.float]: {
    type: "FLOAT",
    read: sized(4, (bytes) => fraction(bytes.getFloat32(0, true))),
    signed: true,
    hidesNan: true,
  },
  [physical.double]: {
    type: "DOUBLE",
    read: sized(8, (bytes) => fraction(bytes.getFloat64(0, true))),
    signed: true,
    hidesNan: true,
  },
  [physical.bytes]: { type: "BLOB", read: asBytes },
  [physical.fixed]: { type: "BLOB", read: asBytes },
};

const text: Leaf = { type: "VARCHAR", read: asBytes, isText: true };

/** By physical type, then by converted type (parquet.thrift, ConvertedType). */
const converted: Readonly<Record<number, Readonly<Record<number, Leaf>>>> = {
  [physical.int32]: {
    6: { type: "DATE", read: int32, signed: true },
    7: { type: "TIME", read: sized(4, (bytes) => BigInt(bytes.getInt32(0, true)) * 1_000n), signed: true },
    11: { type: "UTINYINT", read: uint32 },
    12: { type: "USMALLINT", read: uint32 },
    13: { type: "UINTEGER", read: uint32 },
    15: { type: "TINYINT", read: int32, signed: true },
    16: { type: "SMALLINT", read: int32, signed: true },
    17: { type: "INTEGER", read: int32, signed: true },
  },
  [physical.int64]: {
    8: { type: "TIME", read: int64, signed: true },
    9: { type: "TIMESTAMP", read: times(1_000n), signed: true },
    10: { type: "TIMESTAMP", read: int64, signed: true },
    14: { type: "UBIGINT", read: uint64 },
    18: { type: "BIGINT", read: int64, signed: true },
  },
  [physical.bytes]: { 0: text, 4: text, 19: { type: "JSON", read: asBytes, isText: true } },
  [physical.fixed]: { 21: { type: "INTERVAL" } },
};

const decimalPhysical: Readonly<Record<number, (bytes: Uint8Array) => Bound | undefined>> = {
  [physical.int32]: int32,
  [physical.int64]: int64,
  [physical.bytes]: bigEndian,
  [physical.fixed]: bigEndian,
};

function flagged(value: unknown): value is Thrift {
  return typeof value === "object" && value !== null;
}

function decimal(node: SchemaNode): Leaf | undefined {
  const { precision, scale = 0 } = node;
  const read = decimalPhysical[node.type ?? -1];
  if (read === undefined || precision === undefined || precision < 1 || precision > 38 || scale > precision)
    return undefined;
  const signed = node.type === physical.int32 || node.type === physical.int64;
  return { type: `DECIMAL(${precision},${scale})`, read, signed };
}

/** Times and timestamps of 64 bits, whose zone and unit only the logical type tells. */
function temporal(logical: Thrift): Leaf | undefined {
  const stamp = logical.field_8;
  const time = logical.field_7;
  const about = flagged(stamp) ? stamp : flagged(time) ? time : undefined;
  if (about === undefined || !flagged(about.field_2)) return undefined;
  const { field_1: millis, field_2: micros, field_3: nanos } = about.field_2;
  if (Number(flagged(millis)) + Number(flagged(micros)) + Number(flagged(nanos)) !== 1) return undefined;
  const zoned = about.field_1 === true;
  const read = flagged(millis) ? times(1_000n) : int64;
  if (about === stamp) {
    if (!flagged(nanos)) return { type: zoned ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP", read, signed: true };
    return zoned ? undefined : { type: "TIMESTAMP_NS", read, signed: true };
  }
  // A time with a zone is kept without it; what its bounds are to readers is not judged.
  if (zoned) return { type: "TIME WITH TIME ZONE" };
  return flagged(nanos) ? undefined : { type: "TIME", read, signed: true };
}

/** What DuckDB makes of a leaf; undefined: we do not judge it. */
export function leafOf(node: SchemaNode): Leaf | undefined {
  const { logical, type } = node;
  if (type === undefined) return undefined;
  if (node.converted === 5) return decimal(node);
  if (type === physical.int64 && logical !== undefined && (flagged(logical.field_7) || flagged(logical.field_8)))
    return temporal(logical);
  if (type === physical.fixed && flagged(logical?.field_14))
    return node.length === 16 ? { type: "UUID", read: asBytes } : undefined;
  if (type === physical.fixed && flagged(logical?.field_15)) return undefined;
  if (node.converted !== undefined) return converted[type]?.[node.converted];
  if (type === physical.bytes && flagged(logical?.field_1)) return text;
  // A meaning that only newer readers know, and that is in no table here.
  if (logical !== undefined && Object.keys(logical).length > 0) return undefined;
  return plain[type];
}
