/** The examples that come with Trace: their DAG files, and the real data that they read. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { TraceError } from "@trace/contracts";

/** Where Trace itself is. */
export const checkout = join(import.meta.dirname, "..", "..", "..");
const folder = join(checkout, "examples");
/** JSON Schema of DAG files, for the first line of those that are written. */
export const dagSchemaFile = join(checkout, "docs", "dag.schema.json");
/** Real data that comes with the npm package vega-datasets (BSD-3-Clause): files of USGS, FAA and others. */
const dataFolder = join(checkout, "node_modules", "vega-datasets", "data");

/** Names of the examples: each is a folder with a DAG file of its name. */
export function exampleNames(): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(exampleFile(name)))
    .sort();
}

export function exampleFile(name: string): string {
  return join(folder, name, `${name}.yaml`);
}

/** Throws TR-7013. */
export function exampleData(): string {
  if (existsSync(dataFolder)) return dataFolder;
  throw new TraceError("TR-7013", {
    detail: "the examples' data is not installed",
    where: dataFolder,
    fix: "install the development dependencies: 'npm ci'",
  });
}

export function inCheckout(path: string): boolean {
  return path === checkout || path.startsWith(`${checkout}/`);
}
