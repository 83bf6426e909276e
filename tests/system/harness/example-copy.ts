/** The example's file in a folder of its own, which a test may write anew: a run of a file that did not change commits nothing. */
import { appendFileSync, copyFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exampleData } from "./work.ts";

export class ExampleCopy {
  /** To be named as a root. */
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "trace-example-")));

  constructor() {
    copyFileSync(join(exampleData, "earthquakes.json"), this.#file);
  }

  /** Other bytes with the same features: JSON may end in any white space. */
  change(): void {
    appendFileSync(this.#file, "\n");
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.folder, "earthquakes.json");
  }
}
