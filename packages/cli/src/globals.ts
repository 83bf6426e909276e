/**
 * The flags that every command takes, before or after its name. Each command gets options of its own for them, because
 * a flag may mean something else to one command: `trace --state FOLDER task list --state dead`.
 */
import { type Command, Option } from "commander";
import type { GlobalOptions } from "./cli.ts";

const heading = "Global options:";

function globalFlags(): Option[] {
  return [
    new Option("--state <folder>", "state folder (default: TRACE_STATE, else the nearest .trace upward)"),
    new Option("--url <url>", "address of the user API (default: the running stack's)"),
    new Option("--token-file <file>", "file with the API token (default: the stack owner's)"),
    new Option("--json", "answer with JSON on standard output, errors with one line of JSON on standard error"),
    new Option("--no-color", "no colours (NO_COLOR does the same)"),
    new Option("-q, --quiet", "the answer and errors, nothing else"),
    new Option("--debug", "show the full text of errors"),
  ];
}

/** Gives the flags to a command and all below it, except where a command has a flag of that name. Safe to call again. */
export function addGlobalOptions(command: Command): void {
  for (const option of globalFlags()) {
    if (command.options.some((own) => own.long === option.long)) continue;
    command.addOption(option.helpGroup(heading));
  }
  for (const child of command.commands) addGlobalOptions(child);
}

/** What was given, nearest to the end of the command line first. */
export function globalOptionsOf(command: Command): GlobalOptions {
  const given: Record<string, unknown> = {};
  for (let at: Command | null = command; at !== null; at = at.parent) {
    for (const option of at.options) {
      const name = option.attributeName();
      if (option.helpGroupHeading !== heading || Object.hasOwn(given, name)) continue;
      if (at.getOptionValueSource(name) === "cli") given[name] = at.getOptionValue(name);
    }
  }
  const text = (name: string) => (typeof given[name] === "string" ? given[name] : undefined);
  return {
    state: text("state"),
    url: text("url"),
    tokenFile: text("tokenFile"),
    json: given.json === true,
    color: given.color !== false,
    quiet: given.quiet === true,
    debug: given.debug === true,
  };
}
