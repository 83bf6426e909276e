/** Where an ingest finds its source, and what is known of its content: before it is read, or while it is. */
import { join } from "node:path";
import type { IngestSource, SourceState } from "@trace/contracts";
import { digestFile } from "../staging/digest.ts";
import type { OperatorContext } from "./operator.ts";
import { findSourceFile } from "./source-file.ts";
import { download } from "./source-url.ts";

export interface FoundSource {
  readonly kind: "found";
  readonly path: string;
  /** SHA-256 of the content, where it is known before the source is read. */
  readonly known: string | undefined;
  /** Resolves when the whole content was seen. */
  state(): Promise<SourceState & { readonly sha256: string }>;
  /** Throws when what was read is not to be used. */
  verify(): Promise<void>;
  /** Ends what goes on beside the query. */
  stop(): void;
}

export type Source = FoundSource | { readonly kind: "unchanged"; stop(): void };

/** `remembered`: of what the job would make the same again. Throws TR-500x for files and TR-53xx for URLs. */
export function findSource(
  context: OperatorContext,
  source: IngestSource,
  remembered: SourceState | undefined,
): Promise<Source> {
  return source.kind === "file" ? localFile(context, source.path, remembered) : remote(context, source.url, remembered);
}

/**
 * The file stays where it is. Its checksum is taken while DuckDB's process reads it; only where it may be what the dataset
 * holds already, by its size, is it taken first.
 */
async function localFile(
  context: OperatorContext,
  path: string,
  remembered: SourceState | undefined,
): Promise<FoundSource> {
  const { log, services, signal } = context;
  const file = await findSourceFile(path, services.fileRoots, services.sourceBytesMax);
  log.info(`reading ${file.bytes} bytes of '${path}'`);
  const stop = new AbortController();
  const digest = digestFile(file.path, AbortSignal.any([signal, stop.signal])).catch((error: unknown) => {
    signal.throwIfAborted();
    throw file.unreadable(error);
  });
  // Of interest only if somebody asks; the query may fail first.
  digest.catch(() => undefined);
  const mayBeKnown = remembered?.kind === "file" && remembered.bytes === file.bytes;
  return {
    kind: "found",
    path: file.path,
    known: mayBeKnown ? (await digest).sha256 : undefined,
    state: async () => {
      const { bytes, sha256 } = await digest;
      return { kind: "file", bytes, sha256 };
    },
    verify: file.unchanged,
    stop: () => stop.abort(),
  };
}

async function remote(context: OperatorContext, url: string, remembered: SourceState | undefined): Promise<Source> {
  const { host, pathname } = new URL(url);
  // Without the query: people put keys there.
  context.log.info(`downloading ${pathname} from ${host}`);
  const path = join(await context.workDir(), "source");
  const known = remembered?.kind === "url" ? remembered : undefined;
  const downloaded = await download(context, url, path, known);
  const stop = () => undefined;
  if (downloaded.kind === "unchanged") {
    context.log.info(`${host} says that it is unchanged`);
    return { kind: "unchanged", stop };
  }
  const { bytes, sha256, version } = downloaded;
  const packed = version.encoding === undefined ? "" : `, kept as sent: ${version.encoding}`;
  context.log.info(`downloaded ${bytes} bytes, SHA-256 ${sha256}${packed}`);
  const state = {
    kind: "url",
    bytes,
    sha256,
    ...(version.etag === undefined ? {} : { etag: version.etag }),
    ...(version.lastModified === undefined ? {} : { last_modified: version.lastModified }),
  } as const;
  return { kind: "found", path, known: sha256, state: async () => state, verify: async () => undefined, stop };
}
