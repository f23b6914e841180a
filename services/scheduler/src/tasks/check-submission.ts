import type { FieldFault, WebhookEvent, WebhookTarget } from "@longhaul/core";
import type { Webhook } from "@longhaul/proto/task";
import type { SecretBox } from "@longhaul/shared";

export const webhookEvents: readonly WebhookEvent[] = ["task.succeeded", "task.failed", "task.cancelled", "task.timed_out"];

const forbiddenHeader =
  /^(host|content-.*|connection|transfer-encoding|webhook-.*|expect|upgrade|te|trailer|keep-alive|proxy-.*)$/;
const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
/** Visible ASCII, spaces and tabs: what every receiver reads alike. */
const headerValue = /^[\t\x20-\x7e]{0,1024}$/;

/** Whom to tell, with every secret sealed; or what is wrong with it. Pointers are relative to the request body. */
export function checkWebhook(
  webhook: Webhook,
  box: SecretBox,
): { readonly target?: WebhookTarget; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = [];
  const fault = (pointer: string, message: string): void => void faults.push({ pointer: `/webhook${pointer}`, message });

  const url = URL.canParse(webhook.url) ? new URL(webhook.url) : undefined;
  if (webhook.url.length > 2_048) fault("/url", "The URL is longer than 2,048 characters.");
  else if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    fault("/url", "This is not an absolute http or https URL, such as https://example.com/hook.");
  } else if (url.username !== "" || url.password !== "") {
    fault("/url", "Credentials do not belong in the URL, where they would be shown; send them as a header.");
  }

  if (webhook.secret.length > 512) fault("/secret", "The secret is longer than 512 characters.");
  if (webhook.secret.startsWith("whsec_") && !isBase64(webhook.secret.slice("whsec_".length))) {
    fault("/secret", "After whsec_ comes base64; leave the prefix out to use the text itself as the key.");
  }

  const headers = Object.entries(webhook.headers);
  if (headers.length > 16) fault("/headers", "More than 16 headers.");
  for (const [name, value] of headers) {
    const pointer = `/headers/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (!headerName.test(name)) fault(pointer, "This is not a header name.");
    else if (forbiddenHeader.test(name.toLowerCase())) fault(pointer, "This header is set by Longhaul and can't be overridden.");
    else if (!headerValue.test(value)) fault(pointer, "A header value is up to 1,024 characters of visible ASCII.");
  }

  webhook.events.forEach((event, i) => {
    if (!(webhookEvents as readonly string[]).includes(event))
      fault(`/events/${i}`, `There is no such event; there are ${webhookEvents.join(", ")}.`);
  });

  if (faults.length > 0) return { faults };
  const events = webhook.events.length === 0 ? webhookEvents : webhookEvents.filter((event) => webhook.events.includes(event));
  return {
    faults,
    target: {
      url: webhook.url,
      sealedSecrets: webhook.secret === "" ? [] : [box.seal(webhook.secret)],
      sealedHeaders: Object.fromEntries(headers.map(([name, value]) => [name, box.seal(value)])),
      events,
    },
  };
}

/** Base64 of at least one byte, padded or not; no length leaves a remainder of one. */
function isBase64(text: string): boolean {
  const bare = text.replace(/={1,2}$/, "");
  return /^[A-Za-z0-9+/]{2,}$/.test(bare) && bare.length % 4 !== 1;
}

/** Labels and priority as the API allows them. */
export function checkLabelsAndPriority(labels: Readonly<Record<string, string>>, priority: number): readonly FieldFault[] {
  const faults: FieldFault[] = [];
  const entries = Object.entries(labels);
  if (entries.length > 32) faults.push({ pointer: "/labels", message: "More than 32 labels." });
  for (const [key, value] of entries) {
    const pointer = `/labels/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    if (key.length === 0 || key.length > 63 || /[\0=]/.test(key))
      faults.push({ pointer, message: "A label's key has 1 to 63 characters, and no equals sign." });
    if (value.length > 255 || value.includes("\0"))
      faults.push({ pointer, message: "A label's value has at most 255 characters." });
  }
  if (!Number.isInteger(priority) || priority < -100 || priority > 100) {
    faults.push({ pointer: "/priority", message: "A priority is a whole number from -100 to 100." });
  }
  return faults;
}
