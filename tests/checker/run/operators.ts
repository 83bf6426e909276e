/** The operators of a run's workers: they do what the task's payload says, cheaply, and are real to the worker around them. */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type AttemptOutput, TraceError } from "@trace/contracts";
import type { Operator, OperatorContext } from "../../../packages/worker/src/operators/operator.ts";
import { stageOutputs } from "../../../packages/worker/src/staging/stage.ts";
import { wait } from "../../../packages/worker/src/timers.ts";
import type { Payload } from "./plan.ts";

/** A first attempt, as far as the task can tell. */
function isFirst(context: OperatorContext): boolean {
  return context.task.attempt === 1;
}

async function pass(context: OperatorContext, ms: number): Promise<void> {
  await wait(context.services.timers, ms, context.signal);
  context.signal.throwIfAborted();
}

async function act(context: OperatorContext): Promise<void> {
  const { plan, ms } = context.task.payload as unknown as Payload;
  switch (plan) {
    case "ok":
      return;
    case "slow":
    case "long":
      return pass(context, ms);
    case "flaky":
      if (!isFirst(context)) return;
      throw new TraceError("TR-3007", { detail: "the first attempt of a flaky task fails" });
    case "broken":
      throw new TraceError("TR-3007", { detail: "every attempt of a broken task fails" });
    case "terminal":
      throw new TraceError("TR-5009", { detail: "a task that cannot succeed" });
    case "hang":
      await new Promise<never>((_, reject) => {
        context.signal.addEventListener("abort", () => reject(context.signal.reason as Error), { once: true });
      });
  }
}

/** Writes nothing. */
const plain: Operator = {
  async run(context) {
    await act(context);
    return [];
  },
};

const rows = Buffer.from(JSON.stringify([{ id: 1 }, { id: 2 }]));

/** Stages one small file under the attempt's prefix, by the worker's own staging. */
const dataset: Operator = {
  async run(context): Promise<readonly AttemptOutput[]> {
    const path = join(await context.workDir(), "rows");
    // Two attempts of one task write different bytes: whose were committed is to be seen.
    const bytes = Buffer.concat([rows, createHash("sha256").update(String(context.task.lease_no)).digest()]);
    await writeFile(path, bytes);
    await act(context);
    const columns = [{ name: "id", type: "BIGINT" }];
    const files = [{ path, bytes: bytes.length, rows: 2, columns }];
    const outputs = context.task.staging.map(({ dataset }) => ({ dataset, columns, files, partitioned: false }));
    return stageOutputs(context, outputs);
  },
};

export const operators: Readonly<Record<string, Operator>> = { noop: plain, ingest: dataset };
