/** The files that are read. The large one takes a while to write and is kept in the cache of the checkout. */
import { copyFileSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Child } from "../harness/child.ts";
import { tinyRows } from "./limits.ts";
import type { FromEngine, ToEngine } from "./messages.ts";

const checkout = join(import.meta.dirname, "..", "..");
/** Real data that comes with the npm package vega-datasets (BSD-3-Clause). */
const flights = join(checkout, "node_modules", "vega-datasets", "data", "flights-3m.parquet");
const cache = join(checkout, ".cache", "bench");

export interface Source {
  readonly name: "large" | "single" | "tiny";
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
}

const rowsOfFlights = 3_000_000;

export async function openSource(
  name: Source["name"],
  engine: Child<ToEngine, FromEngine>,
  copies: number,
): Promise<Source> {
  if (!existsSync(flights))
    throw new Error(`${flights} is missing: install the development dependencies with 'npm ci'`);
  mkdirSync(cache, { recursive: true });
  const rows = { large: copies * rowsOfFlights, single: rowsOfFlights, tiny: tinyRows }[name];
  const path = join(cache, `flights-${rows}.parquet`);
  if (!existsSync(path)) {
    if (name === "single") copyFileSync(flights, path);
    else {
      // Renamed when it is whole: a run that was broken off leaves nothing that looks like a file.
      const target = `${path}.${process.pid}`;
      const how = name === "large" ? { copies, rows: null } : { copies: 1, rows: tinyRows };
      const made = await engine.ask({ kind: "make", source: flights, target, ...how }, "made");
      if (made.rows !== rows) throw new Error(`the ${name} file has ${made.rows} rows, not ${rows}`);
      renameSync(target, path);
    }
  }
  return { name, path, rows, bytes: statSync(path).size };
}
