// One answer as it comes about: every event of the router has its place in it.
import { announce, badge, breakable, facts, make } from "./dom.js";
import { basisOf, count, dollars, number, seconds, share, STANDS_ON } from "./format.js";
import { grading } from "./grading.js";
import { passages } from "./passages.js";

export class Answer {
  constructor(mode) {
    this.mode = mode;
    this.done = null;
    this.drafts = new Map();
    this.cited = new Map();
    this.started = performance.now();
    this.state = make("span", { class: "state" });
    this.text = make("div", { class: "text", "aria-live": "polite", "aria-busy": "false" });
    this.ending = make("div");
    this.sources = make("section", { hidden: true }, make("h3", {}, "Stands on"));
    this.list = make("ol", { class: "steps" });
    this.steps = make("section", { hidden: true }, make("h3", {}, "How it came about"), this.list);
    this.element = make(
      "article",
      { class: "answer", "aria-label": `Answer of ${mode}` },
      make("header", {}, make("h2", {}, breakable(mode)), this.state),
      this.text,
      this.ending,
      this.sources,
      this.steps,
    );
    this.#is("waiting", "waits until the other one has ended, so that neither slows the other");
  }

  start() {
    this.started = performance.now();
    this.text.setAttribute("aria-busy", "true");
    this.#is("asked", "asked");
  }

  on(name, event) {
    if (name === "token") this.#token(event);
    else if (name === "step") this.#step(event);
    else if (name === "citations") this.cited.set(event.answer_id, event.passages);
    else if (name === "retraction") this.#retract(event.answer_id, event.reason);
    else if (name === "done") this.#finish(event);
    else if (name === "error") this.fail(event.code, event.message);
  }

  /** Whether it has come to an end, whatever that was. */
  get ended() {
    return ["done", "failed", "stopped"].includes(this.element.dataset.state);
  }

  fail(code, message) {
    this.#end("failed", "failed");
    this.ending.append(make("p", { class: "failure", role: "alert" }, make("strong", {}, code), ` ${message}`));
  }

  stop() {
    this.#end("stopped", "stopped by you; it is recorded as cancelled");
    announce(`${this.mode} was stopped`);
  }

  /** It was never asked. */
  skip() {
    this.#end("stopped", "not asked");
  }

  #is(state, words) {
    this.element.dataset.state = state;
    this.state.textContent = words;
  }

  #end(state, words) {
    this.text.setAttribute("aria-busy", "false");
    this.#is(state, words);
  }

  #token({ answer_id: id, author, text }) {
    let draft = this.drafts.get(id);
    if (!draft) {
      draft = { author, said: document.createTextNode("") };
      draft.element = make("div", { class: `draft ${author}` }, make("span", { class: `side ${author}` }, author), make("p", {}, draft.said));
      this.drafts.set(id, draft);
      this.text.append(draft.element);
      this.#is("writing", `the ${author} writes`);
    }
    draft.said.appendData(text);
  }

  #retract(id, reason) {
    const draft = this.drafts.get(id);
    if (!draft) return;
    draft.element.replaceWith(
      make(
        "details",
        { class: "retracted" },
        make("summary", {}, make("span", { class: "asked" }, make("b", {}, `The ${draft.author}'s draft was taken back`), `: ${reason}`)),
        make("p", {}, make("del", {}, draft.said)),
      ),
    );
    this.#is("asked", "a draft was taken back");
    announce(`${this.mode}: the ${draft.author}'s draft was taken back: ${reason}`);
  }

  #step(step) {
    this.steps.hidden = false;
    this.list.append(stepItem(step, (performance.now() - this.started) / 1000));
  }

  #finish(done) {
    this.done = done;
    const passed = this.cited.get(done.answer_id);
    if (passed?.length) {
      this.sources.append(passages(passed));
      this.sources.hidden = false;
    }
    if (done.degraded) this.ending.append(make("p", { class: "caveat" }, make("b", {}, "Degraded: "), done.reason));
    const left = done.mode === this.mode ? [] : [["left to", breakable(done.mode)]];
    this.ending.append(facts([...factsOf(done), ...left]), grading(done.record_id));
    this.#end("done", `done in ${seconds(done.total_s)}`);
    announce(`${this.mode} has answered`);
  }
}

/** Author, grounding, confidence, cost and times of a Done or a Record. */
export function factsOf(done) {
  const basis = basisOf(done.cost_basis);
  const both = done.usage.edge.prompt_tokens + done.usage.edge.completion_tokens + done.usage.cloud.prompt_tokens + done.usage.cloud.completion_tokens;
  return [
    ["written by", done.author ? make("span", { class: `side ${done.author}` }, done.author) : "nobody"],
    ["stands on", STANDS_ON[done.grounding] ?? "–"],
    ["confidence", done.confidence === null ? "unknown" : share(done.confidence)],
    ["cost", dollars(done.cost_usd), ...(basis ? [" ", badge(basis)] : [])],
    ["first kept token", seconds(done.first_kept_s)],
    ["total", seconds(done.total_s)],
    ["tokens, both sides", `${count(both, "token")}${done.finish_reason === "length" ? ", cut at the limit" : ""}`],
  ];
}

/** One step; `at` are the seconds after which it was heard of, where that is known. */
export function stepItem(step, at = null) {
  const numbers = Object.entries(step.numbers).map(([name, value]) => make("span", { class: "number" }, `${name} `, make("b", {}, name.includes("usd") ? dollars(value) : number(value))));
  return make(
    "li",
    { class: `${step.where}${step.parent ? " within" : ""}` },
    make("span", { class: "at" }, at === null ? "" : seconds(at)),
    make(
      "div",
      {},
      make("b", {}, step.name),
      make("span", { class: "hint" }, step.where === "router" ? "" : ` on the ${step.where}`),
      step.detail ? make("span", { class: "detail" }, step.detail) : null,
      numbers.length ? make("span", { class: "numbers" }, ...numbers) : null,
    ),
  );
}
