/**
 * What a whole footer says: its counts agree with each other and with the size of the file, and each column has a type,
 * bounds and nulls over all row groups. Pure; throws a FooterFault for what no file of ours may say.
 */
import type { FooterColumn, FooterFacts } from "../facts.ts";
import { boundBytesMax, footerColumnsMax, nameCharsMax, schemaDepthMax, typeCharsMax } from "../limits.ts";
import { type ColumnChunk, type Footer, FooterFault, type SchemaNode } from "./footer.ts";
import { type Bound, type Leaf, leafOf } from "./leaves.ts";

/** Uncompressed, snappy, gzip, brotli, zstd, LZ4 raw: what readers read. */
const knownCodecs: ReadonlySet<number> = new Set([0, 1, 2, 4, 6, 7]);
const repeated = 2;

interface LeafAt {
  readonly node: SchemaNode;
  readonly path: readonly string[];
  /** Under a list or a map it has more or fewer values than the file has rows. */
  readonly repeats: boolean;
}

interface Tree {
  readonly node: SchemaNode;
  readonly children: readonly Tree[];
  /** The number of its first leaf. */
  readonly leaf: number;
}

export function gather(footer: Footer, fileBytes: number, footerBytes: number): FooterFacts {
  const leaves: LeafAt[] = [];
  const columns = grow(footer.schema, leaves);
  checkNames(columns);
  if (footer.knownOrders.length > 0 && footer.knownOrders.length !== leaves.length)
    throw new FooterFault(`it has ${leaves.length} leaves and ${footer.knownOrders.length} orders of them`);
  checkGroups(footer, leaves, fileBytes - footerBytes);
  return { rows: footer.rows, columns: columns.map((tree) => column(footer, tree)) };
}

/** The columns of the schema, which is a tree in depth-first order. Fills `leaves`. */
function grow(schema: readonly SchemaNode[], leaves: LeafAt[]): Tree[] {
  let at = 0;
  const next = (path: readonly string[], repeats: boolean): Tree => {
    const node = schema[at];
    if (node === undefined) throw new FooterFault("its schema names more children than it has elements");
    if (path.length > schemaDepthMax) throw new FooterFault(`its schema is deeper than ${schemaDepthMax} levels`);
    at += 1;
    const isRoot = at === 1;
    const own = isRoot ? [] : [...path, node.name];
    const inside = repeats || (!isRoot && node.repetition === repeated);
    const leaf = leaves.length;
    if (node.children > schema.length - at)
      throw new FooterFault("its schema names more children than it has elements");
    if ((node.type === undefined) !== node.children > 0)
      throw new FooterFault(`'${node.name}' is neither a value nor a group of values`);
    if (node.type !== undefined) leaves.push({ node, path: own, repeats: inside });
    const children: Tree[] = [];
    for (let child = 0; child < node.children; child += 1) children.push(next(own, inside));
    return { node, children, leaf };
  };
  const root = next([], false);
  if (root.node.type !== undefined) throw new FooterFault("its schema has no columns");
  if (at !== schema.length) throw new FooterFault("its schema has elements that belong to no column");
  return [...root.children];
}

function checkNames(columns: readonly Tree[]): void {
  if (columns.length > footerColumnsMax)
    throw new FooterFault(`it has ${columns.length} columns; a dataset takes ${footerColumnsMax}`);
  const seen = new Set<string>();
  for (const { node } of columns) {
    if (node.name === "" || node.name.length > nameCharsMax)
      throw new FooterFault(`it has a column whose name is empty or longer than ${nameCharsMax} characters`);
    // SQL does not tell case: the second of two such columns would have another name to each reader.
    const folded = node.name.toLowerCase();
    if (seen.has(folded)) throw new FooterFault(`it has the column '${node.name}' twice`);
    seen.add(folded);
  }
}

function checkGroups(footer: Footer, leaves: readonly LeafAt[], pagesEnd: number): void {
  let rows = 0;
  for (const [number, group] of footer.groups.entries()) {
    rows += group.rows;
    if (group.columns.length !== leaves.length)
      throw new FooterFault(`row group ${number} has ${group.columns.length} columns, its schema ${leaves.length}`);
    for (const [index, chunk] of group.columns.entries()) {
      const fault = chunkFault(chunk, leaves[index], group.rows, pagesEnd);
      if (fault !== undefined) throw new FooterFault(`row group ${number}, column '${chunk.path.join(".")}': ${fault}`);
    }
  }
  if (rows !== footer.rows) throw new FooterFault(`its row groups have ${rows} rows, the footer says ${footer.rows}`);
}

