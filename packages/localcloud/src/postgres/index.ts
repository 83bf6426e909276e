export { postgresLimits } from "./limits.ts";
export { findNobody, rootFolderDefault } from "./place.ts";
export { EmbeddedPostgres, type EmbeddedPostgresOptions, type PostgresAddress, type PostgresExit } from "./server.ts";
export type { PostgresRole } from "./setup.ts";
