/**
 * Writes every generated file of the repository: `npm run generate`. With `--check` it writes nothing and exits 1 when
 * a file is not what its sources say, naming the file and the command that repairs it.
 *
 * Statements are typed by asking a Postgres that holds the migrations, so this starts one (tests/setup/postgres.ts).
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dagJsonSchema, dagKeysTable, openApiDocument } from "@trace/contracts";
import { Database, loadMigrations, migrate, silentLog } from "@trace/kit";
import { taskStatesPage } from "../packages/dispatcher/src/rules/machine.ts";
import { startTestPostgres } from "../tests/setup/postgres.ts";
import { generateStatements } from "./sqlgen.ts";

const root = join(import.meta.dirname, "..");
const command = "npm run generate";

interface Generated {
  /** Relative to the root. */
  readonly file: string;
  readonly text: string;
}

/** Packages with SQL: their migrations and their statements. */
const sqlPackages = ["dispatcher"];

async function statements(): Promise<Generated[]> {
  const postgres = await startTestPostgres();
  try {
    const made: Generated[] = [];
    for (const name of sqlPackages) {
      const source = `packages/${name}/src`;
      const text = await withMigrated(postgres.url, join(root, source, "migrations"), (db) =>
        generateStatements(db, join(root, source, "sql")),
      );
      made.push({ file: `${source}/sql/statements.gen.ts`, text });
    }
    return made;
  } finally {
    await postgres.stop();
  }
}

/** The server may be somebody's own (TRACE_TEST_POSTGRES_URL), so what is made in it is dropped again. */
async function withMigrated<R>(adminUrl: string, folder: string, use: (db: Database) => Promise<R>): Promise<R> {
  const connect = (url: string) => new Database({ url, name: "generate", connectionsMax: 2, log: silentLog() });
  const name = `trace_generate_${randomBytes(8).toString("hex")}`;
  const admin = connect(adminUrl);
  try {
    await admin.raw(`create database ${name} template template0`);
    const url = new URL(adminUrl);
    url.pathname = `/${name}`;
    const db = connect(url.href);
    try {
      await migrate(db, await loadMigrations(folder));
      return await use(db);
    } finally {
      await db.stop();
      await admin.raw(`drop database if exists ${name} with (force)`);
    }
  } finally {
    await admin.stop();
  }
}

async function contracts(): Promise<Generated[]> {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  const documents = {
    "packages/contracts/openapi.json": openApiDocument(manifest.version),
    "docs/dag.schema.json": dagJsonSchema(),
  };
  const pages = [
    { file: "docs/task-states.md", text: taskStatesPage() },
    await within("docs/dag-files.md", "keys", dagKeysTable()),
  ];
  return [...Object.entries(documents).map(([file, value]) => ({ file, text: formatted(file, value) })), ...pages];
}

/** A page that people write, with a part between `<!-- name -->` and `<!-- end of name -->` that is generated. */
async function within(file: string, name: string, part: string): Promise<Generated> {
  const [begin, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->`];
  const page = await readFile(join(root, file), "utf8");
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  if (from < begin.length || to < from) throw new Error(`${file} has no place for the generated part '${name}'`);
  return { file, text: `${page.slice(0, from)}\n${part}\n${page.slice(to)}` };
}

/** As Biome writes it, so that the check of formats needs no exception for a generated file. */
function formatted(file: string, value: unknown): string {
  const input = `${JSON.stringify(value, null, 2)}\n`;
  const args = [join(root, "node_modules/@biomejs/biome/bin/biome"), "format", `--stdin-file-path=${file}`];
  const biome = spawnSync(process.execPath, args, { cwd: root, input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (biome.status !== 0) throw new Error(`Biome cannot format ${file}: ${biome.stderr}`);
  return biome.stdout;
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(join(root, file), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== "--check");
  if (unknown !== undefined) {
    console.error(`unknown argument '${unknown}'; usage: ${command} [-- --check]`);
    return 2;
  }
  const drifted: Generated[] = [];
  for (const made of [...(await contracts()), ...(await statements())]) {
    if ((await textOf(made.file)) !== made.text) drifted.push(made);
  }
  if (args.includes("--check")) {
    for (const { file } of drifted) console.error(`${file} is not what its sources say`);
    if (drifted.length > 0) console.error(`repair with: ${command}`);
    return drifted.length === 0 ? 0 : 1;
  }
  for (const { file, text } of drifted) {
    await writeFile(join(root, file), text);
    console.log(`wrote ${file}`);
  }
  if (drifted.length === 0) console.log("all generated files are up to date");
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
