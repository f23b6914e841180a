/** What shares a lane and a circuit: a project and an origin. Projects never wait for each other's receivers, even where these are the same. */
export function endpointOf(project: string, url: string): string {
  const origin = URL.canParse(url) ? new URL(url).origin : "invalid";
  return `${project} ${origin}`;
}

/** The project of an endpoint; its name holds no space. */
export function projectOfEndpoint(endpoint: string): string {
  const end = endpoint.indexOf(" ");
  return end < 0 ? endpoint : endpoint.slice(0, end);
}

/** The URL without user and password, as it may be shown. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.username === "" && parsed.password === "") return url;
  parsed.username = "";
  parsed.password = "";
  return parsed.href;
}
