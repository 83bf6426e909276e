import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findSourceFile } from "./source-file.ts";

const bytesMax = 1_000;
let folder: string;
let root: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "trace-worker-test-")));
  root = join(folder, "data");
  await mkdir(join(root, "nested"), { recursive: true });
  await writeFile(join(root, "nested", "a.csv"), "x\n1\n");
  await writeFile(join(folder, "secret"), "secret");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const find = (path: string, roots: readonly string[] = [root]) => findSourceFile(path, roots, bytesMax);

describe("finding the file of a source", () => {
  it("takes a path relative to a root, and an absolute one below it", async () => {
    const expected = { path: join(root, "nested", "a.csv"), bytes: 4 };
    expect(await find("nested/a.csv")).toMatchObject(expected);
    expect(await find(join(root, "nested", "a.csv"))).toMatchObject(expected);
  });

  it("takes the first root that has the file, and passes over roots that are not there", async () => {
    await writeFile(join(folder, "nested"), "not a folder");
    const roots = [join(folder, "missing"), folder, root];
    expect((await find("nested/a.csv", roots)).path).toBe(join(root, "nested", "a.csv"));
  });

  it("works below a root that is itself a link", async () => {
    await symlink(root, join(folder, "link"));
    const roots = [join(folder, "link")];
    expect((await find("nested/a.csv", roots)).path).toBe(join(root, "nested", "a.csv"));
    expect((await find(join(folder, "link", "nested", "a.csv"), roots)).path).toBe(join(root, "nested", "a.csv"));
  });

  it("follows a link that stays below its root", async () => {
    await symlink(join(root, "nested", "a.csv"), join(root, "b.csv"));
    expect((await find("b.csv")).path).toBe(join(root, "nested", "a.csv"));
  });

  it.each(["../secret", "nested/../../secret", "nested\\..\\..\\secret", "a\0b"])(
    "refuses '%s', which climbs out",
    async (path) => {
      await expect(find(path)).rejects.toMatchObject({ code: "TR-5003" });
    },
  );

  it("refuses a link that leads out of its root, as a file and as a folder, and does not say where to", async () => {
    await symlink(join(folder, "secret"), join(root, "out"));
    await symlink(folder, join(root, "dir"));
    for (const path of ["out", "dir/secret"]) {
      const error = await find(path).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: "TR-5003", where: path });
      expect(JSON.stringify(error)).not.toContain(join(folder, "secret"));
    }
  });

  it("refuses a neighbour whose name begins like the root's", async () => {
    await mkdir(`${root}-private`);
    await writeFile(join(`${root}-private`, "a.csv"), "x");
    await expect(find(join(`${root}-private`, "a.csv"))).rejects.toMatchObject({ code: "TR-5006" });
  });

  it("tells the same of a path outside every root whether or not there is something", async () => {
    const [there, missing] = await Promise.all(
      [join(folder, "secret"), join(folder, "nothing")].map((path) => find(path).catch((error: unknown) => error)),
    );
    expect(there).toMatchObject({ code: "TR-5006" });
    expect(missing).toMatchObject({ code: "TR-5006" });
  });

  it("refuses every path when no root is configured", async () => {
    await expect(find("nested/a.csv", [])).rejects.toMatchObject({ code: "TR-5006" });
  });

  it.each(["missing.csv", "nested/a.csv/b", "nested/missing/c"])("says that '%s' does not exist", async (path) => {
    await expect(find(path)).rejects.toMatchObject({ code: "TR-5002" });
  });

  it("says that a link to nothing does not exist", async () => {
    await symlink(join(root, "nowhere"), join(root, "dangling"));
    await expect(find("dangling")).rejects.toMatchObject({ code: "TR-5002" });
  });

  it("refuses a folder, a pipe without waiting for a writer, a socket and a device", async () => {
    execFileSync("mkfifo", [join(root, "pipe")]);
    const server = createServer().listen(join(root, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    await expect(find("nested")).rejects.toMatchObject({
      code: "TR-5004",
      message: expect.stringContaining("a folder"),
    });
    await expect(find("pipe")).rejects.toMatchObject({ code: "TR-5004", message: expect.stringContaining("a pipe") });
    await expect(find("socket")).rejects.toMatchObject({
      code: "TR-5004",
      message: expect.stringContaining("a socket"),
    });
    await expect(find("/dev/zero", ["/dev"])).rejects.toMatchObject({ code: "TR-5004" });
    await new Promise((resolve) => server.close(resolve));
  });

  it("refuses a file above the bound, and takes one at the bound", async () => {
    await writeFile(join(root, "at"), Buffer.alloc(bytesMax));
    await writeFile(join(root, "above"), Buffer.alloc(bytesMax + 1));
    expect((await find("at")).bytes).toBe(bytesMax);
    await expect(find("above")).rejects.toMatchObject({ code: "TR-5005" });
  });

  // Root reads everything, whatever a file's mode says.
  it.skipIf(process.getuid?.() === 0)("says that a file of others cannot be read", async () => {
    await chmod(join(root, "nested", "a.csv"), 0);
    await expect(find("nested/a.csv")).rejects.toMatchObject({ code: "TR-5001" });
  });

  it("notices afterwards that the file was rewritten or replaced by a link", async () => {
    const rewritten = await find("nested/a.csv");
    await rewritten.unchanged();
    await writeFile(join(root, "nested", "a.csv"), "x\n1\n2\n");
    await expect(rewritten.unchanged()).rejects.toMatchObject({ code: "TR-5007" });
    const replaced = await find("nested/a.csv");
    await rm(replaced.path);
    await symlink(join(folder, "secret"), replaced.path);
    await expect(replaced.unchanged()).rejects.toMatchObject({ code: "TR-5007" });
  });
});
