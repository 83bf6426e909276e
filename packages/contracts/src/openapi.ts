/**
 * The OpenAPI document of the dispatcher, made from the route tables that its servers and clients are made from. Pure:
 * the same routes give the same document. `npm run generate` writes it to packages/contracts/openapi.json.
 */
import { z } from "zod";
import { type ErrorCode, errorCatalogue, problemSchema } from "./errors/index.ts";
import { lastEventIdCharsMax } from "./limits.ts";
import { problemEvent, type Route, type RouteTable, type StreamRoute } from "./route.ts";
import { dispatcherRoutes } from "./routes.ts";

export type JsonObject = { [name: string]: unknown };

type ListenerName = keyof typeof dispatcherRoutes;

/** Ports are those that `trace up` takes when they are free; `<state folder>/endpoints.json` names the actual ones. */
const listeners: Readonly<Record<ListenerName, { port: number; text: string; token: string }>> = {
  user: {
    port: 7400,
    text: "For people, the command line and scripts.",
    token: "An API token. `trace up` writes its owner's to `<state folder>/secrets/api-token`.",
  },
  worker: {
    port: 7401,
    text: "For workers: sessions, claims, completions.",
    token: "The workers' rotating token, one line of the file that `TRACE_WORKER_TOKEN_FILE` names.",
  },
  task: {
    port: 7402,
    text: "For the code of one running attempt.",
    token: "The lease token of the attempt; it opens nothing once the lease is over.",
  },
};

/** What a listener itself may answer to any call. */
const listenerErrors: readonly ErrorCode[] = ["TR-1000", "TR-1002", "TR-1003", "TR-1004", "TR-1008", "TR-1009"];
/** And to a call with a body. */
const bodyErrors: readonly ErrorCode[] = ["TR-1001"];

/** Throws when two routes share an operation, or one schema id stands for two shapes in one direction. */
export function openApiDocument(
  version: string,
  tables: Readonly<Record<ListenerName, RouteTable>> = dispatcherRoutes,
) {
  const schemas = new Components();
  const paths: { [path: string]: JsonObject } = {};
  const operations = new Set<string>();
  for (const listener of Object.keys(listeners) as ListenerName[]) {
    for (const [name, route] of Object.entries(tables[listener])) {
      if (operations.has(name)) throw new Error(`two routes are named '${name}'`);
      operations.add(name);
      const path = route.path.replace(/:([a-z_]+)/g, "{$1}");
      const method = route.method.toLowerCase();
      paths[path] ??= {};
      if (paths[path][method] !== undefined) throw new Error(`two routes answer ${route.method} ${route.path}`);
      paths[path][method] = operation(listener, name, route, schemas);
    }
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Trace dispatcher",
      version,
      description:
        "Three servers, each with tokens of its own: a token of one opens nothing on another. Every refusal is a problem document (RFC 9457) with a code; docs/errors has a page for each.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: Object.entries(listeners).map(([name, { port, text }]) => server(name, port, text)),
    tags: Object.entries(listeners).map(([name, { text }]) => ({ name, description: text })),
    paths,
    components: {
      schemas: schemas.all(),
      securitySchemes: Object.fromEntries(
        Object.entries(listeners).map(([name, { token }]) => [
          `${name}Token`,
          { type: "http", scheme: "bearer", description: token },
        ]),
      ),
    },
  };
}

function server(name: string, port: number, text: string): JsonObject {
  return {
    url: "http://127.0.0.1:{port}",
    description: `${name}: ${text}`,
    variables: { port: { default: String(port), description: "See `<state folder>/endpoints.json`." } },
  };
}

function operation(listener: ListenerName, name: string, route: Route, schemas: Components): JsonObject {
  const { port, text } = listeners[listener];
  return {
    operationId: name,
    tags: [listener],
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    servers: [server(listener, port, text)],
    security: [{ [`${route.auth}Token`]: [] }],
    ...parameters(route, schemas),
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: json(schemas.input(route.body)) } }),
    responses: {
      "200":
        route.events === undefined
          ? { description: "Done.", content: json(schemas.output(route.answer)) }
          : events(route, schemas),
      ...refusals(route, schemas),
    },
  };
}

function json(schema: JsonObject): JsonObject {
  return { "application/json": { schema } };
}

