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
  it("makes an attempt's private folder when it is first asked for, and removes it, and itself at the stop", async () => {
    const workplace = new Workplace(join(folder, "work"), silentLog());
    await workplace.start();
    const [root = ""] = await readdir(join(folder, "work"));
    const own = workplace.folderOf(7);
    const never = workplace.folderOf(8);
    const paths = await Promise.all([own.path(), own.path()]);
    expect(new Set(paths).size).toBe(1);
    expect((await stat(paths[0])).mode & 0o777).toBe(0o700);
    expect(await readdir(join(folder, "work", root))).toEqual(["lease-7"]);
    await writeFile(join(paths[0], "file"), "x");
    await Promise.all([own.remove(), never.remove()]);
    await expect(stat(paths[0])).rejects.toMatchObject({ code: "ENOENT" });
    await expect(own.path()).rejects.toThrow("after it had ended");
    await workplace.stop();
    expect(await readdir(join(folder, "work"))).toEqual([]);
  });

  it("says each time with a code that an attempt's folder cannot be made, and removes nothing for it", async () => {
    const workplace = new Workplace(join(folder, "work"), silentLog());
    await workplace.start();
    const own = workplace.folderOf(7);
    await workplace.folderOf(7).path();
    await expect(own.path()).rejects.toMatchObject({ code: "TR-5012" });
    await expect(own.path()).rejects.toMatchObject({ code: "TR-5012" });
    await workplace.stop();
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
