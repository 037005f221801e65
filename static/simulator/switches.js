// A form of switches: each is saved as it is changed.

import { say } from "./words.js";

/** Saves each switch by save(wishes); returns what draws the form's values and clears its words. */
export function switchForm(form, save) {
  const problem = form.querySelector("[data-switch-problem]");
  const saved = form.querySelector("[data-switch-saved]");

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", async ({ target }) => {
    saved.textContent = "";
    problem.textContent = "";
    try {
      await save({ [target.name]: meant(target) });
      target.removeAttribute("aria-invalid");
      saved.textContent = say("Saved.");
    } catch (trouble) {
      target.setAttribute("aria-invalid", "true");
      problem.textContent = trouble.message;
    }
  });

  return {
    /** Shows the values, except in the field that somebody is typing in. */
    draw(values) {
      for (const field of form.elements) {
        const isBusy = field === document.activeElement || field.hasAttribute("aria-invalid");
        if (field.name in values && !isBusy) field.value = String(values[field.name] ?? 0);
      }
    },
    /** Forgets what was said of the values before. */
    clear() {
      problem.textContent = "";
      saved.textContent = "";
      for (const field of form.elements) field.removeAttribute("aria-invalid");
    },
  };
}

function meant({ name, value, tagName }) {
  if (value === "true" || value === "false") return value === "true";
  if (tagName === "SELECT" || name === "pin") return value.trim();
  // What is no number goes out as it was typed: the server says what it wants instead.
  return /^-?[0-9]+([.][0-9]+)?$/.test(value.trim()) ? Number(value) : value;
}
