// Grades by click. They are kept like those of `edgewise grade`, by the grader `page`.
import { postJson } from "./api.js";
import { announce, make } from "./dom.js";

const SCORES = [["right", 1], ["partly", 0.5], ["wrong", 0]];

export const inWords = (score) => SCORES.find(([, value]) => value === score)?.[0] ?? score.toFixed(2);

export async function grade(recordId, score, comment = "") {
  await postJson(`/page/records/${encodeURIComponent(recordId)}/grade`, { score, comment });
  document.dispatchEvent(new CustomEvent("graded", { detail: { recordId, score } }));
}

/** Three buttons, of which the one with the last grade is pressed, however that came about. */
export function grading(recordId, score = null) {
  const buttons = SCORES.map(([word, value]) =>
    make("button", { type: "button", class: "quiet", "aria-pressed": String(value === score), onclick: () => give(word, value) }, word),
  );
  const said = make("span", { class: "hint", role: "status" });
  const box = make("div", { class: "grading", role: "group", "aria-label": "Grade this answer" }, make("span", { class: "hint" }, "This answer is"), ...buttons, said);

  async function give(word, value) {
    try {
      await grade(recordId, value);
      announce(`graded ${word}`);
      said.textContent = "";
    } catch (error) {
      said.textContent = `not graded: ${error.message}`;
    }
  }
  document.addEventListener("graded", ({ detail }) => {
    if (detail.recordId !== recordId) return;
    SCORES.forEach(([, value], place) => buttons[place].setAttribute("aria-pressed", String(value === detail.score)));
  });
  return box;
}
