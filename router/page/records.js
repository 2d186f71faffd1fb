// The newest records: one line each, and all that is known of one when it is opened.
import { getJson } from "./api.js";
import { factsOf, stepItem } from "./answer.js";
import { badge, breakable, byId, facts, make } from "./dom.js";
import { basisOf, dollars, seconds, when } from "./format.js";
import { grading, inWords } from "./grading.js";
import { passages } from "./passages.js";
import { waterfall } from "./waterfall.js";

const NEWEST = 60;
const SHOWN = 12;
const rows = new Map();
let lines = [];
let shown = SHOWN;

export function startRecords(changed) {
  byId("only").addEventListener("change", () => {
    [lines, shown] = [[], SHOWN];
    changed();
  });
  byId("older").addEventListener("click", showOlder);
  document.addEventListener("graded", ({ detail }) => rows.get(detail.recordId)?.graded(detail.score));
}

export function offerFilter(modes) {
  const list = byId("only");
  const chosen = list.value;
  list.replaceChildren(make("option", { value: "" }, "all modes"), ...modes.map((mode) => make("option", { value: mode }, mode)));
  list.value = modes.includes(chosen) ? chosen : "";
}

/** The newest records, newest first; older ones that were paged to stay, unless there is a gap between. */
export async function loadRecords() {
  const only = byId("only").value;
  const { records } = await getJson(`/page/records?limit=${NEWEST}&mode=${encodeURIComponent(only)}`);
  if (only !== byId("only").value) return lines;
  const oldest = records.at(-1)?.record_id;
  const met = lines.findIndex((line) => line.record_id === oldest);
  lines = [...records, ...(met >= 0 ? lines.slice(met + 1) : [])];
  show();
  return records;
}

async function showOlder() {
  if (shown + SHOWN > lines.length) {
    const { records } = await getJson(`/page/records?limit=${NEWEST}&before=${lines.at(-1).record_id}&mode=${encodeURIComponent(byId("only").value)}`);
    lines = [...lines, ...records];
  }
  const first = lines[shown];
  shown += SHOWN;
  show();
  if (first) rows.get(first.record_id).element.querySelector("summary").focus();
}

function show() {
  const wanted = lines.slice(0, shown);
  for (const line of wanted) {
    if (!rows.has(line.record_id)) rows.set(line.record_id, new Row(line));
    rows.get(line.record_id).graded(line.grade);
  }
  const elements = wanted.map((line) => rows.get(line.record_id).element);
  const box = byId("records");
  for (const element of [...box.children]) if (!elements.includes(element)) element.remove();
  elements.forEach((element, place) => {
    if (box.children[place] !== element) box.insertBefore(element, box.children[place] ?? null);
  });
  byId("no-records").hidden = lines.length > 0;
  byId("older").hidden = lines.length < NEWEST && shown >= lines.length;
}

class Row {
  constructor(line) {
    this.line = line;
    this.score = null;
    this.mark = make("span", { class: "mark" });
    this.body = make("div", { class: "body" }, make("p", { class: "hint" }, "loading"));
    this.element = make(
      "details",
      { class: "record", ontoggle: () => this.element.open && this.#load() },
      make("summary", {}, make("span", { class: "asked" }, line.question), make("span", { class: "line" }, ...this.#line())),
      this.body,
    );
  }

  graded(score) {
    if (score === null) return;
    this.score = score;
    this.mark.textContent = inWords(score);
    this.mark.className = `mark ${score >= 0.5 ? "right" : "wrong"}`;
  }

  #line() {
    const { line } = this;
    const basis = basisOf(line.cost_basis);
    return [
      breakable(line.mode),
      line.error ? make("span", { class: "failed" }, line.error.toLowerCase().replaceAll("_", " ")) : make("span", { class: `side ${line.author}` }, line.author),
      make("span", {}, dollars(line.cost_usd), ...(basis ? [" ", badge(basis)] : [])),
      make("span", {}, seconds(line.total_s)),
      make("span", {}, this.mark, line.degraded ? badge("degraded") : "", line.shadow_of ? badge("shadow") : ""),
      make("time", { datetime: line.created_at }, when(line.created_at)),
    ];
  }

  async #load() {
    if (this.loaded) return;
    this.loaded = true;
    try {
      const { record, calls } = await getJson(`/page/records/${this.line.record_id}`);
      this.body.replaceChildren(...whole(record, calls, this.score));
    } catch (error) {
      this.loaded = false;
      this.body.replaceChildren(make("p", { class: "failure" }, error.message));
    }
  }
}

function whole(record, calls, grade) {
  const said = record.error
    ? make("p", { class: "failure" }, make("strong", {}, record.error), ` ${record.error_message}`)
    : make("div", { class: `draft ${record.author}` }, make("p", {}, record.answer));
  const title = (words) => make("h3", {}, words);
  return [
    said,
    record.degraded ? make("p", { class: "caveat" }, make("b", {}, "Degraded: "), record.reason) : null,
    make("h3", {}, "Where the time went ", make("span", { class: "hint" }, "lighter until the first token; the tick below is the first one that was kept")),
    waterfall(calls, record),
    facts([...factsOf(record), ["asked as", breakable(record.mode_asked)], ["record", make("code", {}, record.record_id)]]),
    grading(record.record_id, grade),
    ...(record.citations.length ? [title("Stands on"), passages(record.citations)] : []),
    ...(record.steps.length ? [title("How it came about"), make("ol", { class: "steps" }, ...record.steps.map((step) => stepItem(step)))] : []),
  ].filter(Boolean);
}
