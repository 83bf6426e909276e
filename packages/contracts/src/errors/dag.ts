/** TR-2xxx: DAG files. */
import { defineErrors } from "./types.ts";

export const dagErrors = defineErrors({
  "TR-2001": { title: "Malformed YAML", family: "terminal", httpStatus: 400 },
});
