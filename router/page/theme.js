// Not a module, so that it runs before anything is painted.
"use strict";
{
  const KEY = "edgewise-theme";
  const use = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme"));
  };
  const kept = localStorage.getItem(KEY) ?? "auto";
  use(kept);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("theme")));
  document.addEventListener("DOMContentLoaded", () => {
    for (const choice of document.querySelectorAll("input[name=theme]")) {
      choice.checked = choice.value === kept;
      choice.addEventListener("change", () => {
        localStorage.setItem(KEY, choice.value);
        use(choice.value);
      });
    }
  });
}
