/**
 * GeoJSON (RFC 7946) FeatureCollections as a table: `id` (text), one column per property, `geometry_type`, and
 * `coordinates` - a list of doubles where every geometry is a point, otherwise JSON.
 *
 * A property whose name is one of those three, in any case, is called `property_<name>` (again with `property_` in front
 * while that is taken too), so the three always mean the feature's own, whatever a file brings.
 */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { geojsonBytesMax } from "../limits.ts";
import type { DuckColumn, DuckInput } from "../types.ts";
import { jsonInference } from "./columns.ts";
import type { Engine } from "./engine.ts";
import { Refusal } from "./gate.ts";
import {
  declaredAs,
  extract,
  isDelicate,
  type Readings,
  requireNames,
  type Settled,
  settle,
  structOf,
} from "./json.ts";
import { globs, identifier, literal } from "./quote.ts";

const ownColumns = ["id", "geometry_type", "coordinates"];
/** What inference says of `coordinates` when all geometries are points. */
const pointTypes = ["DOUBLE[]", "BIGINT[]", "UBIGINT[]", "HUGEINT[]"];

export async function geojsonQuery(engine: Engine, input: DuckInput): Promise<string> {
  const objectBytes = Math.max(16 * 1024 * 1024, largest(input.files) + 1024);
  const read = (options: string) =>
    `read_json(${globs(input.files)}, compression = 'uncompressed', format = 'auto', records = true, hive_partitioning = false, ` +
    `maximum_object_size = ${objectBytes}, ${options})`;
  const inference = jsonInference(input.files);

  const top = await engine.describe(`SELECT * FROM ${read(inference)}`);
  const features = top.find((column) => column.name === "features");
  if (features?.type.endsWith("[]") !== true) throw notACollection(input);
  requireNames(features.type);

  // From here on the inferred type is taken apart; the file is not read again until the query.
  const parts = await fieldsOf(engine, features.type.slice(0, -2));
  const typeOf = (name: string) => parts.find((part) => part.name === name)?.type ?? "JSON";
  const types = await propertiesOf(engine, input, await fieldsOf(engine, typeOf("properties")), {
    inferred: `SELECT unnest(f.properties) FROM (SELECT unnest(features) AS f FROM ${read(inference)})`,
    again: (reads) => {
      const features = `STRUCT(properties ${structOf(reads)})[]`;
      return `SELECT unnest(f.properties) FROM (SELECT unnest(features) AS f FROM ${read(`columns = {'features': ${literal(features)}}`)})`;
    },
  });
  const inGeometry = await fieldsOf(engine, typeOf("geometry"));
  const coordinates = inGeometry.find((part) => part.name === "coordinates")?.type;
  const allPoints = coordinates === undefined || pointTypes.includes(coordinates);

  const propertyType =
    types.size === 0 ? "JSON" : structOf(new Map([...types].map(([name, { read }]) => [name, read])));
  const featureType = `STRUCT(id JSON, properties ${propertyType}, geometry STRUCT("type" VARCHAR, coordinates ${allPoints ? "DOUBLE[]" : "JSON"}))[]`;
  const columns = [
    `f.id->>'$' AS id`,
    ...columnNames([...types.keys()]).map(([property, column]) => {
      const type = types.get(property)?.type ?? "JSON";
      return `CAST(${extract("f.properties", property)} AS ${type}) AS ${identifier(column)}`;
    }),
    "f.geometry.type AS geometry_type",
    "f.geometry.coordinates AS coordinates",
  ];
  return `SELECT ${columns.join(", ")} FROM (SELECT unnest(features) AS f FROM ${read(`columns = {'features': ${literal(featureType)}}`)})`;
}

/** The properties and how each is read; declared ones as declared. */
async function propertiesOf(
  engine: Engine,
  input: DuckInput,
  found: readonly DuckColumn[],
  readings: Readings,
): Promise<Map<string, Settled>> {
  const declared = new Map(
    Object.entries(withoutOwn(input.columns ?? {})).map(([name, type]) => [name.toLowerCase(), { name, type }]),
  );
  const types = new Map<string, Settled>();
  const open = found.filter(({ name, type }) => !declared.has(name.toLowerCase()) && isDelicate(type));
  const settled = await settle(engine, open, readings);
  for (const { name, type } of found) {
    const own = declared.get(name.toLowerCase());
    declared.delete(name.toLowerCase());
    types.set(name, own === undefined ? (settled.get(name) ?? { read: type, type }) : declaredAs(own.type));
  }
  for (const { name, type } of declared.values()) types.set(name, declaredAs(type));
  return types;
}

/** Each property with the name of its column. */
export function columnNames(properties: readonly string[]): [property: string, column: string][] {
  const taken = new Set([...ownColumns, ...properties.map((name) => name.toLowerCase())]);
  return properties.map((property) => {
    if (!ownColumns.includes(property.toLowerCase())) return [property, property];
    let column = `property_${property}`;
    while (taken.has(column.toLowerCase())) column = `property_${column}`;
    taken.add(column.toLowerCase());
    return [property, column];
  });
}

/** A declared `id`, `geometry_type` or `coordinates` means the feature's own, whose type is fixed. */
function withoutOwn(declared: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(declared).filter(([name]) => !ownColumns.includes(name.toLowerCase())));
}

/** The fields of a STRUCT type. JSON stands for "nothing to infer from": no features, or only nulls. */
async function fieldsOf(engine: Engine, type: string): Promise<DuckColumn[]> {
  if (!type.startsWith("STRUCT(")) return [];
  return engine.describe(`SELECT unnest(part) FROM (SELECT CAST(NULL AS ${type}) AS part)`);
}

function largest(files: readonly string[]): number {
  const sizes = files.map((file) => ({ file, bytes: statSync(file).size }));
  const [first] = sizes.sort((a, b) => b.bytes - a.bytes);
  if (first !== undefined && first.bytes > geojsonBytesMax) {
    throw new Refusal({
      code: "TR-5206",
      detail: `The GeoJSON file has ${first.bytes} bytes; at most ${geojsonBytesMax} are read in one file.`,
      where: basename(first.file),
      why: "A FeatureCollection is one JSON object and is held in memory whole.",
      fix: "Split it into several FeatureCollections, or convert it to newline-delimited JSON and use format json.",
    });
  }
  return first?.bytes ?? 0;
}

function notACollection(input: DuckInput): Refusal {
  return new Refusal({
    code: "TR-5206",
    detail: "The file is JSON, but not a GeoJSON FeatureCollection.",
    where: input.files
      .map((file) => basename(file))
      .slice(0, 5)
      .join(", "),
    why: "There is no list named 'features' at its top.",
    fix: 'Use format json for plain JSON, or wrap the features: {"type": "FeatureCollection", "features": [...]}.',
  });
}
