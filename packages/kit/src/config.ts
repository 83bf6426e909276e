/** Configuration from the environment: read once, at the edge, with every mistake named at once. The only reader of process.env. */
import { TraceError } from "@trace/contracts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Collects problems while values are read; `done()` throws them together. */
export class ConfigReader {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  text(name: string, fallback?: string): string {
    const value = this.#env[name];
    if (value !== undefined && value !== "") return value;
    if (fallback !== undefined) return fallback;
    this.#problems.push(`${name} is not set`);
    return "";
  }

  optional(name: string): string | undefined {
    const value = this.#env[name];
    return value === "" ? undefined : value;
  }

  integer(name: string, fallback: number | undefined, bounds: { min: number; max: number }): number {
    const text = this.#env[name];
    if (text === undefined || text === "") {
      if (fallback !== undefined) return fallback;
      this.#problems.push(`${name} is not set`);
      return bounds.min;
    }
    const value = Number(text);
    if (/^-?\d+$/.test(text) && Number.isSafeInteger(value) && value >= bounds.min && value <= bounds.max) return value;
    this.#problems.push(`${name} is '${text}', not a whole number from ${bounds.min} to ${bounds.max}`);
    return bounds.min;
  }

  /** One of a few words. */
  choice<T extends string>(name: string, words: readonly [T, ...T[]]): T {
    const text = this.#env[name];
    if (text === undefined || text === "") return words[0];
    const chosen = words.find((word) => word === text);
    if (chosen === undefined) this.#problems.push(`${name} is '${text}', not one of ${words.join(", ")}`);
    return chosen ?? words[0];
  }

  url(name: string, fallback?: string): string {
    const value = this.text(name, fallback);
    if (value !== "" && !URL.canParse(value)) this.#problems.push(`${name} is not a URL`);
    return value;
  }

  /** Values separated by commas; a JSON array is taken too, for values that hold commas (paths). */
  list(name: string): string[] {
    const text = this.#env[name];
    if (text === undefined || text.trim() === "") return [];
    if (!text.trimStart().startsWith("["))
      return text
        .split(",")
        .map((part) => part.trim())
        .filter(Boolean);
    try {
      const parsed: unknown = JSON.parse(text);
      if (Array.isArray(parsed) && parsed.every((part) => typeof part === "string")) return parsed;
    } catch {
      // Falls through to the problem below: the reason of the parser would not help more.
    }
    this.#problems.push(`${name} is neither a list with commas nor a JSON array of texts`);
    return [];
  }

  done(role: string): void {
    if (this.#problems.length === 0) return;
    throw new TraceError("TR-1011", {
      detail: `the ${role} cannot start: ${this.#problems.join("; ")}`,
      where: "environment",
      fix: "set the variables named; 'trace up' sets all of them for the local stack",
    });
  }
}

/** The process environment, handed to `ConfigReader` and to nothing else. */
export function processEnvironment(): Environment {
  return process.env;
}
