// How the sides are, what should be known before trusting anything, each mode's record, and the money.
import { badge, breakable, byId, make } from "./dom.js";
import { basisOf, count, dollars, seconds, when } from "./format.js";
import { variants } from "./ask.js";

let shown = "";

/** What has not changed is left alone, so that a selection in it lasts. */
export function showOverview(overview) {
  showNotices(notices(overview));
  byId("modes-since").textContent = `Since ${when(overview.since)}. An answer counts for the mode that gave it, also where auto left it to that one; times are of answers that did not fail.`;
  const told = JSON.stringify(overview, (name, value) => (name === "since" ? undefined : value));
  if (told === shown) return;
  shown = told;
  byId("sides").replaceChildren(
    ...side("edge", overview.edge),
    ...side("cloud", overview.cloud),
    make("span", { class: "policy" }, overview.privacy),
  );
  byId("spend").replaceChildren(...spend(overview));
  byId("modes").replaceChildren(...rows(overview));
}

/** Keeps what stands there as long as the words are the same: a screen reader says each only once. */
export function showNotices(words) {
  const box = byId("notices");
  if (box.dataset.words === JSON.stringify(words)) return;
  box.dataset.words = JSON.stringify(words);
  box.replaceChildren(...words.map((word) => make("p", { class: "caveat" }, word)));
}

function side(name, status) {
  const state = status?.ready ? "ready" : "away";
  return [make("span", { class: `one ${name} ${state}` }, make("b", {}, name), ` ${inWords(status)}`)];
}

function inWords(status) {
  if (status === null) return "is being asked how it is";
  if (status.label === "none") return "none";
  if (!status.ready) return "not ready";
  return isStandIn(status) ? "a stand-in" : status.label || status.model;
}

const isStandIn = (status) => status.label.toLowerCase().includes("stand-in");

function notices({ edge, cloud, backlog, tallies }) {
  const words = [];
  if (backlog.count) words.push(`${count(backlog.count, "record or grade", "records and grades")} wait on disk until their database is back; questions are answered meanwhile. ${sentence(backlog.reason)}`);
  else if (tallies === null) words.push(`The record database cannot be read now. ${sentence(backlog.reason)}`);
  if (edge && !edge.ready) words.push(`The edge cannot answer now; if it has crashed, it is being started again. ${sentence(edge.reason)}`);
  else if (edge?.restarts) words.push(`The edge has ended ${count(edge.restarts, "time")} and was started again. Last: ${sentence(edge.reason)}`);
  if (cloud?.label === "none") words.push(`There is no cloud: every mode answers on the edge. ${sentence(cloud.reason)}`);
  else if (cloud && !cloud.ready) words.push(`The cloud cannot be used now. ${sentence(cloud.reason)}`);
  else if (cloud && isStandIn(cloud))
    words.push(`The cloud here is not a large model (${cloud.label}): what differs between edge and cloud is the information each had, not the size of its model.`);
  return words.map((word) => word.trim());
}

function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function spend({ today, since_start: sinceStart, usd_per_question: budget }) {
  if (today === null) return [tile("spent", "unknown", "the record database cannot be read now")];
  return [
    tile("spent today", ...amount(today), asked(today)),
    tile(`spent since ${when(sinceStart.since)}, the start`, ...amount(sinceStart), asked(sinceStart)),
    perQuestion(sinceStart, budget),
  ];
}

function asked({ n, shadows }) {
  return count(n, "question") + (shadows ? `, ${shadows.toLocaleString("en")} of them in the shadow of an experiment` : "");
}

function amount(spent) {
  const basis = basisOf(spent.cost_basis);
  const value = spent.unknown && spent.unknown === spent.n ? "unknown" : dollars(spent.known_usd);
  const parts = [value, ...(basis ? [" ", badge(basis)] : [])];
  if (spent.unknown && value !== "unknown") parts.push(make("span", { class: "hint" }, ` + ${spent.unknown} of unknown cost`));
  return [parts];
}

function tile(name, value, note, more = null) {
  return make("div", { class: "tile" }, make("span", { class: "hint" }, name), make("span", { class: "value" }, ...value), make("span", { class: "hint" }, note), more);
}

function perQuestion(spent, budget) {
  const known = spent.n - spent.unknown;
  const mean = known ? spent.known_usd / known : null;
  const basis = basisOf(spent.cost_basis);
  const value = [known ? dollars(1000 * mean) : spent.n ? "unknown" : "–", ...(basis ? [" ", badge(basis)] : [])];
  const name = "1,000 questions, at this rate";
  if (budget === null) return tile(name, value, "no budget is set (router.usd_per_question)");
  const used = mean === null ? 0 : budget > 0 ? mean / budget : mean > 0 ? 1 : 0;
  const bar = make("span", { class: `bar${used > 1 ? " over" : ""}` }, make("i"));
  bar.firstChild.style.width = `${Math.min(100, 100 * used)}%`;
  return tile(name, value, `of a budget of ${dollars(1000 * budget)}`, bar);
}

/** Every mode has a row, and so has every variant that was asked. */
function rows({ modes, tallies, lately }) {
  const found = new Map((tallies ?? []).map((tally) => [tally.mode, tally]));
  const basis = lately && basisOf(lately.cost_basis);
  const unused = tallies === null ? "not known now" : "no answers yet";
  return modes.flatMap((mode) =>
    variants(mode)
      .filter((name) => name === mode.name || found.has(name))
      .map((name) => row(name, name === mode.name ? mode.summary : "", found.get(name), basis, unused)),
  );
}

function row(name, summary, tally, basis, unused) {
  const head = make("th", { scope: "row" }, breakable(name), summary ? make("span", { class: "hint" }, summary) : null);
  if (!tally) return make("tr", { class: "none" }, head, make("td", { colspan: 5 }, unused));
  const troubles = [tally.errors ? `${tally.errors} failed` : "", tally.degraded ? `${tally.degraded} degraded` : ""].filter(Boolean).join(", ");
  const cost = tally.cost_usd === null ? null : (1000 * tally.cost_usd) / tally.n;
  return make(
    "tr",
    {},
    head,
    make("td", {}, String(tally.n), troubles ? make("span", { class: "failed below" }, troubles) : null),
    make("td", {}, dollars(cost), cost && basis ? make("span", { class: "below" }, badge(basis)) : null),
    make("td", {}, tally.total_s_p50 === null ? "–" : `${seconds(tally.total_s_p50)} / ${seconds(tally.total_s_p95)}`),
    make("td", {}, tally.first_kept_s_p50 === null ? "–" : seconds(tally.first_kept_s_p50)),
    make("td", {}, ...graded(tally)),
  );
}

function graded({ mean_grade: mean, graded: n, n: all }) {
  if (mean === null) return [make("span", { class: "hint" }, "ungraded")];
  const bar = make("span", { class: "bar" }, make("i"));
  bar.firstChild.style.width = `${100 * mean}%`;
  return [mean.toFixed(2), make("span", { class: "hint" }, ` of ${n} graded, ${all - n} not`), bar];
}
