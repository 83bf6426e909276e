import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { openApiDocument } from "./openapi.ts";
import { defineRoutes, type RouteTable } from "./route.ts";
import { dispatcherRoutes } from "./routes.ts";

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security: readonly Record<string, readonly string[]>[];
  readonly servers: readonly unknown[];
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: unknown }[];
  readonly requestBody?: { content: { "application/json": { schema: Record<string, unknown> } } };
  readonly responses: Readonly<Record<string, { description: string; content: Record<string, unknown> }>>;
}

interface EventSchema {
  readonly properties: { event: { const: string }; data: { contentSchema: { $ref?: string } } };
}

const document = openApiDocument("1.2.3");
const operations = Object.values(document.paths).flatMap((path) => Object.values(path) as Operation[]);

function operation(name: string): Operation {
  const found = operations.find(({ operationId }) => operationId === name);
  if (found === undefined) throw new Error(`no operation ${name}`);
  return found;
}

function onlyUser(user: RouteTable) {
  return openApiDocument("1.2.3", { user, worker: {}, task: {} });
}

const route = {
  method: "GET",
  path: "/v1/things",
  auth: "user",
  summary: "x",
  answer: z.object({}),
  errors: [],
} as const;

describe("the OpenAPI document", () => {
  test("holds every route of every listener once, under its own server, tag and token", () => {
    const expected = Object.entries(dispatcherRoutes).flatMap(([listener, routes]) =>
      Object.keys(routes).map((name) => ({ name, tags: [listener], security: [{ [`${listener}Token`]: [] }] })),
    );
    const found = operations.map(({ operationId, tags, security }) => ({ name: operationId, tags, security }));
    expect(found).toEqual(expected);
    expect(document.servers).toHaveLength(3);
    for (const { servers } of operations) expect(servers).toHaveLength(1);
  });

  test("refers only to schemas, and to security schemes, that it holds", () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1] ?? "");
    const known = Object.keys(document.components.schemas).map((id) => `#/components/schemas/${id}`);
    expect(refs.length).toBeGreaterThan(100);
    expect(refs.filter((ref) => !known.includes(ref))).toEqual([]);
    expect(Object.keys(document.components.securitySchemes)).toEqual(["userToken", "workerToken", "taskToken"]);
  });

  test("writes path parameters as OpenAPI does and query parameters as optional", () => {
    expect(Object.keys(document.paths)).toContain("/v1/dags/{dag}/runs");
    expect(operation("run").parameters).toMatchObject([{ name: "dag", in: "path", required: true }]);
    expect(operation("listTasks").parameters).toContainEqual(
      expect.objectContaining({ name: "limit", in: "query", required: false }),
    );
  });

  test("names each code behind a refusal, those of the route and those of the listener", () => {
    const { responses } = operation("run");
    expect(responses["404"]?.description).toBe("TR-1006: No such object. TR-3010: No such job.");
    expect(responses["413"]?.description).toContain("TR-1001");
    expect(responses["401"]?.content).toEqual({
      "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
    });
    expect(operation("listDags").responses).not.toHaveProperty("413");
  });

  test("asks a caller for no member that has a default, and tells no client that an answer has no other members", () => {
    const body = operation("purgeDataset").requestBody?.content["application/json"].schema;
    expect(body).toMatchObject({ required: ["before"], properties: { dry_run: { default: false } } });
    expect(JSON.stringify(document)).not.toContain('"additionalProperties":false');
  });

  test("describes each event of a stream, the reason for breaking off, and how to take it up again", () => {
    const { parameters, responses } = operation("watchTask");
    const stream = responses["200"]?.content["text/event-stream"] as { schema: { oneOf: EventSchema[] } };
    const named = stream.schema.oneOf.map(({ properties }) => [
      properties.event.const,
      properties.data.contentSchema.$ref?.split("/").at(-1),
    ]);
    expect(named).toEqual([
      ["task", "TaskDetail"],
      ["log", "LogEvent"],
      ["end", undefined],
      ["problem", "Problem"],
    ]);
    expect(parameters).toContainEqual(
      expect.objectContaining({ name: "Last-Event-ID", in: "header", required: false }),
    );
    expect(operation("getTask").parameters).not.toContainEqual(expect.objectContaining({ in: "header" }));
  });

  test("is refused when two routes have one name, or one path and method", () => {
    const user = defineRoutes({ things: route });
    expect(() => openApiDocument("1", { user, worker: user, task: {} })).toThrow("two routes are named 'things'");
    expect(() => onlyUser(defineRoutes({ a: route, b: route }))).toThrow("two routes answer GET /v1/things");
  });

  test("is refused when one schema has one shape sent and another answered", () => {
    const shared = z.object({ size: z.int().default(1) }).meta({ id: "SharedOfThisTest" });
    const both = { ...route, method: "POST", body: z.object({ shared }), answer: z.object({ shared }) } as const;
    expect(() => onlyUser(defineRoutes({ both }))).toThrow("schema 'SharedOfThisTest' has two shapes");
  });

  test("is what openapi.json holds", () => {
    const written = JSON.parse(readFileSync(join(import.meta.dirname, "../openapi.json"), "utf8")) as typeof document;
    expect(written).toEqual(JSON.parse(JSON.stringify(openApiDocument(written.info.version))));
  });
});
