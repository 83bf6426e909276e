import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "@trace/kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Workplace } from "./workplace.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-worker-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the work folder", () => {
  it("gives each attempt a private folder and removes it, and itself at the stop", async () => {
    const workplace = new Workplace(join(folder, "work"), silentLog());
    await workplace.start();
    const own = await workplace.make(7);
    expect((await stat(own)).mode & 0o777).toBe(0o700);
    await writeFile(join(own, "file"), "x");
    await workplace.remove(own);
    await expect(stat(own)).rejects.toMatchObject({ code: "ENOENT" });
    await workplace.stop();
    expect(await readdir(join(folder, "work"))).toEqual([]);
  });

  it("removes at its start what killed workers left, and nothing of the living or of others", async () => {
    const other = new Workplace(folder, silentLog());
    await other.start();
    const alive = await readdir(folder);
    // An id that no process has (above the kernel's largest), and our own id in another life.
    const dead = ["worker-4194999-123-00000000", `worker-${process.pid}-1-00000000`];
    for (const name of [...dead, "mine"]) await mkdir(join(folder, name));
    await writeFile(join(folder, "worker-4194999-123-11111111"), "a file is no folder of ours");
    const workplace = new Workplace(folder, silentLog());
    await workplace.start();
    const left = await readdir(folder);
    expect(left).toEqual(expect.arrayContaining([...alive, "mine", "worker-4194999-123-11111111"]));
    expect(left).not.toEqual(expect.arrayContaining([dead[0]]));
    expect(left).not.toEqual(expect.arrayContaining([dead[1]]));
    await workplace.stop();
    await other.stop();
  });

  it("does not follow a link in a folder that it removes", async () => {
    await mkdir(join(folder, "precious"));
    await writeFile(join(folder, "precious", "file"), "x");
    await mkdir(join(folder, "work"));
    await mkdir(join(folder, "work", "worker-4194999-123-00000000"));
    await symlink(join(folder, "precious"), join(folder, "work", "worker-4194999-123-00000000", "link"));
    const workplace = new Workplace(join(folder, "work"), silentLog());
    await workplace.start();
    expect(await readdir(join(folder, "precious"))).toEqual(["file"]);
    await workplace.stop();
  });

  it("says with a code that it cannot be made", async () => {
    await writeFile(join(folder, "file"), "x");
    const workplace = new Workplace(join(folder, "file", "work"), silentLog());
    await expect(workplace.start()).rejects.toMatchObject({ code: "TR-5012" });
    await workplace.stop();
  });
});
