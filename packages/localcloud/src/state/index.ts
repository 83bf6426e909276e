export { readSecret, StateFolder, type StateFolderOptions } from "./folder.ts";
export { findHolder, type Holder } from "./hold.ts";
export { stateLimits } from "./limits.ts";
export { LogFile, type LogFileOptions } from "./log-file.ts";
