/** TR-5xxx: operators, the DuckDB child and the guard for outgoing HTTP. */
import { defineErrors } from "./types.ts";

export const operatorErrors = defineErrors({
  "TR-5001": { title: "Source file cannot be read", family: "terminal", httpStatus: 400 },
});
