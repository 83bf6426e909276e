/** Who waits for whom: checks the names and puts the units in an order in which each comes after what it waits for. */
import { TraceError } from "@trace/contracts";

export interface Ordered {
  readonly name: string;
  readonly after: readonly string[];
}

function refusal(name: string, detail: string): TraceError {
  return new TraceError("TR-6021", { detail, where: `process ${name}`, fix: "Correct the list of processes." });
}

/** Throws TR-6021 on a name used twice, an unknown name, or a circle. Keeps the given order where it can. */
export function startOrder<T extends Ordered>(units: readonly T[]): T[] {
  const byName = new Map<string, T>();
  for (const unit of units) {
    if (byName.has(unit.name)) throw refusal(unit.name, `Two processes are named ${unit.name}.`);
    byName.set(unit.name, unit);
  }
  const ordered: T[] = [];
  const state = new Map<string, "open" | "done">();
  const visit = (unit: T, path: readonly string[]) => {
    if (state.get(unit.name) === "done") return;
    const here = [...path, unit.name];
    if (state.get(unit.name) === "open")
      throw refusal(unit.name, `Processes wait for each other: ${here.join(" -> ")}.`);
    state.set(unit.name, "open");
    for (const name of unit.after) {
      const other = byName.get(name);
      if (other === undefined) throw refusal(unit.name, `${unit.name} waits for ${name}, which does not exist.`);
      visit(other, here);
    }
    state.set(unit.name, "done");
    ordered.push(unit);
  };
  for (const unit of units) visit(unit, []);
  return ordered;
}
