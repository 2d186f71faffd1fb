// Elements are made here, and whatever is said in them becomes text, never markup.

/** An element with attributes (false and null ones are left out) and children: elements, or anything as text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A name with places where it may break: after `_` and before `+`. */
export function breakable(name) {
  const parts = name.split(/(?<=_)|(?=\+)/);
  return make("code", {}, ...parts.flatMap((part, place) => (place ? [make("wbr"), part] : [part])));
}

/** Says something to a screen reader, in its own time. */
export function announce(words) {
  byId("announcer").textContent = words;
}

export const badge = (words) => make("span", { class: "basis" }, words);

/** A list of names and values; a value is text or an element. */
export function facts(pairs) {
  return make("dl", { class: "facts" }, ...pairs.map(([name, ...value]) => make("div", {}, make("dt", {}, name), make("dd", {}, ...value))));
}
