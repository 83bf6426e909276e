/**
 * What an attempt staged, checked against the store before any transaction is opened. A manifest
 * is a claim of a writer: each file must lie under the attempt's own prefix, be there, and have the size and checksum
 * the manifest says. The store being away is no verdict: the lease is kept and the call may be made again.
 */
import { createHash } from "node:crypto";
import {
  type AttemptOutput,
  type Manifest,
  type ManifestFile,
  manifestBytesMax,
  manifestSchema,
  type StagedOutput,
  TraceError,
} from "@trace/contracts";
import type { ObjectHead, ObjectStore } from "@trace/kit";
import { requireTrue } from "./footers/compare.ts";
import type { FooterReader } from "./footers/reader.ts";
import { manifestChecksInFlight } from "./limits.ts";
import { unstorable } from "./rules/text.ts";
import { stagingPrefix } from "./rules/token.ts";

export interface StagedPlace {
  readonly dataset: string;
  readonly generationId: number;
  readonly bucket: string;
  readonly prefix: string;
  readonly taskId: string;
  readonly leaseNo: number;
  readonly strategy: "replace" | "append";
  /** The column whose value is each row's partition; null where the attempt writes one partition. */
  readonly partitionBy: string | null;
  /** The partition that the attempt writes; null where the dataset has none, or the files name theirs. */
  readonly partition: string | null;
}

/** An output whose files are as its manifest says, or one that is said to be what the dataset holds. */
export type CheckedOutput =
  | { readonly kind: "staged"; readonly place: StagedPlace; readonly manifest: Manifest }
  | { readonly kind: "unchanged"; readonly place: StagedPlace; readonly fingerprint: string };

/** Keys are compared byte for byte; a `..` or an empty part has no meaning in an object key and is refused all the same. */
function isUnder(prefix: string, key: string): boolean {
  if (!key.startsWith(prefix) || key.length === prefix.length) return false;
  return key
    .slice(prefix.length)
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== "..");
}

function foreign(place: StagedPlace, key: string, what: string): TraceError {
  return new TraceError("TR-4003", {
    detail: `the ${what} '${key}' does not lie under the prefix of this attempt`,
    where: `output ${place.dataset}, s3://${place.bucket}/${place.prefix}`,
    why: "an attempt may publish only what it wrote itself, under the prefix it was given",
    fix: "stage every file under the prefix in the claim's `staging`",
  });
}

const manifestFix =
  "write the manifest last, as one JSON document that describes exactly this attempt's files, and complete with the SHA-256 of its bytes";

function parseManifest(place: StagedPlace, bytes: Uint8Array, sha256: string): Manifest {
  const where = `output ${place.dataset}, s3://${place.bucket}/${place.prefix}`;
  if (createHash("sha256").update(bytes).digest("hex") !== sha256) {
    const detail = "the manifest in the store is not the one the attempt named";
    throw new TraceError("TR-4001", { detail, where, why: "its SHA-256 is another", fix: manifestFix });
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw new TraceError("TR-4001", { detail: "the manifest is not JSON", where, fix: manifestFix, cause });
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const detail = `the manifest does not fit its schema: ${issue?.path.join(".")}: ${issue?.message}`;
    throw new TraceError("TR-4001", { detail, where, fix: manifestFix });
  }
  const manifest = parsed.data;
  const rows = manifest.files.reduce((sum, file) => sum + file.rows, 0);
  const total = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const faults = [
    manifest.dataset !== place.dataset && `it is for dataset '${manifest.dataset}'`,
    manifest.task_id !== place.taskId && "it is for another task",
    manifest.lease_no !== place.leaseNo && `it is for lease ${manifest.lease_no}, not ${place.leaseNo}`,
    manifest.partition !== place.partition && partitionFault(manifest.partition, place.partition),
    manifest.files.map((file) => filePartitionFault(file.partition, place)).find((fault) => fault !== undefined),
    manifest.files.length === 0 && place.partitionBy === null && "it names no file",
    (rows !== manifest.rows || total !== manifest.bytes) && "its totals are not the sums of its files",
    unstorable({ schema: manifest.schema, keys: manifest.files.map((file) => [file.key, file.partition ?? ""]) }) !==
      undefined && "a name in it holds NUL or half of a character",
    new Set(manifest.schema.map((column) => column.name)).size !== manifest.schema.length && "it names a column twice",
    new Set(manifest.files.map((file) => file.key)).size !== manifest.files.length && "it names a file twice",
  ].filter((fault) => typeof fault === "string");
  if (faults.length > 0) {
    const detail = `the manifest contradicts its attempt: ${faults.join("; ")}`;
    throw new TraceError("TR-4001", { detail, where, fix: manifestFix });
  }
  return { ...manifest, files: manifest.files.map(withStorableStats) };
}

function partitionFault(named: string | null, wanted: string | null): string {
  const is = named === null ? "it names no partition" : `it is for partition '${named.slice(0, 80)}'`;
  return wanted === null ? `${is}, and the attempt writes none by name` : `${is}, and the attempt writes '${wanted}'`;
}

function filePartitionFault(named: string | undefined, place: StagedPlace): string | undefined {
  if (place.partitionBy === null) {
    return named === undefined || named === place.partition ? undefined : "a file names a partition of its own";
  }
  return named === undefined
    ? `a file names no partition, and the output is partitioned by '${place.partitionBy}'`
    : undefined;
}

