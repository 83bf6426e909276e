/** Names of DAGs and jobs as people type them: one that is not there gets the one that was meant. */
import { TraceError } from "@trace/contracts";
import type { UserClient } from "../cli.ts";
import { nearest } from "../nearest.ts";

interface Named {
  readonly dag?: string | undefined;
  readonly jobs?: readonly string[] | undefined;
}

interface Unknown {
  readonly detail: string;
  readonly name: string;
  readonly known: readonly string[];
  readonly fix: string;
}

function unknown(code: "TR-1006" | "TR-3010", { detail, name, known, fix }: Unknown): TraceError {
  const meant = nearest(name, known);
  return new TraceError(code, {
    detail,
    fix: meant === undefined ? fix : `did you mean '${meant}'? ${fix}`,
  });
}

/** TR-1006 or TR-3010 for the first of them that nothing deployed has, with the name that was probably meant. */
export async function unknownName(client: UserClient, { dag, jobs = [] }: Named): Promise<TraceError | undefined> {
  if (dag === undefined && jobs.length === 0) return undefined;
  const { dags } = await client.listDags({});
  const known = dags.map((one) => one.dag);
  if (dag !== undefined && !known.includes(dag)) {
    const fix =
      known.length === 0 ? "nothing is deployed yet: trace deploy FILE" : `deployed: ${known.slice(0, 12).join(", ")}`;
    return unknown("TR-1006", { detail: `there is no DAG '${dag}'`, name: dag, known, fix });
  }
  const among = dags
    .filter((one) => dag === undefined || one.dag === dag)
    .flatMap((one) => one.jobs.map((job) => job.name));
  const wrong = jobs.find((job) => !among.includes(job));
  if (wrong === undefined) return undefined;
  const fix = among.length === 0 ? "it has no jobs" : `jobs: ${among.slice(0, 12).join(", ")}`;
  const detail = `there is no job '${wrong}'${dag === undefined ? "" : ` in DAG '${dag}'`}`;
  return unknown("TR-3010", { detail, name: wrong, known: among, fix });
}

/** An error about a DAG or a job that is not there, with the name that was meant; any other error as it is. */
export async function withMeantDag(client: UserClient, error: unknown, named: Named): Promise<unknown> {
  if (!(error instanceof TraceError) || (error.code !== "TR-1006" && error.code !== "TR-3010")) return error;
  return (await unknownName(client, named)) ?? error;
}
