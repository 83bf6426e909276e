/** The pure parts: names, quoting, verifiers, the server's lines. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseServerLine, Tail } from "./output.ts";
import { findNobody } from "./place.ts";
import { findPrograms } from "./programs.ts";
import { scramMatches, scramVerifier } from "./scram.ts";
import { pgHbaConf, postgresqlConf } from "./settings.ts";
import { clusterStatements, singleUserInput } from "./setup.ts";

describe("nobody", () => {
  test("is looked up, not assumed", () => {
    expect(findNobody("root:x:0:0::/root:/bin/sh\nnobody:x:99:98:Nobody:/:/sbin/nologin\n")).toEqual({
      uid: 99,
      gid: 98,
    });
  });

  test.each(["root:x:0:0::/root:/bin/sh\n", "nobody:x:0:0:::\n", "nobody:x:abc:0:::\n", ""])(
    "is refused in %j",
    (passwd) => {
      expect(() => findNobody(passwd)).toThrow(expect.objectContaining({ code: "TR-6017" }));
    },
  );
});

describe("a SCRAM verifier", () => {
  test("fits its password and no other", () => {
    const verifier = scramVerifier("correct-horse-battery");
    expect(scramMatches(verifier, "correct-horse-battery")).toBe(true);
    expect(scramMatches(verifier, "correct-horse-batterz")).toBe(false);
    expect(scramMatches("garbage", "correct-horse-battery")).toBe(false);
    expect(verifier).not.toContain("correct");
  });

  test.each(["short", "with space in the middle", "ünïcödé-ünïcödé-ünïcödé", "line\nbreak-line-break"])(
    "is not made of %j",
    (password) => {
      expect(() => scramVerifier(password)).toThrow(RangeError);
    },
  );
});

describe("the setup statements", () => {
  const role = { name: "trace", verifier: scramVerifier("correct-horse-battery"), createDatabases: false };

  test("make roles that are no superusers", () => {
    const text = singleUserInput(clusterStatements("trace_state", [role], "abc"));
    expect(text).toContain('ALTER ROLE "trace" LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS NOCREATEDB');
    expect(text).not.toMatch(/ SUPERUSER/);
  });

  test.each(['x"; DROP DATABASE postgres; --', "a'b", "trace_admin", "pg_monitor", "", "A", "x\n\n"])(
    "refuse the name %j",
    (name) => {
      expect(() => clusterStatements(name, [role], "abc")).toThrow(RangeError);
      expect(() => clusterStatements("fine", [{ ...role, name }], "abc")).toThrow(RangeError);
    },
  );

  test("refuse an id that could end a literal or a statement", () => {
    expect(() => clusterStatements("fine", [role], "x\n\nDROP")).toThrow(RangeError);
    expect(clusterStatements("fine", [role], "it's").at(-1)).toContain("'trace it''s'");
  });
});

describe("postgresql.conf", () => {
  test("has one line per setting whatever a value holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        fc.pre(!/[\r\n\0]/.test(value));
        const plain = postgresqlConf(5432).split("\n").length;
        const text = postgresqlConf(5432, { application_name: value });
        expect(text.split("\n")).toHaveLength(plain + 1);
        const quoted = /^application_name = '(.*)'$/m.exec(text)?.[1] ?? "missing";
        expect(quoted.replace(/''/g, "").replace(/\\\\/g, "")).not.toMatch(/['\\]/);
      }),
    );
  });

  test("keeps durability on and refuses names and values that smuggle lines", () => {
    expect(postgresqlConf(5432)).toMatch(/^fsync = on$/m);
    expect(() => postgresqlConf(1, { "x = 1\nfsync": true })).toThrow(RangeError);
    expect(() => postgresqlConf(1, { application_name: "a\nfsync = off" })).toThrow(RangeError);
  });

  test("goes with a pg_hba.conf without trust", () => {
    expect(pgHbaConf()).not.toContain("trust");
    expect(pgHbaConf().indexOf("reject")).toBeLessThan(pgHbaConf().indexOf("scram"));
  });
});

describe("the server's lines", () => {
  test("become JSON lines with level and SQLSTATE", () => {
    const line = '2026-11-23 08:00:37.708 UTC|8672|28P01|FATAL:  password authentication failed for user "trace"';
    expect(parseServerLine(line, "postgres-state", "now")).toEqual({
      time: "2026-11-23T08:00:37.708Z",
      level: "error",
      role: "postgres-state",
      pid: 8672,
      sqlstate: "28P01",
      message: 'password authentication failed for user "trace"',
    });
  });

  test("are kept whole when they have another form", () => {
    expect(parseServerLine("\tcontinued", "r", "now")).toEqual({
      time: "now",
      level: "info",
      role: "r",
      message: "continued",
    });
  });

  test("the tail keeps the last ones only", () => {
    const tail = new Tail(2);
    for (const line of ["a", "b", "c"]) tail.add(line);
    expect(tail.text()).toBe("b\nc");
  });
});

test("a platform without programs is named, with the fix", () => {
  expect(() => findPrograms("sunos", "x64")).toThrow(expect.objectContaining({ code: "TR-6010" }));
  expect(findPrograms().major).toBe(18);
});
