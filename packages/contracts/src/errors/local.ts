/** TR-6xxx: the embedded stack: Postgres, S3, SQS, supervisor. */
import { defineErrors } from "./types.ts";

export const localErrors = defineErrors({
  "TR-6001": { title: "State folder is in use", family: "terminal", httpStatus: 409 },
});
