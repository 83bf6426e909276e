/**
 * How Postgres plans the dispatcher's statements. The hot tables are empty when all is well, and are vacuumed so; a plan
 * made then reads them whole, is kept by its connection, and meets 100,000 rows a moment later. Every statement has an
 * index to go by, so whole reads are taken off the planner's menu, and with them the joins that want them, by hash and by merge
 * (it still does these where nothing else is possible). A table that grows is joined by `cross join lateral (... offset 0)`, one
 * probe for each row, which no belief about sizes turns into a walk (sql/plans.test.ts holds every statement to it). JIT goes too,
 * because it would take the price of whole reads for the price of a long query (Postgres manual, section 19.7).
 */
export const plannerSettings = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
  plan_cache_mode: "force_generic_plan",
} as const;
