/** TR-4xxx: datasets, staging, manifests, commits and the object store. */
import { defineErrors } from "./types.ts";

export const datasetErrors = defineErrors({
  "TR-4001": { title: "Manifest cannot be read", family: "terminal", httpStatus: 409 },
  "TR-4002": { title: "Manifest names a missing file", family: "retryable", httpStatus: 409 },
  "TR-4003": { title: "Manifest names a foreign file", family: "terminal", httpStatus: 409 },
  "TR-4004": { title: "Manifest does not match a stored file", family: "retryable", httpStatus: 409 },
  "TR-4005": { title: "Outputs do not match the job", family: "terminal", httpStatus: 409 },
  "TR-4006": { title: "Object store cannot be reached", family: "retryable", httpStatus: 503 },
  "TR-4007": { title: "Object store is full", family: "retryable", httpStatus: 507 },
  "TR-4008": { title: "Object store refused the call", family: "terminal", httpStatus: 502 },
  "TR-4009": { title: "Object too large to read", family: "terminal", httpStatus: 413 },
  "TR-4010": { title: "Input dataset does not exist", family: "terminal", httpStatus: 409 },
  "TR-4011": { title: "Dataset is written by another job", family: "terminal", httpStatus: 409 },
  "TR-4012": { title: "Input has no commit yet", family: "retryable", httpStatus: 409 },
});
