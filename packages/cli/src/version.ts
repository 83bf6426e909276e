/** The version that `trace --version` tells: the one of this package. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8")) as {
  version: string;
};

export const traceVersion: string = manifest.version;
