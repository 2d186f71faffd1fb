// What an answer stands on: its passages, with the characters that it was taken from marked.
import { badge, make } from "./dom.js";
import { share, when } from "./format.js";

export function passages(found) {
  return make("div", { class: "passages" }, ...found.map((passage, place) => one(passage, place + 1)));
}

function one(passage, place) {
  return make(
    "details",
    {},
    make(
      "summary",
      {},
      make("span", { class: "place" }, `${place}`),
      make("span", { class: "asked" }, passage.title || passage.source),
      passage.stale ? badge("out of date") : null,
      make("span", { class: `side ${passage.origin}` }, passage.origin === "cloud" ? "from the cloud" : "on this device"),
    ),
    make("blockquote", {}, ...marked(passage.text.value, passage.spans)),
    make("p", { class: "hint" }, about(passage)),
  );
}

function about(passage) {
  const words = [passage.source, `relevance ${share(passage.score)}`];
  if (passage.as_of) words.push(`as of ${when(passage.as_of)}`);
  if (passage.expires_at) words.push(`good until ${when(passage.expires_at)}`);
  return words.join(" · ");
}

/** Spans count characters as Python does, by code point. */
function marked(text, spans) {
  const points = Array.from(text);
  const parts = [];
  let at = 0;
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const start = Math.max(span.start, at);
    const end = Math.min(span.end, points.length);
    if (end <= start) continue;
    parts.push(points.slice(at, start).join(""), make("mark", {}, points.slice(start, end).join("")));
    at = end;
  }
  return [...parts, points.slice(at).join("")];
}
