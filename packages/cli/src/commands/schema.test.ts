import { dagJsonSchema } from "@trace/contracts";
import { expect, test } from "vitest";
import { Harness } from "../testing/harness.ts";

test("the schema is printed as JSON, for people in lines and for scripts in one, without a stack", async () => {
  const harness = new Harness({ cwd: "/" });
  for (const flags of [[], ["--json"]]) {
    const { code, stdout, stderr } = await harness.run("schema", ...flags);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(dagJsonSchema())));
    expect(stdout.trimEnd().split("\n").length === 1).toBe(flags.length === 1);
  }
});

test("an argument it does not take is wrong use", async () => {
  expect((await new Harness({ cwd: "/" }).run("schema", "x.yaml")).code).toBe(2);
});
