/**
 * Session policies: what a session may do at most. Pure: a document comes in, a decision about each request comes out.
 *
 * The grammar is IAM's, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html, evaluated as in
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html: a Deny that fits wins, else
 * an Allow that fits, else nothing is allowed. Whatever is not known here (an element, a condition operator or key, a
 * variable) is refused when the session is asked for, so that no policy means less here than its author thought.
 */
import { any, type Glob, matches, one, readGlob } from "./glob.ts";

/** Why a document is no session policy; told to whoever sent it. */
export class PolicyFault extends Error {}

export interface PolicyRequest {
  /** `s3:GetObject` */
  readonly action: string;
  /** `arn:aws:s3:::bucket/key` */
  readonly resource: string;
  /** What is known of the request, by condition key in lower case. */
  readonly facts: ReadonlyMap<string, string>;
}

export interface SessionPolicy {
  permits(request: PolicyRequest): boolean;
}

type Test = (request: PolicyRequest) => boolean;

interface Statement {
  readonly denies: boolean;
  /** All must hold. */
  readonly tests: readonly Test[];
}

const conditionKeys = new Set(["s3:prefix", "s3:if-none-match", "s3:if-match"]);

/** Throws PolicyFault. */
export function readPolicy(text: string): SessionPolicy {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new PolicyFault("Syntax errors in policy: it is no JSON.");
  }
  const { Version, Id, Statement, ...others } = asObject(document, "The policy");
  refuseOthers(others, "the policy");
  if (Version !== undefined && Version !== "2012-10-17" && Version !== "2008-10-17") {
    throw new PolicyFault("The policy's Version must be 2012-10-17 or 2008-10-17.");
  }
  if (Id !== undefined && typeof Id !== "string") throw new PolicyFault("The policy's Id must be a text.");
  if (Statement === undefined) throw new PolicyFault("Missing required field Statement.");
  const variables = Version === "2012-10-17";
  const statements = asList(Statement).map((one) => readStatement(one, variables));
  return {
    permits: (request) => {
      const fitting = statements.filter(({ tests }) => tests.every((holds) => holds(request)));
      return fitting.length > 0 && fitting.every(({ denies }) => !denies);
    },
  };
}

function readStatement(value: unknown, variables: boolean): Statement {
  const { Sid, Effect, Action, NotAction, Resource, NotResource, Condition, ...others } = asObject(
    value,
    "A Statement",
  );
  refuseOthers(others, "a Statement of a session policy");
  if (Sid !== undefined && (typeof Sid !== "string" || !/^[A-Za-z0-9]*$/.test(Sid))) {
    throw new PolicyFault("A Sid must be a text of letters and digits.");
  }
  if (Effect !== "Allow" && Effect !== "Deny") throw new PolicyFault("Effect must be Allow or Deny.");
  const action = eitherOf("Action", Action, NotAction, readAction);
  const resource = eitherOf("Resource", Resource, NotResource, (text) => readResource(text, variables));
  const tests: Test[] = [({ action: asked }) => action(asked), ({ resource: named }) => resource(named)];
  if (Condition !== undefined) tests.push(...readConditions(Condition, variables));
  return { denies: Effect === "Deny", tests };
}

type Fits = (text: string) => boolean;

/** An element or its opposite, and not both. */
function eitherOf(name: string, plain: unknown, not: unknown, read: (text: string) => Fits): Fits {
  if ((plain === undefined) === (not === undefined)) {
    throw new PolicyFault(`A Statement must have either ${name} or Not${name}.`);
  }
  const patterns = asTexts(plain ?? not, name).map(read);
  if (patterns.length === 0) throw new PolicyFault(`A Statement must name at least one ${name}.`);
  const fits: Fits = (text) => patterns.some((pattern) => pattern(text));
  return plain === undefined ? (text) => !fits(text) : fits;
}

/** Names of actions are the same in any case. */
function readAction(text: string): Fits {
  if (text !== "*" && !/^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/.test(text)) {
    throw new PolicyFault("Actions/Conditions must be prefaced by a vendor, e.g., s3:GetObject.");
  }
  const glob = readGlob(text.toLowerCase());
  return (action) => matches(glob, action.toLowerCase());
}

