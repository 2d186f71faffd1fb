// The ask box: one mode, or two of them one after the other.
import { ask, Gone, Refusal } from "./api.js";
import { Answer } from "./answer.js";
import { announce, byId, make } from "./dom.js";
import { dollars, seconds } from "./format.js";
import { grade } from "./grading.js";

const AWAY = "the router went away before the answer was final; ask again when it is back";
const conversation = crypto.randomUUID();
let running = null;

/** While a question is being answered, nothing else is asked of the router, so that it is not slowed by being watched. */
export const isAsking = () => running !== null;

export function startAsking() {
  const form = byId("ask");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askNow(form);
  });
  byId("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("other").addEventListener("change", showComparing);
  showComparing();
}

/** Fills both lists of modes, keeping what was chosen. */
export function offerModes(modes) {
  for (const [id, first] of [["mode", null], ["other", ["", "nothing"]]]) {
    const list = byId(id);
    const chosen = list.value;
    const groups = modes.map((mode) =>
      make("optgroup", { label: mode.summary }, ...variants(mode).map((name) => make("option", { value: name }, mode.is_default && name === mode.name ? `${name} (default)` : name))),
    );
    list.replaceChildren(...(first ? [make("option", { value: first[0] }, first[1])] : []), ...groups);
    list.value = chosen || (first ? "" : modes.find((mode) => mode.is_default).name);
  }
}

export const variants = (mode) => [mode.name, ...mode.options.map((option) => `${mode.name}+${option}`)];

function showComparing() {
  const comparing = byId("other").value !== "";
  byId("follow-up").disabled = comparing;
  byId("comparing").hidden = !comparing;
}

async function askNow(form) {
  const text = byId("question").value;
  if (running || !text.trim()) return;
  const given = new FormData(form);
  const comparing = given.get("other") !== "";
  const answers = [given.get("mode"), given.get("other")].filter(Boolean).map((mode) => new Answer(mode));
  const asked = make("p", { class: "question" }, text);
  const cards = make("div", { class: comparing ? "cards two" : "cards" }, ...answers.map((answer) => answer.element));
  byId("answers").replaceChildren(asked, cards);
  byId("answers").hidden = false;
  isRunning(new AbortController());
  const stop = running.signal;
  try {
    for (const answer of answers) {
      if (stop.aborted) answer.skip();
      else await hear(answer, questionFor(answer, text, given, comparing), stop);
    }
  } finally {
    isRunning(null);
    document.dispatchEvent(new CustomEvent("answered"));
  }
  if (comparing && answers.every((answer) => answer.done)) byId("answers").append(verdict(...answers));
}

function questionFor(answer, text, given, comparing) {
  const limit = given.get("limit");
  return {
    text,
    mode: answer.mode,
    privacy: given.get("privacy"),
    ...(limit && { max_cost_usd: Number(limit) }),
    ...(given.get("follow-up") && !comparing && { conversation_id: conversation }),
    ...(comparing && { isolated: true }),
  };
}

/** Asks, and shows what comes, to its end: a `done`, an error, or a line that broke. */
async function hear(answer, question, signal) {
  answer.start();
  try {
    for await (const [name, event] of ask(question, signal)) answer.on(name, event);
    if (!answer.ended) answer.fail("BrokenOff", AWAY);
  } catch (error) {
    if (signal.aborted) answer.stop();
    else if (error instanceof Refusal) answer.fail(error.code, error.message);
    else if (error instanceof Gone) answer.fail("BrokenOff", AWAY);
    else throw error;
    if (error.status === 401) document.dispatchEvent(new CustomEvent("locked"));
  }
}

function isRunning(controller) {
  running = controller;
  byId("stop").disabled = !controller;
  byId("send").disabled = Boolean(controller);
  if (!controller) byId("question").focus({ preventScroll: true });
}

function verdict(a, b) {
  const said = make("span", { class: "hint", role: "status" });
  const choices = [
    [`${a.mode} is better`, 1, 0],
    ["both are right", 1, 1],
    ["both are wrong", 0, 0],
    [`${b.mode} is better`, 0, 1],
  ];
  const buttons = choices.map(([words, ofA, ofB]) =>
    make("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: (event) => give(event.target, words, ofA, ofB) }, words),
  );

  async function give(button, words, ofA, ofB) {
    try {
      await grade(a.done.record_id, ofA, `beside ${b.mode}: ${words}`);
      await grade(b.done.record_id, ofB, `beside ${a.mode}: ${words}`);
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      said.textContent = "kept as grades of both records";
      announce(`${words}, kept`);
    } catch (error) {
      said.textContent = `not graded: ${error.message}`;
    }
  }
  return make("section", { class: "verdict", "aria-label": "Compare" }, make("p", {}, difference(a, b)), make("div", { class: "grading" }, ...buttons, said));
}

function difference(a, b) {
  const [slower, faster] = a.done.total_s >= b.done.total_s ? [a, b] : [b, a];
  const time = `${slower.mode} took ${seconds(slower.done.total_s - faster.done.total_s)} longer than ${faster.mode}`;
  const more = slower.done.cost_usd - faster.done.cost_usd;
  if (slower.done.cost_usd === null || faster.done.cost_usd === null) return `${time}; what one of them cost is unknown.`;
  if (more === 0) return `${time}; both cost ${dollars(slower.done.cost_usd)}.`;
  return `${time}, and cost ${dollars(Math.abs(more))} ${more > 0 ? "more" : "less"}.`;
}