/** One event of the stream as OpenAPI 3.2 describes one: its data is JSON in a text. */
function events(route: StreamRoute, schemas: Components): JsonObject {
  const kinds = Object.entries({ ...route.events, [problemEvent]: problemSchema }).map(([event, data]) => ({
    type: "object",
    required: ["event", "data"],
    properties: {
      event: { const: event },
      data: { type: "string", contentMediaType: "application/json", contentSchema: schemas.output(data) },
      id: { type: "string" },
    },
  }));
  return {
    description: `Events as they happen, up to and with 'end'; the schema is that of one of them. A stream that breaks off for a reason says so with '${problemEvent}'.`,
    content: { "text/event-stream": { schema: { oneOf: kinds } } },
  };
}

const lastEventId: JsonObject = {
  name: "Last-Event-ID",
  in: "header",
  required: false,
  description: "The id of the last event that a reader got before it was cut off: the stream goes on after it.",
  schema: { type: "string", maxLength: lastEventIdCharsMax },
};

function parameters(route: Route, schemas: Components): JsonObject {
  const parts: JsonObject[] = (["params", "query"] as const).flatMap((part) => {
    const from = route[part];
    if (from === undefined) return [];
    const schema = schemas.input(from) as { properties?: Record<string, JsonObject>; required?: string[] };
    if (schema.properties === undefined) throw new Error(`${part} of ${route.method} ${route.path} are no object`);
    return Object.entries(schema.properties).map(([name, property]) => ({
      name,
      in: part === "params" ? "path" : "query",
      required: part === "params" || (schema.required ?? []).includes(name),
      schema: property,
    }));
  });
  if (route.events !== undefined) parts.push(lastEventId);
  return parts.length === 0 ? {} : { parameters: parts };
}

/** One response per status, which names the codes behind it. */
function refusals(route: Route, schemas: Components): JsonObject {
  const codes = [...new Set([...route.errors, ...listenerErrors, ...(route.body === undefined ? [] : bodyErrors)])];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes.sort()) {
    const status = errorCatalogue[code].httpStatus;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const problem = schemas.output(problemSchema);
  return Object.fromEntries(
    [...byStatus].map(([status, some]) => [
      String(status),
      {
        description: some.map((code) => `${code}: ${errorCatalogue[code].title}.`).join(" "),
        content: { "application/problem+json": { schema: problem } },
      },
    ]),
  );
}

/** Collects the schemas that carry an id, so that each is written once and referred to. */
class Components {
  readonly #found = new Map<string, JsonObject>();

  /** What a caller may send: defaults are optional. */
  input(schema: z.ZodType): JsonObject {
    return this.#add(schema, "input");
  }

  /** What is answered: defaults are filled in. */
  output(schema: z.ZodType): JsonObject {
    return this.#add(schema, "output");
  }

  all(): JsonObject {
    return Object.fromEntries([...this.#found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(schema: z.ZodType, io: "input" | "output"): JsonObject {
    const {
      $schema: _,
      $defs,
      ...top
    } = z.toJSONSchema(schema, { io, override: ({ jsonSchema }) => tidy(jsonSchema) });
    for (const [id, definition] of Object.entries($defs ?? {})) this.#keep(id, definition as JsonObject);
    return referToComponents(top) as JsonObject;
  }

  #keep(id: string, definition: JsonObject): void {
    const shape = referToComponents(definition) as JsonObject;
    const known = this.#found.get(id);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(shape)) {
      throw new Error(`schema '${id}' has two shapes: what is sent and what is answered need schemas of their own`);
    }
    this.#found.set(id, shape);
  }
}

/**
 * Leaves out what says nothing to a reader: the pattern behind a named format, and the bounds of JavaScript's safe
 * integers. An answer may gain members in a later version, so clients must not be told that it has no others.
 */
function tidy(schema: JsonObject): void {
  if (schema.format !== undefined) delete schema.pattern;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.additionalProperties === false) delete schema.additionalProperties;
}

function referToComponents(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(referToComponents);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [
      name,
      name === "$ref" && typeof part === "string"
        ? part.replace("#/$defs/", "#/components/schemas/")
        : referToComponents(part),
    ]),
  );
}
