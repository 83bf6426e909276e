/** Rows set aside. */
import type { Reply } from "../messages.ts";
import type { DuckInput } from "../types.ts";
import type { Head } from "./csv.ts";
import type { Engine } from "./engine.ts";
import type { Source } from "./inputs.ts";

export class BadRows {
  static async open(_engine: Engine): Promise<BadRows> {
    return new BadRows();
  }
  async sourceOf(_input: DuckInput, _heads: readonly Head[]): Promise<Source> {
    throw new Error("later");
  }
  async write(_folder: string, _send: (reply: Reply) => Promise<void>): Promise<void> {}
}
