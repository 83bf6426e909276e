/** The version that `trace --version` tells: the one of this package. */
import manifest from "../package.json" with { type: "json" };

export const traceVersion: string = manifest.version;
