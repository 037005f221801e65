/* Words of the page. Every one comes from the page itself, in the shopper's language. */
export const byId = (id) => document.getElementById(id);
export const stage = byId("stage");
const words = new Map(
  Array.from(byId("words").content.querySelectorAll("[data-word]"), (el) => [el.dataset.word, el.textContent]),
);

/** A text of the page by its name, its {placeholders} filled from `values`. */
export function word(name, values = {}) {
  return (words.get(name) ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Browsers break lines at its hyphen. */
const NAME = "M-PESA";

function whole() {
  const name = document.createElement("b");
  name.className = "whole";
  name.textContent = NAME;
  return name;
}

/** Sets a text only when it differs, so that a live region speaks once. */
export function write(element, text) {
  if (!element || element.textContent === text) return;
  element.replaceChildren(...text.split(NAME).flatMap((part, at) => (at ? [whole(), part] : [part])));
}

/** Shows a text, or hides its place where there is none. */
export function say(id, text) {
  write(byId(id), text);
  byId(id).hidden = !text;
}
