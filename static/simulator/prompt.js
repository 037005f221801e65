// The prompt on the phone: its question, the PIN and the keypad.

import { answer } from "./api.js";
import { kes } from "./numbers.js";

const dialog = document.querySelector("[data-prompt]");
const form = dialog.querySelector("form");
const home = document.querySelector("[data-home]");
const dots = document.querySelector("[data-dots]");
const problem = document.querySelector("[data-pin-problem]");
const device = document.querySelector("[data-device]");
let shown = null;
let isSending = false;

/** Calls onAnswered(result) after an answer got through, onLost() when the prompt was gone. */
export function promptCard({ onAnswered, onLost }) {
  async function send(body) {
    if (isSending) return;
    isSending = true;
    try {
      onAnswered(await answer(shown.id, body));
    } catch (trouble) {
      onLost(trouble.message);
    } finally {
      isSending = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.pin.value.length === 4) return send({ pin: form.pin.value });
    problem.textContent = "A PIN has four digits.";
    form.pin.focus();
  });
  form.querySelector("[data-cancel]").addEventListener("click", () => send({ cancel: true }));
  form.querySelector(".keypad").addEventListener("click", (event) => press(event.target.dataset.key));
  form.pin.addEventListener("input", drawDots);
}

/** Shows the prompt, or none if null; the PIN being typed survives a redraw of the same prompt. */
export function drawPrompt(prompt, pin) {
  form.querySelector("[data-hint]").textContent = `This line’s PIN is ${pin}`;
  if (prompt?.id === shown?.id) return;
  const hadFocus = form.contains(document.activeElement);
  shown = prompt ?? null;
  form.pin.value = "";
  drawDots();
  dialog.hidden = !shown;
  home.inert = Boolean(shown);
  device.classList.toggle("asking", Boolean(shown));
  if (!shown) return void (hadFocus && home.focus());
  drawQuestion(shown);
  const isFree = [document.body, home].includes(document.activeElement);
  if (!isFree && !hadFocus) return; // somebody is busy elsewhere on the page
  form.pin.focus({ preventScroll: true });
  device.scrollIntoView({ block: "nearest" });
}

/** Returns what the prompt asks, ending with the reference. */
export function question({ amount, business, reference }) {
  return `Do you want to pay ${kes(amount)} to ${business}, account no. ${reference}?`;
}

function drawQuestion(prompt) {
  const reference = document.createElement("span");
  reference.className = "whole";
  reference.textContent = `${prompt.reference}?`;
  const before = question(prompt).slice(0, -reference.textContent.length);
  form.querySelector("[data-question]").replaceChildren(before, reference);
}

function press(key) {
  if (!key) return;
  const { value } = form.pin;
  form.pin.value = key === "back" ? value.slice(0, -1) : (value + key).slice(0, 4);
  drawDots();
}

function drawDots() {
  form.pin.value = form.pin.value.replace(/[^0-9]/g, "");
  dots.dataset.filled = form.pin.value.length;
  problem.textContent = "";
}
