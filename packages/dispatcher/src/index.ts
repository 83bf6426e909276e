export { type DispatcherConfig, dispatcherConfig } from "./config.ts";
export { Dispatcher, dispatcherVersion, migrationsFolder } from "./dispatcher.ts";
