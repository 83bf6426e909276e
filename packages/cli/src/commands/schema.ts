/** `trace schema`: the JSON Schema of DAG files, for editors. */
import { dagJsonSchema } from "@trace/contracts";
import type { Command } from "commander";
import type { CliOf } from "../program.ts";
import { examples } from "./arguments.ts";

export function registerSchema(program: Command, cliOf: CliOf): void {
  program
    .command("schema")
    .summary("print the JSON Schema of DAG files")
    .description(
      "Prints the JSON Schema (draft 2020-12) of DAG files. Editors with the YAML language server check a file by it when its first line names it.",
    )
    .addHelpText(
      "after",
      examples(
        ["trace schema > dag.schema.json", "then, as the first line of a DAG file:"],
        ["# yaml-language-server: $schema=dag.schema.json", ""],
      ),
    )
    .action((_options: unknown, command: Command) => {
      const cli = cliOf(command);
      if (cli.json) cli.printJson(dagJsonSchema());
      else cli.print(JSON.stringify(dagJsonSchema(), null, 2));
    });
}
