// Two charts, drawn by uPlot (vendor/): what a better grade costs by mode, and how long the newest answers took.
import { byId } from "./dom.js";
import { dollars, seconds } from "./format.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const HEIGHT = 240;
const drawn = new Map();

/** Draws again when the colours or the width change. */
export function startCharts() {
  document.addEventListener("theme", () => drawn.forEach((chart) => chart.draw()));
  const watch = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) drawn.get(target.parentElement.id)?.resize(contentRect.width);
  });
  document.querySelectorAll(".plot").forEach((plot) => watch.observe(plot));
}

export function drawWorth(tallies) {
  const points = tallies
    .filter((tally) => tally.cost_usd !== null && tally.mean_grade !== null)
    .map(({ mode, cost_usd: cost, n, mean_grade: grade }) => ({ mode, cost: (1000 * cost) / n, grade }));
  const told = points.map((point) => `${point.mode}: grade ${point.grade.toFixed(2)} for ${dollars(point.cost)}`).join("; ");
  const empty = "Once answers of two modes are graded and their cost is known, this shows what a better answer costs.";
  put("worth", points.length < 2 ? empty : null, `Mean grade against the cost of 1,000 questions. ${told}`, points, worth);
}

export function drawLatency(records, pointed) {
  const found = [...records].reverse();
  const slowest = Math.max(...found.map((record) => record.total_s));
  const told = `Time to the end of the newest ${found.length} answers; the longest took ${seconds(slowest)}.`;
  put("latency", found.length < 2 ? "Once two questions were asked, this shows how long each answer took." : null, told, found, (data) => latency(data, pointed));
}

function put(id, empty, told, data, options) {
  const plot = byId(id).querySelector(".plot");
  const note = byId(id).querySelector(":scope > .hint");
  byId(id).querySelector("figcaption").hidden = empty !== null;
  note.hidden = empty === null;
  note.textContent = empty ?? "";
  plot.hidden = empty !== null;
  if (empty !== null) return;
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", told);
  const earlier = drawn.get(id);
  const same = JSON.stringify(data);
  if (earlier?.same === same) return;
  earlier?.destroy();
  drawn.set(id, chart(plot, data, options, same));
}

function chart(plot, data, options, same) {
  let made = null;
  const destroy = () => made?.destroy();
  const draw = (width = plot.clientWidth) => {
    destroy();
    if (width < 1) return;
    const [how, columns] = options(data);
    made = new uPlot({ width, height: HEIGHT, legend: { show: false }, ...how }, columns, plot);
  };
  const resize = (width) => {
    if (made === null || made.width !== width) draw(width);
  };
  draw();
  return { draw, resize, destroy, same };
}

/** What a colour of the style sheet is now: light, dark, and as a canvas takes it. */
function colour(name) {
  const probe = byId("announcer");
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.style.color = "";
  return found;
}

function axis(values, more = {}) {
  const [stroke, line] = [colour("soft"), colour("line")];
  return { stroke, font: FONT, grid: { stroke: line, width: 1 }, ticks: { show: false }, values, ...more };
}

function worth(points) {
  const top = Math.max(...points.map((point) => point.cost)) || 0.001;
  const sorted = [...points].sort((a, b) => a.cost - b.cost);
  const hooks = { draw: [(plot) => labelled(plot, sorted)] };
  const scales = { x: { time: false, range: [-0.03 * top, 1.08 * top] }, y: { range: [-0.04, 1.08] } };
  const axes = [
    axis((_, ticks) => ticks.map((tick) => (tick < 0 ? "" : dollars(tick))), { space: 96, size: 28 }),
    axis((_, ticks) => ticks.map((tick) => (tick < 0 || tick > 1 ? "" : tick.toFixed(2))), { size: 44 }),
  ];
  const series = [{}, { paths: () => null, points: { show: false } }];
  return [{ scales, axes, series, hooks, cursor: { show: false } }, [sorted.map((point) => point.cost), sorted.map((point) => point.grade)]];
}

function labelled(plot, points) {
  const context = plot.ctx;
  const ratio = devicePixelRatio;
  const [accent, ground, ink] = [colour("accent"), colour("raised"), colour("ink")];
  const at = (point) => [plot.valToPos(point.cost, "x", true), plot.valToPos(point.grade, "y", true)];
  const { left, width } = plot.bbox;
  context.save();
  context.font = FONT.replace("12px", `600 ${12 * ratio}px`);
  [context.textAlign, context.textBaseline] = ["left", "alphabetic"];
  const taken = [];
  for (const point of points) {
    const [x, y] = at(point);
    const front = !points.some((other) => other !== point && other.cost <= point.cost && other.grade >= point.grade && (other.cost < point.cost || other.grade > point.grade));
    context.beginPath();
    context.arc(x, y, 5 * ratio, 0, 2 * Math.PI);
    context.fillStyle = front ? accent : ground;
    context.strokeStyle = accent;
    context.lineWidth = 2 * ratio;
    context.fill();
    context.stroke();
    taken.push({ x: x - 6 * ratio, y: y - 6 * ratio, w: 12 * ratio, h: 12 * ratio });
  }
  for (const point of points) {
    const [x, y] = at(point);
    const w = context.measureText(point.mode).width;
    const h = 15 * ratio;
    const places = [0, -1, 1, -2, 2, -3, 3].flatMap((step) => [
      { x: x + 10 * ratio, y: y - h / 2 + step * h, w, h },
      { x: x - 10 * ratio - w, y: y - h / 2 + step * h, w, h },
    ]);
    const fits = places.filter((box) => box.x >= left && box.x + box.w <= left + width);
    const box = fits.find((one) => !taken.some((other) => meet(one, other))) ?? fits[0] ?? places[0];
    taken.push(box);
    context.fillStyle = ink;
    context.strokeStyle = ground;
    context.lineWidth = 4 * ratio;
    context.strokeText(point.mode, box.x, box.y + 0.8 * h);
    context.fillText(point.mode, box.x, box.y + 0.8 * h);
  }
  context.restore();
}

const meet = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

function latency(records, pointed) {
  const kinds = ["edge", "cloud", "failed"];
  const kind = (record) => (record.error ? "failed" : record.author);
  const columns = kinds.map((name) => records.map((record) => (kind(record) === name ? record.total_s : null)));
  const colours = { edge: colour("accent"), cloud: colour("cloud"), failed: colour("bad") };
  const series = kinds.map((name) => ({ stroke: colours[name], paths: () => null, points: { show: true, size: 7, width: 2, stroke: colours[name], fill: name === "failed" ? colour("raised") : colours[name] } }));
  const scales = { x: { time: false, range: [-0.7, records.length - 0.3] }, y: { range: (_, __, max) => [0, (max || 1) * 1.12] } };
  const axes = [axis(() => [], { size: 8, grid: { show: false } }), axis((_, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(3)))), { size: 44 })];
  const setCursor = (plot) => {
    const record = plot.cursor.idx === null || plot.cursor.left < 0 ? null : records[plot.cursor.idx];
    pointed(record ? `${seconds(record.total_s)} ${record.mode}: ${record.question}` : "");
  };
  return [{ scales, axes, series: [{}, ...series], hooks: { setCursor: [setCursor] }, cursor: { y: false, drag: { x: false, y: false } }, height: 160 }, [records.map((_, place) => place), ...columns]];
}
