/** What the arguments and options of our commands take. A test asks for every one of them, so that none is forgotten. */
import { taskStates } from "@trace/contracts";
import type { Argument, Command, Option } from "commander";
import { queryFormats } from "../query/render.ts";
import type { ValueKind, ValueKinds } from "./wanted.ts";

const argumentKinds: Readonly<Record<string, ValueKind>> = {
  "dataset name": "dataset",
  "dataset from": "commit",
  "dataset to": "commit",
  "dataset pin": "pin",
  "run dag": "dag",
  "task task": "task",
  "task tasks": "task",
  "task dag.job": "dag.job",
  "explain code": "code",
  "completion shell": "shell",
  "deploy file": "file",
  "query sql": "free",
  "outbox ids": "free",
  "init folder": "folder",
  "init name": "free",
};

const optionKinds: Readonly<Record<string, ValueKind>> = {
  "--state": "folder",
  "--url": "free",
  "--token-file": "file",
  "--dag": "dag",
  "--job": "job",
  "--commit": "commit",
  "--to": "commit",
  "--before": "commit",
  "--expected-head": "commit",
  "--partition": "partition",
  "--output": "file",
  "--format": queryFormats,
  "--root": "folder",
  "--from": "file",
  "--template": "template",
  "--example": "template",
  "--payload": "free",
  "--as-of": "free",
  "--limit": "free",
  "--cursor": "free",
  "--key": "free",
  "--reason": "free",
  "--for": "free",
  "--until": "free",
  "--confirm": "free",
  "--generation": "free",
  "--timeout": "free",
  "--attempt": "free",
  "--priority": "free",
  "--run-at": "free",
  "--dedupe-key": "free",
  "--count": "free",
  "--allow": "free",
  "--slots": "free",
  "--name": "free",
};

/** The first word below the program: `dataset` of `trace dataset diff`. */
function area(command: Command): string {
  let at = command;
  while (at.parent?.parent) at = at.parent;
  return at.name();
}

export const knownKinds = {
  argument: (command: Command, argument: Argument): ValueKind | undefined =>
    argumentKinds[`${area(command)} ${argument.name()}`],
  option: (command: Command, option: Option): ValueKind | undefined => {
    // After `trace task list` and its like it is the state of tasks.
    if (option.long === "--state" && area(command) === "task" && option.helpGroupHeading === undefined)
      return taskStates;
    return optionKinds[option.long ?? ""];
  },
};

export const valueKinds: ValueKinds = {
  argument: (command, argument) => knownKinds.argument(command, argument) ?? "free",
  option: (command, option) => knownKinds.option(command, option) ?? "free",
};
