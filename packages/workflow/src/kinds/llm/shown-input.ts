import type { Json } from "@longhaul/core";
import { objectOf } from "../../expression/json-object.ts";

const longestShown = 200;
const shownStart = 60;

/** An evaluated `with` for the record: of images that are given themselves, only the beginning. */
export function shownInput(input: Json): Json {
  const given = objectOf(input);
  const { messages } = given;
  return Array.isArray(messages) ? { ...given, messages: messages.map(shownMessage) } : input;
}

function shownMessage(message: Json): Json {
  const { content } = objectOf(message);
  return Array.isArray(content) ? { ...objectOf(message), content: content.map(shownPart) } : message;
}

function shownPart(part: Json): Json {
  const image = objectOf(part)["image_url"];
  const { url } = objectOf(image);
  if (typeof url !== "string" || url.length <= longestShown || !/^data:/i.test(url)) return part;
  return {
    ...objectOf(part),
    image_url: { ...objectOf(image), url: `${url.slice(0, shownStart)}… (${url.length} characters)` },
  };
}
