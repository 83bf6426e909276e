/** TR-3xxx: tasks, attempts, leases and sessions. */
import { defineErrors } from "./types.ts";

export const taskErrors = defineErrors({
  "TR-3001": { title: "Stale lease", family: "terminal", httpStatus: 409 },
  "TR-3002": { title: "Worker session expired", family: "terminal", httpStatus: 409 },
  "TR-3003": { title: "Attempt already completed", family: "terminal", httpStatus: 409 },
  "TR-3004": { title: "Lease lost while running", family: "retryable", httpStatus: 409 },
  "TR-3005": { title: "Attempt ran past its deadline", family: "retryable", httpStatus: 408 },
  "TR-3006": { title: "Lease lost too often", family: "terminal", httpStatus: 409 },
  "TR-3007": { title: "Operator failed without a code", family: "retryable", httpStatus: 500 },
});
