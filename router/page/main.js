// The page from its start: who may see it, what is asked at once, and what is asked again every few seconds.
import { getJson, Gone, hasToken, Refusal, takeToken, useToken } from "./api.js";
import { isAsking, offerModes, startAsking, variants } from "./ask.js";
import { drawLatency, drawWorth, startCharts } from "./charts.js";
import { byId } from "./dom.js";
import { showNotices, showOverview } from "./overview.js";
import { loadRecords, offerFilter, startRecords } from "./records.js";

const EVERY_MS = 4000;
let looking = null;
let offered = "";

function start() {
  takeToken();
  startAsking();
  startCharts();
  startRecords(refresh);
  byId("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(byId("token").value);
    refresh();
  });
  addEventListener("hashchange", () => takeToken() && refresh());
  for (const name of ["answered", "graded"]) document.addEventListener(name, refresh);
  document.addEventListener("locked", () => lock());
  document.addEventListener("visibilitychange", refresh);
  setInterval(() => isAsking() || refresh(), EVERY_MS);
  refresh();
}

/** Shows what the router knows now. One look at a time; who comes meanwhile gets one more after it. */
async function refresh() {
  if (document.visibilityState !== "visible") return;
  if (looking) {
    looking.again = true;
    return;
  }
  looking = { again: false };
  try {
    await look();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) lock();
    else if (error instanceof Refusal) showNotices([error.message]);
    else if (error instanceof Gone) showNotices(["The router does not answer; this page tries again every few seconds. Is `edgewise up` still running?"]);
    else throw error;
  } finally {
    const { again } = looking;
    looking = null;
    if (again) refresh();
  }
}

async function look() {
  const overview = await getJson("/page/overview");
  if (offered !== JSON.stringify(overview.modes)) {
    offered = JSON.stringify(overview.modes);
    offerModes(overview.modes);
    offerFilter(overview.modes.flatMap(variants));
  }
  showOverview(overview);
  open();
  const records = await loadRecords().catch(unreadable);
  drawWorth(overview.tallies ?? []);
  drawLatency(records, (words) => (byId("pointed").textContent = words));
}

/** Records that cannot be read now are no reason to hide the rest; the overview says what is wrong. */
function unreadable(error) {
  if (error instanceof Refusal && error.status === 503) return [];
  throw error;
}

function open() {
  if (!byId("page").hidden) return;
  byId("door").hidden = true;
  byId("page").hidden = false;
  byId("question").focus();
}

function lock() {
  byId("page").hidden = true;
  byId("door").hidden = false;
  byId("wrong-token").hidden = !hasToken();
  byId("token").focus();
}

start();
