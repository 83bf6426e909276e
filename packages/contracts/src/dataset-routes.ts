/** Routes of the user API about the history of datasets. */
import { z } from "zod";
import { commitSchema, resolvedDatasetSchema } from "./dataset.ts";
import {
  createPinSchema,
  datasetDiffSchema,
  datasetRequestSchema,
  diffQuery,
  historyCommitSchema,
  historyQuery,
  lineageQuery,
  lineageSchema,
  partitionsAnswerSchema,
  pinSchema,
  pinsQuery,
  purgeAnswerSchema,
  purgeSchema,
  repairAnswerSchema,
  repairSchema,
  revertSchema,
} from "./history.ts";
import { resolvedDatasetsMax } from "./limits.ts";
import { nameSchema, uuidSchema } from "./names.ts";
import { defineRoutes } from "./route.ts";

const params = z.object({ name: nameSchema });

export const datasetRoutes = defineRoutes({
  listCommits: {
    method: "GET",
    path: "/v1/datasets/:name/commits",
    auth: "user",
    summary: "List a dataset's commits, newest first",
    params,
    query: historyQuery,
    answer: z.object({ commits: z.array(historyCommitSchema), next: z.string().nullable() }),
    errors: ["TR-1006"],
  },
  diffDataset: {
    method: "GET",
    path: "/v1/datasets/:name/diff",
    auth: "user",
    summary: "Compare two commits of a dataset: schema, partitions, rows and bytes",
    params,
    query: diffQuery,
    answer: datasetDiffSchema,
    errors: ["TR-1006", "TR-4020", "TR-4021"],
  },
  revertDataset: {
    method: "POST",
    path: "/v1/datasets/:name/revert",
    auth: "user",
    summary: "Make a dataset, or some of its partitions, what they were at an earlier commit",
    description:
      "Makes a commit; nothing is lost. Attempts that were claimed before it do not overwrite what it brought back.",
    params,
    body: revertSchema,
    answer: commitSchema,
    errors: ["TR-1006", "TR-4014", "TR-4020", "TR-4021", "TR-4023", "TR-4026", "TR-4027", "TR-4033"],
  },
  purgeDataset: {
    method: "POST",
    path: "/v1/datasets/:name/purge",
    auth: "user",
    summary: "Give up commits before one of them, and the files that only they have",
    params,
    body: purgeSchema,
    answer: purgeAnswerSchema,
    errors: ["TR-1006", "TR-4020", "TR-4024"],
  },
  getLineage: {
    method: "GET",
    path: "/v1/datasets/:name/lineage",
    auth: "user",
    summary: "Show what a commit was made from, by which attempt of which code, and what was made from it",
    params,
    query: lineageQuery,
    answer: lineageSchema,
    errors: ["TR-1006", "TR-4020", "TR-4012"],
  },
  listPartitions: {
    method: "GET",
    path: "/v1/datasets/:name/partitions",
    auth: "user",
    summary: "List a dataset's partitions, and those that are missing",
    params,
    query: historyQuery,
    answer: partitionsAnswerSchema,
    errors: ["TR-1006"],
  },
  repairPartitions: {
    method: "POST",
    path: "/v1/datasets/:name/repair",
    auth: "user",
    summary: "Create tasks for missing partitions",
    params,
    body: repairSchema,
    answer: repairAnswerSchema,
    errors: ["TR-1006", "TR-3010", "TR-3011", "TR-3017"],
  },
  createPin: {
    method: "POST",
    path: "/v1/pins",
    auth: "user",
    summary: "Keep a commit readable",
    body: createPinSchema,
    answer: pinSchema,
    errors: ["TR-1006", "TR-4012", "TR-4020", "TR-4021", "TR-4028"],
  },
  listPins: {
    method: "GET",
    path: "/v1/pins",
    auth: "user",
    summary: "List commits that are kept readable",
    query: pinsQuery,
    answer: z.object({ pins: z.array(pinSchema) }),
    errors: [],
  },
  deletePin: {
    method: "DELETE",
    path: "/v1/pins/:pin_id",
    auth: "user",
    summary: "Keep a commit readable no longer",
    params: z.object({ pin_id: uuidSchema }),
    answer: z.object({}),
    errors: ["TR-1006"],
  },
  resolveDatasets: {
    method: "POST",
    path: "/v1/datasets/resolve",
    auth: "user",
    summary: "Pin datasets and name their files, all in one snapshot",
    description:
      "One answer for each dataset asked for, in that order; a dataset may be asked for at several versions.",
    body: z
      .object({
        names: z.array(nameSchema).min(1).max(resolvedDatasetsMax).optional(),
        datasets: z.array(datasetRequestSchema).min(1).max(resolvedDatasetsMax).optional(),
        presign: z.boolean().default(false),
      })
      .refine((body) => (body.names === undefined) !== (body.datasets === undefined), "names or datasets, one of them"),
    answer: z.object({ datasets: z.array(resolvedDatasetSchema) }),
    errors: ["TR-1006", "TR-4020", "TR-4021", "TR-4022", "TR-4026"],
  },
});
