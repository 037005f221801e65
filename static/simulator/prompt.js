// The prompt on the phone: its question, the PIN and the keypad.

import { kes } from "./numbers.js";
import { say } from "./words.js";

const dialog = document.querySelector("[data-prompt]");
const form = dialog.querySelector("form");
const home = document.querySelector("[data-home]");
const lipa = document.querySelector("[data-lipa]");
const dots = document.querySelector("[data-dots]");
const problem = document.querySelector("[data-pin-problem]");
const device = document.querySelector("[data-device]");
const ok = form.querySelector("[type=submit]");
let shown = null;
let isSending = false;

/**
 * Calls onAnswered(result, prompt) after an answer got through, onLost(words, prompt) when it did
 * not. A prompt is answered by its own answer({ pin } or { cancel: true }).
 */
export function promptCard({ onAnswered, onLost }) {
  async function send(body) {
    if (isSending) return;
    const prompt = shown;
    drawSending(true);
    try {
      onAnswered(await prompt.answer(body), prompt);
    } catch (trouble) {
      onLost(trouble.message, prompt);
    } finally {
      drawSending(false);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.pin.value.length === 4) return send({ pin: form.pin.value });
    problem.textContent = say("A PIN has four digits.");
    form.pin.focus();
  });
  form.querySelector("[data-cancel]").addEventListener("click", () => send({ cancel: true }));
  form.querySelector(".keypad").addEventListener("click", (event) => press(event.target.dataset.key));
  form.pin.addEventListener("input", drawDots);
}

/** Shows the prompt, or none if null; the PIN being typed survives a redraw of the same prompt. */
export function drawPrompt(prompt, pin) {
  form.querySelector("[data-hint]").textContent = say("This line's PIN is {pin}", { pin });
  if (prompt?.id === shown?.id) return;
  const hadFocus = form.contains(document.activeElement);
  shown = prompt ?? null;
  form.pin.value = "";
  drawDots();
  // Before what is behind becomes inert, which would take the focus away.
  const isBusy = isBusyElsewhere();
  dialog.hidden = !shown;
  lipa.inert = Boolean(shown);
  home.inert = Boolean(shown) || !lipa.hidden;
  device.classList.toggle("asking", Boolean(shown));
  if (!shown) return void (hadFocus && (lipa.hidden ? home : lipa).focus({ preventScroll: true }));
  drawQuestion(shown);
  if (isBusy && !hadFocus) return;
  form.pin.focus({ preventScroll: true });
  device.scrollIntoView({ block: "nearest" });
}

/** Returns what the prompt asks, ending with the reference. */
export function question({ amount, business, reference, what = say("account no.") }) {
  const values = { amount: kes(amount), business, what, reference };
  return say("Do you want to pay {amount} to {business}, {what} {reference}?", values);
}

function isBusyElsewhere() {
  const { activeElement } = document;
  return activeElement !== document.body && !device.contains(activeElement);
}

function drawSending(isSo) {
  isSending = isSo;
  form.setAttribute("aria-busy", String(isSo));
  ok.textContent = say(isSo ? "Sending…" : "OK");
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
