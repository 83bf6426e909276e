/**
 * Help with the examples first, then the commands: whoever asks for help looks for a line to copy before they read a list of options. Commander puts
 * what a command adds to its help behind everything else.
 */
import { EventEmitter } from "node:events";
import { stripVTControlCharacters } from "node:util";
import { type Command, Help } from "commander";

const examplesHead = "\nExamples:\n";

export class ExamplesFirst {
  readonly #shown = new Set<string>();

  /** Commander's own help with the examples behind the description. */
  readonly formatHelp = (command: Command, helper: Help): string => {
    const added: string[] = [];
    // A command is an emitter, which its types do not say.
    if (command instanceof EventEmitter) {
      command.emit("afterHelp", { error: false, command, write: (text: string) => added.push(text) });
    }
    const examples = added.filter((text) => text.startsWith(examplesHead));
    for (const text of examples) this.#shown.add(text);
    const help = Help.prototype.formatHelp.call(helper, command, helper);
    const parts = help.split("\n\n");
    // Usage, then the description where there is one.
    const head = command.description() === "" ? 1 : 2;
    const title = helper.styleTitle("Examples:");
    const first = examples.map((text) => `${title}\n${text.slice(examplesHead.length).trimEnd()}`);
    const rest = parts.slice(head);
    const isCommands = (part: string) => stripVTControlCharacters(part).startsWith("Commands:");
    const commands = rest.filter(isCommands).map((part) => part.trimEnd());
    const others = rest.filter((part) => !isCommands(part));
    return `${[...parts.slice(0, head), ...first, ...commands, ...others].join("\n\n").trimEnd()}\n`;
  };

  /** Whether a text that commander writes was shown with the help already. */
  shown(text: string): boolean {
    return this.#shown.delete(text);
  }
}
