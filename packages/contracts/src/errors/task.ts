/** TR-3xxx: tasks, attempts, leases and sessions. */
import { defineErrors } from "./types.ts";

export const taskErrors = defineErrors({
  "TR-3001": { title: "Stale lease", family: "terminal", httpStatus: 409 },
  "TR-3002": { title: "Worker session is over", family: "terminal", httpStatus: 409 },
  "TR-3003": { title: "Attempt already completed", family: "terminal", httpStatus: 409 },
  "TR-3004": { title: "Lease lost while running", family: "retryable", httpStatus: 409 },
  "TR-3005": { title: "Attempt ran past its timeout", family: "retryable", httpStatus: 408 },
  "TR-3006": { title: "Lease lost too often", family: "terminal", httpStatus: 409 },
  "TR-3007": { title: "Operator failed without a code", family: "retryable", httpStatus: 500 },
  "TR-3008": { title: "Worker is stopping", family: "retryable", httpStatus: 503 },
  "TR-3010": { title: "No such job", family: "terminal", httpStatus: 404 },
  "TR-3011": { title: "A task for this output is live already", family: "terminal", httpStatus: 409 },
  "TR-3012": { title: "Unknown operator", family: "terminal", httpStatus: 400 },
  "TR-3013": { title: "Attempt was started by another invocation", family: "terminal", httpStatus: 409 },
  "TR-3014": { title: "Task is over", family: "terminal", httpStatus: 409 },
  "TR-3015": { title: "Task is not over", family: "terminal", httpStatus: 409 },
  "TR-3016": { title: "Task was canceled", family: "terminal", httpStatus: 409 },
  "TR-3017": { title: "Job has no such partition", family: "terminal", httpStatus: 400 },
  "TR-3018": { title: "Run has too many tasks", family: "terminal", httpStatus: 400 },
});
