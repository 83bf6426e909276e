/**
 * The statements that give a cluster its roles and its database. They run in single-user mode (`postgres --single`),
 * before the server listens: no superuser password exists, no race with clients, nothing secret on a command line.
 */

/** Owns the cluster; has no password, and pg_hba.conf refuses it. */
export const bootstrapUser = "trace_admin";

export interface PostgresRole {
  /** `^[a-z_][a-z0-9_]{0,62}$`. */
  readonly name: string;
  /** 16 to 256 printable ASCII characters. */
  readonly password: string;
  /** May create databases: tests clone theirs from a template. Default: no. */
  readonly createDatabases?: boolean | undefined;
}

export interface RoleToMake {
  readonly name: string;
  readonly verifier: string;
  readonly createDatabases: boolean;
}

function identifier(name: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name) || name.startsWith("pg_") || name === bootstrapUser) {
    throw new RangeError(`not a name for a role or a database of ours: ${name}`);
  }
  return `"${name}"`;
}

function literal(text: string): string {
  if (/[\\\r\n\0]/.test(text)) throw new RangeError("a literal is one line without backslashes");
  return `'${text.replaceAll("'", "''")}'`;
}

/** Creates a role if it is missing, then sets everything about it: safe to repeat. */
function roleStatements(role: RoleToMake): string[] {
  const name = identifier(role.name);
  return [
    `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ${literal(role.name)}) THEN CREATE ROLE ${name}; END IF; END $$`,
    `ALTER ROLE ${name} LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS ${
      role.createDatabases ? "CREATEDB" : "NOCREATEDB"
    } PASSWORD ${literal(role.verifier)}`,
  ];
}

/** For a new cluster: roles, the database owned by the first of them, and the id that ties it to its state folder. */
export function clusterStatements(database: string, roles: readonly RoleToMake[], id: string): string[] {
  const [owner] = roles;
  if (owner === undefined) throw new RangeError("a database needs an owner");
  return [
    ...roles.flatMap(roleStatements),
    `CREATE DATABASE ${identifier(database)} OWNER ${identifier(owner.name)}`,
    `REVOKE ALL ON DATABASE ${identifier(database)} FROM PUBLIC`,
    ...grantStatements(database, roles),
    `COMMENT ON DATABASE ${identifier(database)} IS ${literal(`trace ${id}`)}`,
  ];
}

function grantStatements(database: string, roles: readonly RoleToMake[]): string[] {
  return roles.map(
    (role) => `GRANT CONNECT, TEMPORARY ON DATABASE ${identifier(database)} TO ${identifier(role.name)}`,
  );
}

/** For an existing cluster whose passwords or roles changed. */
export function roleChangeStatements(database: string, roles: readonly RoleToMake[]): string[] {
  return [...roles.flatMap(roleStatements), ...grantStatements(database, roles)];
}

/** What `postgres --single -j` reads: each statement ends with a semicolon and an empty line. */
export function singleUserInput(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};\n\n`).join("");
}