/** A smallest or largest value that Postgres cannot keep is one that is not known: readers may only skip by what is known. */
function withStorableStats(file: ManifestFile): ManifestFile {
  const kept = (value: string | null | undefined) => (unstorable(value) === undefined ? value : null);
  const columns = file.columns
    .filter((column) => unstorable([column.name, column.type]) === undefined)
    .map((column) => ({ ...column, min: kept(column.min), max: kept(column.max) }));
  return { ...file, columns };
}

async function checkFile(store: ObjectStore, place: StagedPlace, file: ManifestFile): Promise<ObjectHead> {
  if (!isUnder(place.prefix, file.key)) throw foreign(place, file.key, "file");
  const where = `output ${place.dataset}, s3://${place.bucket}/${file.key}`;
  const head = await store.head(place.bucket, file.key);
  if (head === undefined) {
    throw new TraceError("TR-4002", {
      detail: `the manifest names '${file.key}', which is not in the store`,
      where,
      fix: "the attempt is tried again and stages its files anew; if it stays, look for what deletes objects in the datasets bucket",
    });
  }
  // Of a file in parts the store has another checksum than readers; that of the whole they find out themselves.
  const expected = file.stored_sha256 ?? file.sha256;
  if (head.bytes !== file.bytes || head.sha256 !== expected) {
    const stored = head.sha256 === undefined ? "no SHA-256" : `SHA-256 ${head.sha256.slice(0, 12)}…`;
    throw new TraceError("TR-4004", {
      detail: `'${file.key}' has ${head.bytes} bytes and ${stored} in the store; the manifest says ${file.bytes} bytes and ${expected.slice(0, 12)}…`,
      where,
      fix: "upload with the x-amz-checksum-sha256 header; the attempt is tried again and stages its files anew",
    });
  }
  return head;
}

/**
 * Reads and checks the manifest of one staged output, and every file it names; with `footers` also what each file says of
 * itself. Throws what refuses the commit.
 */
export async function checkStaged(
  store: ObjectStore,
  place: StagedPlace,
  staged: StagedOutput,
  footers?: FooterReader,
): Promise<CheckedOutput> {
  if (!isUnder(place.prefix, staged.manifest_key)) throw foreign(place, staged.manifest_key, "manifest");
  const bytes = await store.get(place.bucket, staged.manifest_key, manifestBytesMax);
  if (bytes === undefined) {
    throw new TraceError("TR-4001", {
      detail: `the manifest '${staged.manifest_key}' is not in the store`,
      where: `output ${place.dataset}`,
      fix: "write the manifest, last, before completing",
    });
  }
  const manifest = parseManifest(place, bytes, staged.manifest_sha256);
  const { schema } = manifest;
  const files: ManifestFile[] = [];
  for (let from = 0; from < manifest.files.length; from += manifestChecksInFlight) {
    const some = manifest.files.slice(from, from + manifestChecksInFlight);
    const checked = some.map(async (file) => {
      const head = await checkFile(store, place, file);
      if (footers === undefined) return file;
      const { bucket, dataset } = place;
      return requireTrue({ dataset, bucket, schema, file }, await footers.read(bucket, file.key, head));
    });
    files.push(...(await Promise.all(checked)));
  }
  return { kind: "staged", place, manifest: { ...manifest, files } };
}

interface Declared {
  readonly dataset: string;
  readonly generation_id: number;
  readonly storage_id: string;
  readonly strategy: "replace" | "append";
  readonly partition_by: string | null;
}

interface CheckedAttempt {
  readonly bucket: string;
  readonly token: Buffer;
  readonly taskId: string;
  readonly leaseNo: number;
  readonly partition: string | null;
}

/** Checks everything that an attempt staged against what its job declares and what the store has. Throws what refuses it. */
export async function checkOutputs(
  store: ObjectStore,
  staged: readonly AttemptOutput[],
  declared: readonly Declared[],
  attempt: CheckedAttempt,
  footers?: FooterReader,
): Promise<CheckedOutput[]> {
  const byName = new Map(declared.map((output) => [output.dataset, output]));
  const names = new Set(staged.map((output) => output.dataset));
  const faults = [
    ...[...byName.keys()].filter((name) => !names.has(name)).map((name) => `'${name}' was not staged`),
    ...[...names].filter((name) => !byName.has(name)).map((name) => `'${name}' is no output of this job`),
    ...(names.size === staged.length ? [] : ["an output is named twice"]),
  ];
  if (faults.length > 0) {
    throw new TraceError("TR-4005", {
      detail: `the outputs staged are not those of the job: ${faults.join("; ")}`,
      why: "an attempt publishes every output of its job and nothing else, so that readers never see half of it",
      fix: "stage each dataset in the claim's `staging` exactly once",
    });
  }
  return Promise.all(
    staged.map((output): Promise<CheckedOutput> => {
      const { generation_id, storage_id, strategy, partition_by } = byName.get(output.dataset) as Declared;
      const place = {
        dataset: output.dataset,
        generationId: generation_id,
        bucket: attempt.bucket,
        prefix: stagingPrefix(storage_id, attempt.token),
        taskId: attempt.taskId,
        leaseNo: attempt.leaseNo,
        strategy,
        partitionBy: partition_by,
        partition: partition_by === null ? attempt.partition : null,
      };
      if ("unchanged" in output) return Promise.resolve({ kind: "unchanged", place, fingerprint: output.fingerprint });
      return checkStaged(store, place, output, footers);
    }),
  );
}
