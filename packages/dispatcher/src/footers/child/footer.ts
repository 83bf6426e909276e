/**
 * From the bytes of a footer to what they say, believing none of it: each field is checked for its type, its sign and its
 * range as it is taken. Field numbers are those of parquet.thrift in apache/parquet-format.
 *
 * Only the Thrift reader of the library is used. Its own reading of the metadata rounds decimals and 64-bit integers to
 * doubles and leaves out what must be refused (encryption), so the meaning of the fields is ours.
 */
import { deserializeTCompactProtocol } from "hyparquet/src/thrift.js";
import { rowGroupsMax, schemaNodesMax } from "../limits.ts";

/** Says what is wrong with a footer, as the end of a sentence about it. */
export class FooterFault extends Error {}

/** A node of the schema, in the footer's own words. */
export interface SchemaNode {
  readonly name: string;
  /** Physical type; undefined for a group. */
  readonly type: number | undefined;
  readonly length: number | undefined;
  readonly repetition: number | undefined;
  readonly children: number;
  readonly converted: number | undefined;
  readonly scale: number | undefined;
  readonly precision: number | undefined;
  readonly fieldId: number | undefined;
  readonly logical: Thrift | undefined;
}

export interface Statistics {
  readonly min: Uint8Array | undefined;
  readonly max: Uint8Array | undefined;
  /** The older pair, whose order is that of signed numbers for every type. */
  readonly signedMin: Uint8Array | undefined;
  readonly signedMax: Uint8Array | undefined;
  readonly minExact: boolean;
  readonly maxExact: boolean;
  readonly nulls: number | undefined;
}

export interface ColumnChunk {
  readonly type: number;
  readonly path: readonly string[];
  readonly codec: number;
  readonly values: number;
  /** Where its pages begin in the file, and how long they are, bytes. */
  readonly start: number;
  readonly bytes: number;
  readonly statistics: Statistics | undefined;
}

export interface RowGroup {
  readonly rows: number;
  readonly columns: readonly ColumnChunk[];
}

export interface Footer {
  readonly rows: number;
  readonly schema: readonly SchemaNode[];
  readonly groups: readonly RowGroup[];
  /** By leaf: false where the footer names an order of values that we do not know. Empty: it names none. */
  readonly knownOrders: readonly boolean[];
}

export type Thrift = Readonly<Record<string, unknown>>;

const trailerBytes = 8;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `bytes`: from the first byte of the metadata to the end of the file. */
export function parseFooter(bytes: Uint8Array): Footer {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength - trailerBytes);
  const reader = { view, offset: 0 };
  const metadata: Thrift = deserializeTCompactProtocol(reader);
  if (reader.offset !== view.byteLength) throw new FooterFault("its metadata is shorter than the footer says");
  if (metadata.field_8 !== undefined || metadata.field_9 !== undefined) throw new FooterFault("it is encrypted");
  const schema = list(metadata.field_2, "the schema", schemaNodesMax).map(schemaNode);
  const groups = list(metadata.field_4, "the row groups", rowGroupsMax).map(rowGroup);
  const orders = metadata.field_7 === undefined ? [] : list(metadata.field_7, "the column orders", schemaNodesMax);
  return {
    rows: count(metadata.field_3, "the number of rows"),
    schema,
    groups,
    knownOrders: orders.map((order) => struct(order, "a column order").field_1 !== undefined),
  };
}

function schemaNode(value: unknown): SchemaNode {
  const node = struct(value, "a schema element");
  return {
    name: text(node.field_4, "the name of a column"),
    type: optional(node.field_1, (type) => small(type, "a physical type")),
    length: optional(node.field_2, (length) => small(length, "the length of a type")),
    repetition: optional(node.field_3, (repetition) => small(repetition, "a repetition")),
    children: optional(node.field_5, (children) => small(children, "a number of children")) ?? 0,
    converted: optional(node.field_6, (converted) => small(converted, "a converted type")),
    scale: optional(node.field_7, (scale) => small(scale, "a scale")),
    precision: optional(node.field_8, (precision) => small(precision, "a precision")),
    fieldId: optional(node.field_9, (id) => small(id, "a field id")),
    logical: optional(node.field_10, (logical) => struct(logical, "a logical type")),
  };
}

function rowGroup(value: unknown): RowGroup {
  const group = struct(value, "a row group");
  const columns = list(group.field_1, "the columns of a row group", schemaNodesMax).map(columnChunk);
  return { rows: count(group.field_3, "the rows of a row group"), columns };
}

function columnChunk(value: unknown): ColumnChunk {
  const chunk = struct(value, "a column of a row group");
  if (chunk.field_1 !== undefined) throw new FooterFault("a column of it lies in another file (`file_path`)");
  if (chunk.field_8 !== undefined || chunk.field_9 !== undefined) throw new FooterFault("a column of it is encrypted");
  const data = struct(chunk.field_3, "the metadata of a column");
  const first = count(data.field_9, "the offset of a data page");
  const dictionary = optional(data.field_11, (offset) => count(offset, "the offset of a dictionary")) ?? 0;
  return {
    type: small(data.field_1, "the type of a column"),
    path: list(data.field_3, "the path of a column", schemaNodesMax).map((part) => text(part, "the path of a column")),
    codec: small(data.field_4, "a codec"),
    values: count(data.field_5, "the values of a column"),
    start: dictionary > 0 ? Math.min(dictionary, first) : first,
    bytes: count(data.field_7, "the size of a column"),
    statistics: optional(data.field_12, statistics),
  };
}

function statistics(value: unknown): Statistics {
  const stats = struct(value, "statistics");
  const bound = (field: unknown) => optional(field, (bytes) => binary(bytes, "a smallest or largest value"));
  return {
    min: bound(stats.field_6),
    max: bound(stats.field_5),
    signedMin: bound(stats.field_2),
    signedMax: bound(stats.field_1),
    minExact: stats.field_8 !== false,
    maxExact: stats.field_7 !== false,
    nulls: optional(stats.field_3, (nulls) => count(nulls, "a number of nulls")),
  };
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

export function struct(value: unknown, what: string): Thrift {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as Thrift;
  throw new FooterFault(`${what} is missing or no structure`);
}

function list(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new FooterFault(`${what} are missing or no list`);
  if (value.length > max) throw new FooterFault(`${what} are ${value.length}; at most ${max} are read`);
  return value;
}

/** A 64-bit integer that counts something. */
function count(value: unknown, what: string): number {
  if (typeof value !== "bigint") throw new FooterFault(`${what} is missing or no 64-bit integer`);
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FooterFault(`${what} is out of range`);
  return Number(value);
}

/** A 32-bit integer or a value of an enumeration; none that we read may be negative. */
export function small(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isInteger(value)) throw new FooterFault(`${what} is missing or no integer`);
  if (value < 0) throw new FooterFault(`${what} is negative`);
  return value;
}

function binary(value: unknown, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new FooterFault(`${what} is no bytes`);
}

function text(value: unknown, what: string): string {
  try {
    return utf8.decode(binary(value, what));
  } catch (error) {
    if (error instanceof FooterFault) throw error;
    throw new FooterFault(`${what} is no UTF-8`);
  }
}
