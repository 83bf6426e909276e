/** The operators by name. A new one is a file here, a line here and its config in contracts. */
import type { ClaimedTask } from "@trace/contracts";
import { ingest } from "./ingest.ts";
import { noop } from "./noop.ts";
import type { Operator } from "./operator.ts";
import { sql } from "./sql.ts";

export const operators: Readonly<Record<ClaimedTask["job"]["operator"], Operator>> = { noop, ingest, sql };
