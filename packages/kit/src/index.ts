export * from "./backoff.ts";
export * from "./clock.ts";
export * from "./log.ts";
export { prettyLine } from "./logpretty.ts";
export * from "./loop.ts";
export * from "./service.ts";
export * from "./signal.ts";
