/** Names of datasets as people type them: one that is not there gets the one that was meant. */
import { type RouteAnswer, TraceError, type userRoutes } from "@trace/contracts";
import type { UserClient } from "../cli.ts";
import { nearest } from "../nearest.ts";
import { count } from "../terminal/format.ts";

export type DatasetDetail = RouteAnswer<(typeof userRoutes)["getDataset"]>;

/** Throws TR-1006 with the name that was probably meant. */
export async function getDataset(client: UserClient, name: string): Promise<DatasetDetail> {
  return await named(client, name, () => client.getDataset({ params: { name } }));
}

/** An unknown dataset's error with the nearest name that exists, or the error as it is. */
export async function withMeantName(client: UserClient, error: unknown, names: readonly string[]): Promise<unknown> {
  if (!(error instanceof TraceError) || error.code !== "TR-1006") return error;
  const known = (await client.listDatasets({})).datasets.map((dataset) => dataset.name);
  const wrong = names.find((name) => !known.includes(name));
  if (wrong === undefined) return error;
  const meant = nearest(wrong, known);
  const detail = `there is no dataset '${wrong}'`;
  if (known.length === 0) {
    const fix = "deploy a DAG file whose jobs write it: trace deploy FILE";
    return new TraceError("TR-1006", { detail, why: "nothing has been deployed yet", fix, cause: error });
  }
  const all = known.length === 1 ? "the only one" : `the ${count(known.length)} there are`;
  const question = meant === undefined ? "" : `did you mean '${meant}'? `;
  return new TraceError("TR-1006", { detail, fix: `${question}'trace dataset list' shows ${all}`, cause: error });
}

/** Does something with a dataset; of one that is not there, the error names the one that was meant. */
export async function named<T>(client: UserClient, name: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw await withMeantName(client, error, [name]);
  }
}
