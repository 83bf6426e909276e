/** TR-7xxx: the command line. */
import { defineErrors } from "./types.ts";

export const cliErrors = defineErrors({
  "TR-7001": { title: "Wrong use of a command", family: "terminal", httpStatus: 400 },
});
