/** What a half-typed command line is about to say: read from the commands themselves, so that a new one needs nothing here. Pure. */
import type { Argument, Command, Option } from "commander";

/** Names that only the dispatcher knows, words that are known here, or files. */
export type ValueKind =
  | "dataset"
  | "dag"
  | "job"
  | "dag.job"
  | "task"
  | "pin"
  | "commit"
  | "partition"
  | "code"
  | "shell"
  | "file"
  | "folder"
  | "template"
  /** Nobody can say it before: a number, a text, SQL. */
  | "free"
  | readonly string[];

export type Wanted =
  | { readonly kind: "commands"; readonly command: Command }
  | { readonly kind: "options"; readonly command: Command }
  | { readonly kind: "value"; readonly value: ValueKind }
  | { readonly kind: "nothing" };

export interface Reading {
  readonly wanted: Wanted;
  /** What the last word begins with. */
  readonly prefix: string;
  /** Words given to arguments so far. */
  readonly given: readonly string[];
  /** Values of options so far, by long flag. */
  readonly options: ReadonlyMap<string, string>;
}

/** Which kinds of values a program's arguments and options take. */
export interface ValueKinds {
  argument(command: Command, argument: Argument): ValueKind;
  option(command: Command, option: Option): ValueKind;
}

function optionNamed(command: Command, flag: string): Option | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find((option) => option.long === flag || option.short === flag);
    if (found !== undefined) return found;
  }
  return undefined;
}

const takesValue = (option: Option | undefined): option is Option =>
  option !== undefined && (option.required || option.optional);

/** Follows the words up to the last one, which is being typed. */
class Walk {
  command: Command;
  readonly given: string[] = [];
  readonly options = new Map<string, string>();
  /** The option whose value comes next. */
  open: Option | undefined;
  ended = false;

  constructor(root: Command) {
    this.command = root;
  }

  word(word: string): void {
    // Bash splits `--format=csv` into three words.
    if (word === "=" && this.open !== undefined) return;
    if (!this.ended && word === "--") {
      this.ended = true;
      this.open = undefined;
    } else if (!this.ended && word.startsWith("-") && word !== "-") this.#flag(word);
    else if (this.open !== undefined) {
      this.options.set(this.open.long ?? "", word);
      if (!this.open.variadic) this.open = undefined;
    } else this.#plain(word);
  }

  #flag(word: string): void {
    const equals = word.indexOf("=");
    const option = optionNamed(this.command, equals === -1 ? word : word.slice(0, equals));
    if (equals !== -1) this.options.set(option?.long ?? "", word.slice(equals + 1));
    this.open = equals === -1 && takesValue(option) ? option : undefined;
  }

  #plain(word: string): void {
    const child = this.given.length > 0 ? undefined : this.command.commands.find((one) => one.name() === word);
    if (child === undefined) this.given.push(word);
    else this.command = child;
  }
}

/** `words`: all after the program's name; the last is the one being typed, and may be empty. */
export function readWords(root: Command, words: readonly string[], kinds: ValueKinds): Reading {
  const walk = new Walk(root);
  const last = words.at(-1) ?? "";
  for (const word of words.slice(0, -1)) walk.word(word);
  const { command, given, options, open } = walk;
  const found = (wanted: Wanted, prefix = last): Reading => ({ wanted, prefix, given, options });
  if (!walk.ended && last.startsWith("-")) {
    const [flag = "", value] = last.split("=", 2);
    const option = optionNamed(command, flag);
    if (value === undefined) return found({ kind: "options", command });
    return takesValue(option)
      ? found({ kind: "value", value: kinds.option(command, option) }, value)
      : found({ kind: "nothing" });
  }
  if (open !== undefined) {
    return found({ kind: "value", value: kinds.option(command, open) }, last === "=" ? "" : last);
  }
  if (command.commands.length > 0)
    return given.length > 0 ? found({ kind: "nothing" }) : found({ kind: "commands", command });
  const { registeredArguments } = command;
  const next = registeredArguments[given.length] ?? registeredArguments.at(-1);
  if (next === undefined || (given.length >= registeredArguments.length && !next.variadic))
    return found({ kind: "nothing" });
  return found({ kind: "value", value: kinds.argument(command, next) });
}
