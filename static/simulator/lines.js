// The lines to pick from.

import { kes, msisdnOf, spoken } from "./numbers.js";
import { sceneOf } from "./scenes.js";
import { say } from "./words.js";

const list = document.querySelector("[data-lines]");
const form = document.querySelector("[data-add-form]");
const problem = document.querySelector("[data-number-problem]");
const silentLine = "254708374149";

/** Calls onPick(msisdn) when a line is chosen from the list or typed. */
export function lineList(onPick) {
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) onPick(button.dataset.msisdn);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const msisdn = msisdnOf(form.number.value);
    problem.textContent = msisdn ? "" : say("Type a Kenyan mobile number, like 0712 345 678.");
    form.number.toggleAttribute("aria-invalid", !msisdn);
    if (!msisdn) return form.number.focus();
    form.reset();
    onPick(msisdn);
  });
}

/** Draws the lines; `ringing` is the set of those with an open prompt. */
export function drawLines(lines, chosen, ringing) {
  const buttons = new Map([...list.querySelectorAll("button")].map((b) => [b.dataset.msisdn, b]));
  const wanted = new Set(lines.map((line) => line.msisdn));
  buttons.forEach((button, msisdn) => wanted.has(msisdn) || button.parentElement.remove());
  for (const line of lines) {
    // Buttons are kept, so that the focus stays where it is while balances change.
    const button = buttons.get(line.msisdn) ?? newButton(line.msisdn);
    button.setAttribute("aria-pressed", String(line.msisdn === chosen));
    button.querySelector("[data-about]").textContent = about(line, ringing.has(line.msisdn));
    button.classList.toggle("ringing", ringing.has(line.msisdn));
  }
}

function newButton(msisdn) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const name = document.createElement("strong");
  const note = document.createElement("span");
  button.type = "button";
  button.dataset.msisdn = msisdn;
  name.textContent = spoken(msisdn);
  note.dataset.about = "";
  button.append(name, note);
  item.append(button);
  list.append(item);
  return button;
}

function about(line, isRinging) {
  if (isRinging) return say("is asked to pay");
  if (line.balance === undefined) return line.msisdn === silentLine ? say("never answers") : kes(50000);
  const habit = sceneOf(line) ?? line.answer.replace("_", " ").replace("code:", "result ");
  return line.answer === "manual" ? kes(line.balance) : `${kes(line.balance)} · ${habit}`;
}
