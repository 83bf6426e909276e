/** Rules of what an attempt does while it runs: being started elsewhere, and the task API. */
import { type CallRules, isNotNow } from "./calls.ts";
import { codeOf, fieldsOf, listOf, textOf } from "./json.ts";
import { judgeLease } from "./over.ts";
import { markGone } from "./world.ts";

export const start: CallRules = {
  settle(world, call, outcome) {
    const items = listOf(fieldsOf(call.body).items).map(fieldsOf);
    const answers = listOf(fieldsOf(outcome.body).items).map(fieldsOf);
    for (const [index, item] of items.entries()) {
      const lease = world.leaseOf(textOf(item.lease_token));
      const answer = fieldsOf(answers[index]);
      const lines = [call.line, outcome.line];
      const code = codeOf(answer.error);
      if (outcome.kind === "refused") continue;
      if (lease === undefined) {
        if (answer.accepted !== true) continue;
        world.verdict.add({
          rule: "unknown_token",
          what: "a start with a token that no claim handed out was accepted",
          why: "",
          lines,
        });
        continue;
      }
      if (outcome.kind === "unknown" || (answer.accepted !== true && isNotNow(code))) {
        lease.limitTo = Math.max(lease.limitTo, outcome.at + world.lateNs);
      } else if (answer.accepted === true) {
        world.verdict.count("starts accepted");
        const at = { task: lease.task.id, lease: lease.no };
        judgeLease(world, lease, call.start, ({ why, lines: before, marginNs }) => {
          const what = `a start of lease ${lease.no} was accepted`;
          world.verdict.add({ rule: "stale_accept", what, why, marginNs, ...at, lines: [...before, ...lines] });
        });
        const nonce = textOf(item.nonce);
        if (lease.nonce !== undefined && lease.nonce !== nonce) {
          const what = `lease ${lease.no} was started by invocation ${lease.nonce} and by invocation ${nonce}`;
          world.verdict.add({ rule: "nonces", what, why: "the first nonce stays", ...at, lines });
        }
        lease.nonce ??= nonce;
        lease.limitTo = Math.max(lease.limitTo, outcome.at);
        lease.limitFrom = Math.max(lease.limitFrom, call.start);
      } else {
        world.verdict.count(`start refused, ${code}`);
        if (code === "TR-3001")
          markGone(lease, { at: outcome.at, line: outcome.line, why: "a start of it was refused as stale" });
      }
    }
  },
};

/** Every call of the task API: opened by a lease, and only by one that lives. */
export const taskApi: CallRules = {
  settle(world, call, outcome) {
    const lease = call.as === undefined ? undefined : world.leaseOf(call.as);
    const lines = [call.line, outcome.line];
    if (outcome.kind === "refused") {
      if (lease !== undefined && outcome.code === "TR-3001") {
        markGone(lease, { at: outcome.at, line: outcome.line, why: "a call of its task API was refused as stale" });
      }
      return;
    }
    if (outcome.kind !== "answered") return;
    world.verdict.count("calls of the task API");
    if (lease === undefined) {
      world.verdict.add({
        rule: "unknown_token",
        what: "the task API answered a token that no claim handed out",
        why: "",
        lines,
      });
      return;
    }
    judgeLease(world, lease, call.start, ({ why, lines: before, marginNs }) => {
      const what = `the task API answered lease ${lease.no}`;
      const at = { task: lease.task.id, lease: lease.no, lines: [...before, ...lines] };
      world.verdict.add({ rule: "stale_accept", what, why, marginNs, ...at });
    });
  },
};
