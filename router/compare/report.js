"use strict";
// Arranges and filters the questions; the page is complete without it.
(() => {
  const section = document.getElementById("questions");
  const controls = document.getElementById("controls");
  if (!section || !controls) return;
  const find = (name) => controls.elements.namedItem(name);
  const questions = [...section.querySelectorAll("details.question")].map((element) => ({
    element,
    group: element.dataset.group,
    text: element.textContent.toLowerCase(),
    cards: new Map([...element.querySelectorAll(".card")].map((card) => [card.dataset.mode, card])),
  }));

  const arrange = () => {
    const [left, right] = [find("left").value, find("right").value];
    const onlyTwo = find("only").checked;
    for (const { element, cards } of questions) {
      for (const [mode, card] of cards) {
        const place = mode === left ? 1 : mode === right ? 2 : 3;
        card.style.order = place;
        card.classList.toggle("chosen", place < 3);
        card.hidden = onlyTwo && place === 3;
      }
      element.querySelector(".cards").classList.toggle("two", onlyTwo);
    }
    filter();
  };

  const filter = () => {
    const [left, right] = [find("left").value, find("right").value];
    const differing = find("differing").checked;
    const group = find("group") ? find("group").value : "";
    const words = find("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { element, group: own, text, cards } of questions) {
      const score = (mode) => cards.get(mode)?.dataset.score;
      const wanted =
        (!differing || score(left) !== score(right)) &&
        (!group || own === group) &&
        words.every((word) => text.includes(word));
      element.hidden = !wanted;
      shown += wanted;
    }
    for (const heading of section.querySelectorAll(".group")) {
      heading.hidden = !heading.querySelector("details.question:not([hidden])");
    }
    document.getElementById("count").textContent = `${shown} of the ${questions.length} questions on this page`;
  };

  controls.hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("input", (event) =>
    ["left", "right", "only"].includes(event.target.name) ? arrange() : filter(),
  );
  arrange();

  // On paper nothing opens by a click: open what differs in accuracy, and the questions where they are few.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    const visible = questions.filter(({ element }) => !element.hidden).map(({ element }) => element);
    const all = [...document.querySelectorAll("details.on-paper"), ...(visible.length <= 40 ? visible : [])];
    opened = all.filter((element) => !element.open);
    for (const element of opened) element.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const element of opened) element.open = false;
  });
})();