/** Wild cards of an ARN stay within its part; the last part, which for S3 is bucket and key, may hold colons. */
function readResource(text: string, variables: boolean): Fits {
  if (text === "*") return () => true;
  const parts = partsOf(text);
  if (parts === undefined || parts[0] !== "arn") {
    throw new PolicyFault(`Resource ${text} must be in ARN format or "*".`);
  }
  const globs = parts.map((part) => readPattern(part, variables));
  return (resource) => {
    const given = partsOf(resource);
    return given !== undefined && globs.every((glob, at) => matches(glob, given[at] ?? ""));
  };
}

function partsOf(arn: string): string[] | undefined {
  const parts = arn.split(":");
  return parts.length < 6 ? undefined : [...parts.slice(0, 5), parts.slice(5).join(":")];
}

/**
 * Wild cards and the three variables that stand for them as characters, `${*}`, `${?}` and `${$}`. Others would be filled
 * with what is known of the caller, of which there is nothing here.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
 */
function readPattern(text: string, variables: boolean): Glob {
  return text.split(/(\$\{[^}]*\}?)/).flatMap((piece): Glob => {
    if (!piece.startsWith("${")) return readGlob(piece);
    const char = /^\$\{([*?$])\}$/.exec(piece)?.[1];
    if (char === undefined || !variables) {
      throw new PolicyFault(`The policy variable ${piece} is not known here, or needs the Version 2012-10-17.`);
    }
    return [char];
  });
}

/** A pattern without wild cards, as text. */
function literal(text: string, variables: boolean): string {
  return readPattern(text, variables)
    .map((piece) => (piece === any ? "*" : piece === one ? "?" : String(piece)))
    .join("");
}

/** Each operator on each key must hold; of the values of a key, one. A key that the request does not have fits no value. */
function readConditions(value: unknown, variables: boolean): Test[] {
  return Object.entries(asObject(value, "A Condition")).flatMap(([operator, block]) =>
    Object.entries(asObject(block, `The condition ${operator}`)).map(([name, wanted]) => {
      const key = name.toLowerCase();
      if (!conditionKeys.has(key)) throw new PolicyFault(`The condition key ${name} is not known here.`);
      const texts = asTexts(wanted, `The condition ${operator} on ${name}`);
      return readCondition(operator, key, texts, variables);
    }),
  );
}

function readCondition(operator: string, key: string, wanted: readonly string[], variables: boolean): Test {
  switch (operator) {
    case "StringEquals": {
      const values = wanted.map((text) => literal(text, variables));
      return ({ facts }) => values.some((text) => text === facts.get(key));
    }
    case "StringLike": {
      const globs = wanted.map((text) => readPattern(text, variables));
      return ({ facts }) => {
        const fact = facts.get(key);
        return fact !== undefined && globs.some((glob) => matches(glob, fact));
      };
    }
    case "Null": {
      if (!wanted.every((text) => text === "true" || text === "false")) {
        throw new PolicyFault("The condition Null must be true or false.");
      }
      return ({ facts }) => wanted.includes(facts.has(key) ? "false" : "true");
    }
    default:
      throw new PolicyFault(`The condition operator ${operator} is not known here.`);
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new PolicyFault(`Syntax errors in policy: ${what} must be an object.`);
  }
  return { ...value };
}

function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** One text or a list of them; IAM takes true and false for their names. */
function asTexts(value: unknown, what: string): string[] {
  return asList(value).map((text) => {
    if (typeof text === "string") return text;
    if (typeof text === "boolean") return String(text);
    throw new PolicyFault(`Syntax errors in policy: ${what} must be a text or a list of texts.`);
  });
}

function refuseOthers(others: Record<string, unknown>, what: string): void {
  const [name] = Object.keys(others);
  if (name === undefined) return;
  throw new PolicyFault(
    name === "Principal" || name === "NotPrincipal"
      ? "Policy document should not specify a principal."
      : `Syntax errors in policy: ${name} is no element of ${what}.`,
  );
}
