// Vitest's globalSetup of the projects that need servers.
export { startSharedServers as setup } from "./shared-servers.ts";
