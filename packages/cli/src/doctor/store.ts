/**
 * Rights at the object store, found out by trying: what is committed must not be overwritten or deleted by a worker, whose own key
 * need not write at all where attempts have theirs.
 * The keys are the local stack's own; what was tried is taken away again with the dispatcher's.
 */
import { TraceError } from "@trace/contracts";
import { fail, type NamedFinding, ok, skip, warn } from "./check.ts";

/** What one key can do in the datasets bucket. Each throws TR-4008 where the store refuses it. */
export interface TriedStore {
  put(key: string, options: { ifAbsent: boolean }): Promise<"stored" | "exists">;
  delete(key: string): Promise<"deleted">;
}

export interface TriedStores {
  readonly worker: TriedStore;
  readonly dispatcher: TriedStore;
}

type Outcome = "stored" | "exists" | "deleted" | "refused";

/** Refused is an answer here; anything else that goes wrong is not. */
async function outcome(call: Promise<Exclude<Outcome, "refused">>): Promise<Outcome> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof TraceError && error.code === "TR-4008") return "refused";
    throw error;
  }
}

const policy =
  "the bucket's policy must refuse PutObject and CompleteMultipartUpload without 'If-None-Match: *', and give workers no DeleteObject; the embedded stack does: start it again with 'trace up'";

/** Four findings; what was written is deleted, however it goes. */
export async function storeRights(stores: TriedStores, key: string): Promise<NamedFinding[]> {
  const { worker, dispatcher } = stores;
  const plain = await outcome(worker.put(key, { ifAbsent: false }));
  const first = await outcome(worker.put(key, { ifAbsent: true }));
  const writes = first !== "refused";
  const second = writes ? await outcome(worker.put(key, { ifAbsent: true })) : first;
  const removed = await outcome(worker.delete(key));
  const collected = await outcome(dispatcher.delete(key));
  return [
    {
      name: "s3 overwrite",
      ...(plain === "refused"
        ? ok(
            writes
              ? "a put without 'If-None-Match: *' is refused in the datasets bucket"
              : "the worker's own key can overwrite nothing in the datasets bucket",
          )
        : fail("a put without 'If-None-Match: *' was taken: committed files can be overwritten", policy)),
    },
    { name: "s3 put", ...judgePut(plain, first, second) },
    {
      name: "s3 delete",
      ...(removed === "refused"
        ? ok("the worker's key cannot delete")
        : fail("the worker's key can delete what is committed", policy)),
    },
    {
      name: "s3 collect",
      ...(collected === "deleted"
        ? ok("the dispatcher's key can delete what nobody needs")
        : fail(
            "the dispatcher's key cannot delete: garbage stays for ever",
            "give it DeleteObject on the datasets bucket",
          )),
    },
  ];
}

/** Pure. */
function judgePut(plain: Outcome, first: Outcome, second: Outcome): Omit<NamedFinding, "name"> {
  // Each attempt gets keys of its own, so that the worker's may do without.
  if (first === "refused") return ok("the worker's own key writes no datasets; each attempt has keys of its own");
  if (plain === "stored") return skip("the key was there already");
  if (first === "stored" && second === "exists") return ok("a put of a key that is there is refused with 412");
  return warn(`a put with 'If-None-Match: *' was ${first}, then ${second}`, policy);
}
