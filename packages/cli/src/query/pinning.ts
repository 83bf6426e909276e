/**
 * Which versions of which datasets a query reads, settled once by the dispatcher before anything is fetched: what AT says, else
 * what `--as-of` says, else the head. All of it is one snapshot.
 */
import { type DatasetRequest, namePattern, type ResolvedDataset, TraceError } from "@trace/contracts";
import type { DuckAt, DuckTable } from "@trace/duck";
import type { Cli } from "../cli.ts";
import { withMeantName } from "../commands/dataset-names.ts";

/** `--as-of`: a commit, a moment, or a time that has passed since. */
export type AsOf =
  | { readonly kind: "commit"; readonly commit: number }
  | { readonly kind: "moment"; readonly moment: string }
  | { readonly kind: "ago"; readonly ms: number };

/** A table of the query and the dataset that answers it. */
export interface PinnedTable {
  readonly name: string;
  readonly at: DuckAt | undefined;
  readonly dataset: ResolvedDataset;
}

export interface AskedTable {
  readonly name: string;
  readonly at: DuckAt | undefined;
}

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `12`, `2026-11-24 07:00`, `2h`; `momentOf` reads a moment. Undefined for anything else. */
export function readAsOf(text: string, momentOf: (text: string) => string | undefined): AsOf | undefined {
  if (/^\d{1,15}$/.test(text) && Number(text) > 0) return { kind: "commit", commit: Number(text) };
  const ago = /^(\d{1,9})\s?(s|m|h|d|w)$/.exec(text.trim());
  if (ago !== null) return { kind: "ago", ms: Number(ago[1]) * (unitsMs[ago[2] ?? ""] ?? 0) };
  const moment = momentOf(text);
  return moment === undefined ? undefined : { kind: "moment", moment };
}

/** SQL does not mind case, datasets are lower case. Each table and version once. Throws TR-1006 for what can be no dataset. */
export function askedTables(tables: readonly DuckTable[]): AskedTable[] {
  const asked = new Map<string, AskedTable>();
  for (const { name: written, at } of tables) {
    const name = written.toLowerCase();
    if (!namePattern.test(name)) {
      throw new TraceError("TR-1006", {
        detail: `there is no dataset '${name.slice(0, 128)}'`,
        why: "a query reads datasets, and their names are lower-case letters, digits and _",
        fix: "see which there are: trace dataset list",
      });
    }
    asked.set(JSON.stringify([name, at]), { name, at });
  }
  return [...asked.values()];
}

/** Without versions, the plain form that every dispatcher understands. */
export function resolveBody(
  tables: readonly AskedTable[],
  asOf: AsOf | undefined,
  nowMs: number,
): { names: string[] } | { datasets: DatasetRequest[] } {
  if (asOf === undefined && tables.every((table) => table.at === undefined)) {
    return { names: tables.map((table) => table.name) };
  }
  const plain = tables.filter((table) => table.at === undefined);
  if (asOf?.kind === "commit" && plain.length > 1) {
    throw new TraceError("TR-7001", {
      detail: `--as-of ${asOf.commit} does not say of which dataset`,
      why: `commit numbers are a dataset's own, and the query reads ${plain.map((table) => table.name).join(" and ")}`,
      fix: `say it in the SQL: FROM ${plain[0]?.name ?? ""} AT (VERSION => ${asOf.commit}), or give --as-of a time`,
    });
  }
  return { datasets: tables.map((table) => requestOf(table, asOf, nowMs)) };
}

function requestOf({ name: dataset, at }: AskedTable, asOf: AsOf | undefined, nowMs: number): DatasetRequest {
  if (at?.unit === "version") return { dataset, version: at.value };
  if (at?.unit === "timestamp") return { dataset, timestamp: at.value };
  if (asOf?.kind === "commit") return { dataset, version: asOf.commit };
  if (asOf?.kind === "moment") return { dataset, timestamp: asOf.moment };
  return asOf === undefined ? { dataset } : { dataset, timestamp: new Date(nowMs - asOf.ms).toISOString() };
}

/** Throws what the dispatcher answers; an unknown name with the one that was meant. */
export async function pinTables(
  cli: Cli,
  tables: readonly AskedTable[],
  options: { readonly asOf?: AsOf | undefined; readonly signal: AbortSignal },
): Promise<PinnedTable[]> {
  if (tables.length === 0) return [];
  const asked = resolveBody(tables, options.asOf, cli.io.clock.nowMs());
  return await cli.withClient(async (client) => {
    try {
      const body = { ...asked, presign: true };
      const { datasets } = await client.resolveDatasets({ body }, { signal: options.signal });
      return tables.map((table, index) => {
        const dataset = datasets[index];
        if (dataset?.dataset !== table.name) {
          throw new TraceError("TR-1010", { detail: `the answer does not tell of '${table.name}'` });
        }
        return { ...table, dataset };
      });
    } catch (error) {
      const names = tables.map((table) => table.name);
      throw await withMeantName(client, error, names);
    }
  });
}
