/** TR-1xxx: calls to an API of Trace. */
import { defineErrors } from "./types.ts";

export const apiErrors = defineErrors({
  "TR-1000": { title: "Internal error", family: "retryable", httpStatus: 500 },
  "TR-1001": { title: "Request body too large", family: "terminal", httpStatus: 413 },
  "TR-1002": { title: "Request does not fit the contract", family: "terminal", httpStatus: 400 },
  "TR-1003": { title: "Missing or wrong token", family: "terminal", httpStatus: 401 },
  "TR-1004": { title: "Foreign Host or Origin header", family: "terminal", httpStatus: 403 },
  "TR-1005": { title: "No such route", family: "terminal", httpStatus: 404 },
  "TR-1006": { title: "No such object", family: "terminal", httpStatus: 404 },
  "TR-1007": { title: "Service cannot be reached", family: "retryable", httpStatus: 503 },
  "TR-1008": { title: "Service is stopping or not ready", family: "retryable", httpStatus: 503 },
  "TR-1009": { title: "Postgres state cannot be reached", family: "retryable", httpStatus: 503 },
  "TR-1010": { title: "Answer does not fit the contract", family: "retryable", httpStatus: 502 },
  "TR-1011": { title: "Invalid configuration", family: "terminal", httpStatus: 500 },
  "TR-1012": { title: "Migration changed after it was applied", family: "terminal", httpStatus: 500 },
  "TR-1014": { title: "Database of another installation", family: "terminal", httpStatus: 500 },
  "TR-1013": { title: "Database is newer than this version", family: "terminal", httpStatus: 500 },
  "TR-1015": { title: "Too many calls are waiting", family: "retryable", httpStatus: 429 },
  "TR-1016": { title: "Stream was closed", family: "retryable", httpStatus: 503 },
});
