/** Where a benchmark keeps its files: a state folder of its own, gone afterwards, as are those of runs that were killed. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootFolderDefault, StateFolder } from "@trace/localcloud";

const folderPrefix = "trace-bench-";

export interface Place {
  readonly folder: StateFolder;
  /** Removes everything. The servers must have ended. */
  remove(): Promise<void>;
}

export async function openPlace(): Promise<Place> {
  removeLeftovers();
  const base = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
  const folder = await StateFolder.open({ dir: join(base, "state"), command: "a benchmark" });
  return {
    folder,
    remove: async () => {
      await folder.close();
      removeFiles(base);
    },
  };
}

/** As root the databases lie outside the folder, under the id that it keeps. */
function removeFiles(base: string): void {
  const idFile = join(base, "state", "id");
  const id = existsSync(idFile) ? readFileSync(idFile, "utf8").trim() : "";
  if (/^[a-z0-9]{20}$/.test(id)) rmSync(join(rootFolderDefault, id), { recursive: true, force: true });
  rmSync(base, { recursive: true, force: true });
}

function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeFiles(join(tmpdir(), name));
  }
}
