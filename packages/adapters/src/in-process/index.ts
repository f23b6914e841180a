export { type InProcessDispatch, type InProcessDispatchOptions, inProcessDispatch } from "./dispatch.ts";
export { type InProcessLiveOptions, inProcessLive } from "./live.ts";
