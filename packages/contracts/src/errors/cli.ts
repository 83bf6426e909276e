/** TR-7xxx: the command line. */
import { defineErrors } from "./types.ts";

export const cliErrors = defineErrors({
  "TR-7001": { title: "Wrong use of a command", family: "terminal", httpStatus: 400 },
  "TR-7002": { title: "No running Trace found", family: "retryable", httpStatus: 503 },
  "TR-7003": { title: "No API token", family: "terminal", httpStatus: 401 },
  "TR-7004": { title: "DAG file cannot be read", family: "terminal", httpStatus: 400 },
  "TR-7005": { title: "File cannot be written", family: "terminal", httpStatus: 400 },
  "TR-7006": { title: "Fetched file is not what was committed", family: "retryable", httpStatus: 502 },
  "TR-7007": { title: "Data file cannot be fetched", family: "retryable", httpStatus: 502 },
  "TR-7008": { title: "DAG file has errors", family: "terminal", httpStatus: 400 },
  "TR-7009": { title: "Run or task did not end in time", family: "retryable", httpStatus: 408 },
  "TR-7010": { title: "List of addresses cannot be read", family: "terminal", httpStatus: 500 },
  "TR-7011": { title: "Unexpected failure of the command line", family: "terminal", httpStatus: 500 },
  "TR-7012": { title: "No such error code", family: "terminal", httpStatus: 404 },
  "TR-7013": { title: "Example data is not installed", family: "terminal", httpStatus: 500 },
  "TR-7014": { title: "Data file cannot be read", family: "terminal", httpStatus: 400 },
});
