// The form that scripts a line.

import { rescript } from "./api.js";

const form = document.querySelector("[data-switches]");
const problem = document.querySelector("[data-switch-problem]");
const saved = document.querySelector("[data-switch-saved]");

/** Saves each switch as it is changed; chosen() tells whose it is. */
export function switches(chosen) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", async ({ target }) => {
    saved.textContent = "";
    problem.textContent = "";
    try {
      await rescript(chosen(), { [target.name]: meant(target) });
      target.removeAttribute("aria-invalid");
      saved.textContent = "Saved.";
    } catch (trouble) {
      target.setAttribute("aria-invalid", "true");
      problem.textContent = trouble.message;
    }
  });
}

/** Shows a line's script, except in the field that somebody is typing in. */
export function drawSwitches(line) {
  for (const field of form.elements) {
    const isBusy = field === document.activeElement || field.hasAttribute("aria-invalid");
    if (field.name in line && !isBusy) field.value = line[field.name] ?? 0;
  }
}

/** Forgets what was said about the line before. */
export function clearSwitches() {
  problem.textContent = "";
  saved.textContent = "";
  for (const field of form.elements) field.removeAttribute("aria-invalid");
}

function meant({ name, value, tagName }) {
  if (tagName === "SELECT" || name === "pin") return value.trim();
  // What is no number goes out as it was typed: the server says what it wants instead.
  return /^[0-9]+([.][0-9]+)?$/.test(value.trim()) ? Number(value) : value;
}
