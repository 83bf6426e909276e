import { TraceError } from "@trace/contracts";
import { expect, test } from "vitest";
import { ConfigReader } from "./config.ts";

function refusal(read: (reader: ConfigReader) => void, env: Record<string, string>): string {
  const reader = new ConfigReader(env);
  read(reader);
  try {
    reader.done("test");
  } catch (error) {
    if (error instanceof TraceError && error.code === "TR-1011") return error.message;
    throw error;
  }
  return "";
}

test("every mistake is named at once, and no value of a URL or a text is repeated", () => {
  const message = refusal(
    (reader) => {
      reader.text("MISSING");
      reader.integer("PORT", undefined, { min: 0, max: 65_535 });
      reader.url("PLACE");
      reader.list("NAMES");
      reader.integer("NEEDED", undefined, { min: 0, max: 1 });
    },
    { PORT: "70000", PLACE: "postgres secret", NAMES: "[1]", MISSING: "" },
  );
  for (const name of ["MISSING", "PORT", "PLACE", "NAMES", "NEEDED"]) expect(message).toContain(name);
  expect(message).not.toContain("secret");
});

test.each(["", " ", "1.5", "1e3", "0x10", "-1", "65536", "abc", "NaN", "9".repeat(30)])(
  "'%s' is no port, but for the empty text, which takes the fallback",
  (text) => {
    const message = refusal((reader) => reader.integer("PORT", text === "" ? 1 : undefined, { min: 0, max: 65_535 }), {
      PORT: text,
    });
    expect(message === "").toBe(text === "");
  },
);

test("lists are read with commas or as JSON, and paths with commas survive the latter", () => {
  const read = (text: string) => new ConfigReader({ LIST: text }).list("LIST");
  expect(read(" a, b ,,c ")).toEqual(["a", "b", "c"]);
  expect(read('["/a,b", "/c"]')).toEqual(["/a,b", "/c"]);
  expect(read("  ")).toEqual([]);
  for (const bad of ['["a"', '["a", 1]'])
    expect(refusal((reader) => reader.list("LIST"), { LIST: bad })).toContain("LIST");
});

test("what is set is taken, and nothing is wrong then", () => {
  const reader = new ConfigReader({ A: "x", N: "7", U: "http://h:1/", O: "" });
  expect([reader.text("A"), reader.integer("N", 1, { min: 0, max: 9 }), reader.url("U"), reader.optional("O")]).toEqual(
    ["x", 7, "http://h:1/", undefined],
  );
  reader.done("test");
});

test("a choice is one of its words, the first when nothing is said", () => {
  const chosen = (text: string) => new ConfigReader({ MODE: text }).choice("MODE", ["some", "all"]);
  expect([chosen(""), chosen("some"), chosen("all")]).toEqual(["some", "some", "all"]);
  const message = refusal((reader) => reader.choice("MODE", ["some", "all"]), { MODE: "none" });
  expect(message).toContain("MODE is 'none', not one of some, all");
});
