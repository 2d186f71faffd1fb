// The calls of one answer on one axis of time: lighter while the first token is awaited, darker while it writes.
import { make } from "./dom.js";
import { basisOf, count, dollars, number, seconds } from "./format.js";

const KINDS = { generate: "writes", retrieve: "looks up", score: "weighs" };

export function waterfall(calls, record) {
  if (!calls.length) return make("p", { class: "hint" }, "No side was asked.");
  const end = Math.max(record.total_s, ...calls.map((call) => call.ended_s)) || 1;
  const detail = make("p", { class: "hint", "aria-hidden": "true" }, inWords(calls[0]));
  const tell = (call) => () => (detail.textContent = inWords(call));
  const bars = calls.map((call) => {
    const bar = make(
      "div",
      { class: `call ${call.side}${call.error ? " broken" : ""}`, tabindex: 0, role: "img", "aria-label": inWords(call), onfocus: tell(call), onpointerenter: tell(call) },
      make("span", { class: "name" }, `${call.side} ${KINDS[call.kind] ?? call.kind}`),
      make("span", { class: "track" }, ...parts(call, end)),
      make("span", { class: "took" }, seconds(call.ended_s - call.started_s)),
    );
    return bar;
  });
  return make("div", { class: "waterfall", role: "group", "aria-label": `${count(calls.length, "call")} in ${seconds(end)}` }, ...bars, axis(end, record), detail);
}

function parts(call, end) {
  const first = call.first_s ?? (call.kind === "generate" ? call.ended_s : call.started_s);
  return [part("wait", call.started_s, first, end), part("work", first, call.ended_s, end)];
}

function part(kind, from, to, end) {
  const element = make("i", { class: kind });
  element.style.left = `${(100 * from) / end}%`;
  element.style.width = `${(100 * Math.max(0, to - from)) / end}%`;
  return element;
}

function axis(end, record) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const tick = make("span", {}, share ? seconds(share * end) : "0");
    tick.style.left = `${100 * share}%`;
    return tick;
  });
  const kept = record.first_kept_s;
  const mark = kept === null ? null : make("i", { class: "kept", title: `first kept token after ${seconds(kept)}` });
  if (mark) mark.style.left = `${(100 * kept) / end}%`;
  return make("div", { class: "axis", "aria-hidden": "true" }, make("span", { class: "track" }, ...ticks, mark));
}

function inWords(call) {
  const tokens = call.tokens;
  const basis = basisOf(call.cost_basis);
  const words = [
    `${call.side} ${KINDS[call.kind] ?? call.kind}${call.model ? ` (${call.model})` : ""}`,
    `from ${seconds(call.started_s)} to ${seconds(call.ended_s)}`,
    call.first_s === null ? "" : `first token after ${seconds(call.first_s - call.started_s)}`,
    tokens.prompt_tokens ? `${count(tokens.prompt_tokens, "prompt token")}${tokens.cached_tokens ? `, ${number(tokens.cached_tokens)} of them cached` : ""}` : "",
    tokens.completion_tokens ? `${count(tokens.completion_tokens, "token")} written` : "",
    call.side === "cloud" || call.cost_usd !== null ? `cost ${dollars(call.cost_usd)}${basis ? ` ${basis}` : ""}` : "",
    call.error ? `failed: ${call.error}` : "",
  ];
  return words.filter(Boolean).join(" · ");
}
