/** TR-6xxx: the embedded stack: Postgres, S3, SQS, supervisor. */
import { defineErrors } from "./types.ts";

export const localErrors = defineErrors({
  "TR-6001": { title: "State folder is in use", family: "terminal", httpStatus: 409 },
  "TR-6002": { title: "State folder cannot be used", family: "terminal", httpStatus: 500 },
  "TR-6003": { title: "State folder and databases do not belong together", family: "terminal", httpStatus: 409 },
  "TR-6004": { title: "File of the state folder is damaged", family: "terminal", httpStatus: 500 },
  "TR-6010": { title: "Postgres programs are missing", family: "terminal", httpStatus: 500 },
  "TR-6011": { title: "Postgres cannot be initialised", family: "terminal", httpStatus: 500 },
  "TR-6012": { title: "Postgres does not start", family: "terminal", httpStatus: 500 },
  "TR-6013": { title: "Port is taken", family: "retryable", httpStatus: 503 },
  "TR-6014": { title: "Postgres data is of another major version", family: "terminal", httpStatus: 409 },
  "TR-6015": { title: "Postgres data folder is foreign or damaged", family: "terminal", httpStatus: 409 },
  "TR-6016": { title: "Not enough disk space", family: "retryable", httpStatus: 507 },
  "TR-6017": { title: "No user to run Postgres as", family: "terminal", httpStatus: 500 },
  "TR-6018": { title: "Postgres processes cannot be stopped", family: "terminal", httpStatus: 500 },
  "TR-6020": { title: "Process does not become ready", family: "retryable", httpStatus: 503 },
  "TR-6021": { title: "Process cannot be started", family: "terminal", httpStatus: 500 },
  "TR-6101": { title: "Disk of the object store is full", family: "retryable", httpStatus: 507 },
  "TR-6102": { title: "Embedded endpoint cannot listen", family: "terminal", httpStatus: 500 },
  "TR-6103": { title: "Invalid configuration of an embedded endpoint", family: "terminal", httpStatus: 500 },
  "TR-6104": { title: "Folder of the object store cannot be used", family: "terminal", httpStatus: 500 },
  "TR-6105": { title: "Stored object is damaged", family: "terminal", httpStatus: 500 },
  "TR-6106": { title: "Embedded object store failed", family: "retryable", httpStatus: 500 },
  "TR-6107": { title: "Embedded queue was refused", family: "terminal", httpStatus: 500 },
});
