export { exitWithParent } from "./exit-with-parent.ts";
export { supervisorLimits } from "./limits.ts";
export { type ProcessSpec, ProcessUnit, type ProcessUnitOptions } from "./process-unit.ts";
export {
  Supervisor,
  type SupervisorOptions,
  systemTimers,
  type Timers,
  type UnitState,
  type UnitStatus,
} from "./supervisor.ts";
export { serviceUnit, type Unit, type UnitExit, type WatchedService } from "./unit.ts";
export { diskUsage, pssOf } from "./usage.ts";