function chunkFault(chunk: ColumnChunk, leaf: LeafAt | undefined, rows: number, pagesEnd: number): string | undefined {
  if (leaf === undefined || chunk.type !== leaf.node.type) return "its type is not that of the schema";
  const samePath = chunk.path.length === leaf.path.length && chunk.path.every((part, at) => part === leaf.path[at]);
  if (!samePath) return `the schema has '${leaf.path.join(".")}' there`;
  if (!knownCodecs.has(chunk.codec)) return `codec ${chunk.codec} is none that readers know`;
  if (!leaf.repeats && chunk.values !== rows) return `it has ${chunk.values} values in a row group of ${rows} rows`;
  // Four bytes of magic begin the file. What has no values may have no pages.
  if (chunk.values > 0 && (chunk.start < 4 || chunk.bytes === 0 || chunk.start + chunk.bytes > pagesEnd))
    return `bytes ${chunk.start} to ${chunk.start + chunk.bytes} are not all pages of this file`;
  if ((chunk.statistics?.nulls ?? 0) > chunk.values) return "it has more nulls than values";
  return undefined;
}

function column(footer: Footer, tree: Tree): FooterColumn {
  const { name } = tree.node;
  const fieldId = tree.node.fieldId ?? null;
  const text = typeOf(tree, 0);
  const type = text !== undefined && text.length <= typeCharsMax ? text : null;
  const leaf = tree.children.length === 0 && tree.node.repetition !== repeated ? leafOf(tree.node) : undefined;
  if (leaf === undefined) return { name, type, fieldId, min: null, max: null, nulls: null };
  const chunks = footer.groups.map((group) => group.columns[tree.leaf] as ColumnChunk);
  const nulls = chunks.map((chunk) => chunk.statistics?.nulls);
  const known = nulls.every((count) => count !== undefined);
  const ordered = footer.knownOrders[tree.leaf] !== false;
  // No number is in no bound, and sorts above all: what is largest among the others is not what is largest.
  const max = ordered && leaf.hidesNan !== true ? extreme(leaf, chunks, "max") : undefined;
  return {
    name,
    type,
    fieldId,
    min: told(leaf, ordered ? extreme(leaf, chunks, "min") : undefined),
    max: told(leaf, max),
    nulls: known ? nulls.reduce((sum, count) => sum + count, 0) : null,
  };
}

/** The smallest or largest over all row groups; undefined as soon as one that has values does not tell. */
function extreme(leaf: Leaf, chunks: readonly ColumnChunk[], which: "min" | "max"): Bound | undefined {
  let found: Bound | undefined;
  for (const { values, statistics } of chunks) {
    if (values === (statistics?.nulls ?? 0)) continue;
    const exact = which === "min" ? statistics?.minExact : statistics?.maxExact;
    const [plain, old] =
      which === "min" ? [statistics?.min, statistics?.signedMin] : [statistics?.max, statistics?.signedMax];
    const bytes = plain ?? (leaf.signed === true ? old : undefined);
    const bound = exact === true && bytes !== undefined ? leaf.read?.(bytes) : undefined;
    if (bound === undefined) return undefined;
    const order = found === undefined ? 0 : compare(bound, found);
    if (found === undefined || (which === "min" ? order < 0 : order > 0)) found = bound;
  }
  return found;
}

function compare(a: Bound, b: Bound): number {
  if (Buffer.isBuffer(a) && Buffer.isBuffer(b)) return Buffer.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** In the canonical form of values.ts. */
function told(leaf: Leaf, bound: Bound | undefined): string | null {
  if (bound === undefined) return null;
  if (!Buffer.isBuffer(bound)) return String(bound);
  if (bound.length > boundBytesMax) return null;
  if (leaf.isText !== true) return bound.toString("hex");
  const text = bound.toString("utf8");
  return Buffer.from(text, "utf8").equals(bound) ? text : null;
}

/** As rules/types.ts prints it; undefined when some part of it is not judged. */
function typeOf(tree: Tree, depth: number): string | undefined {
  const { node, children } = tree;
  if (children.length === 0) return node.repetition === repeated ? undefined : leafOf(node)?.type;
  const [only] = children;
  const isList = node.converted === 3 || node.logical?.field_3 !== undefined;
  const isMap = node.converted === 1 || node.converted === 2 || node.logical?.field_2 !== undefined;
  if (depth > 0 && node.repetition === repeated) return undefined;
  if (isList || isMap) {
    if (children.length !== 1 || only?.node.repetition !== repeated) return undefined;
    const parts = only.children.map((child) => typeOf(child, depth + 1));
    if (parts.some((part) => part === undefined)) return undefined;
    if (isList) return parts.length === 1 ? `${parts[0]}[]` : undefined;
    return parts.length === 2 ? `MAP(${parts[0]}, ${parts[1]})` : undefined;
  }
  if (node.repetition === repeated || node.converted !== undefined) return undefined;
  if (node.logical !== undefined && Object.keys(node.logical).length > 0) return undefined;
  const parts = children.map((child) => ({ name: child.node.name, type: typeOf(child, depth + 1) }));
  if (parts.some((part) => part.type === undefined)) return undefined;
  return `STRUCT(${parts.map((part) => `${quoted(part.name)} ${part.type}`).join(", ")})`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
