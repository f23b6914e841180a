import { type ImageService, imageServices, workspacesOf } from "./workspaces.ts";

/** The version that CI runs, on Debian with glibc, for which the SQLite driver is prebuilt. */
const nodeImage = "node:20.20.2-bookworm-slim";

/** Any number that is not 0 and belongs to nobody; the Kubernetes manifests say the same. */
export const user = 10001;

/**
 * The text of a service's Dockerfile. The stages `manifests` and `build` are the same in all of them, so that an engine runs them once for
 * all images; only what follows differs.
 */
export function dockerfileOf(service: ImageService): string {
  const all = workspacesOf(imageServices);
  const own = workspacesOf([service]);
  const keepsData = service === "solo";
  return `# The image of services/${service}. Build it from the repository's root:
#   docker build -f deploy/${service}/Dockerfile -t longhaul/${service}:0.1.0 .
# This file is made by deploy/testing/dockerfile-of.ts: npx vitest run --project system deploy/testing -u
#
# A tag can be moved. For the same base tomorrow give its digest: --build-arg NODE_IMAGE=${nodeImage}@sha256:...
ARG NODE_IMAGE=${nodeImage}

# Manifests alone, so that the installs below are run again only when a dependency changes.
FROM \${NODE_IMAGE} AS manifests
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
${all.map((dir) => `COPY ${dir}/package.json ${dir}/`).join("\n")}

# The same in the Dockerfile of every service: whoever builds all images builds this once.
FROM manifests AS build
# Not \`npm ci\`: it refuses a lockfile that names more workspaces than are copied here, or lacks optional packages of another platform. What
# the lockfile names is installed in just that version.
RUN npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error
COPY tsconfig.base.json ./
${all.map((dir) => `COPY ${dir} ${dir}`).join("\n")}
RUN npm run build --loglevel=error ${all.map((dir) => `-w ${dir}`).join(" ")}

# What the service needs to run, and nothing else. Readable by everybody, whatever the modes of the checkout.
FROM manifests AS production
RUN npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error --omit=dev -w services/${service} \\
  && ${keepsData ? "mkdir data && " : ""}chmod -R a+rX .

FROM \${NODE_IMAGE}
# Containers are reached from outside, so every address is listened on; where that is IPv6 only, set HOST to "::".
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080${keepsData ? " DATA_DIR=/data" : ""}
WORKDIR /app
COPY --from=production /app ./
${own.map((dir) => `COPY --from=build /app/${dir}/dist ${dir}/dist`).join("\n")}
${
  keepsData
    ? `# The database; a volume takes over the owner of an empty folder.
COPY --from=production --chown=${user}:${user} /app/data /data
VOLUME /data
`
    : ""
}# A number, because Kubernetes can't tell of a name that it is not root.
USER ${user}:${user}
EXPOSE 8080
# No shell in between: SIGTERM must reach Node, which drains and exits 0.
ENTRYPOINT ["node", "services/${service}/dist/main.js"]
`;
}
