/** TR-4xxx: datasets, staging, manifests and commits. */
import { defineErrors } from "./types.ts";

export const datasetErrors = defineErrors({
  "TR-4001": { title: "Manifest cannot be read", family: "terminal", httpStatus: 409 },
});
