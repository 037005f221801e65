/* What moves once a second: the wait for the PIN, and buttons that must not be pressed yet. */
import { byId, clearProblem, stage, word, write } from "./screen.js";
import { shown } from "./shown.js";
import { asClock, promptLate, retryWait, secondsLeft, spokenOf } from "./view.js";

/** So long nobody doubts that it is being sent. */
const SLOW_MS = 4000;

/**
 * Disables a button or link and says why; returns release(seconds), which gives it back after
 * so many seconds, counting down. `slowText` is said where that takes long.
 */
export function hold(button, text, slowText = text) {
  keepUntil(button, Infinity);
  shown.held.get(button).slow = { from: Date.now() + SLOW_MS, text: slowText };
  button.toggleAttribute("data-busy", true);
  write(button, text);
  return (seconds) => {
    if (!shown.held.has(button)) return;
    shown.held.get(button).until = Date.now() + seconds * 1000;
    button.toggleAttribute("data-busy", false);
    giveBack(button);
  };
}

function keepUntil(button, until) {
  const label = shown.held.get(button)?.label ?? button.dataset.words ?? button.textContent;
  shown.held.set(button, { label, until });
  disable(button, true);
}

function giveBack(button) {
  const { label, until, slow } = shown.held.get(button);
  const left = Math.ceil((until - Date.now()) / 1000);
  if (left === Infinity) return sayIfSlow(button, slow);
  if (left > 0) return write(button, word("again-in", { time: asClock(left) }));
  shown.held.delete(button);
  disable(button, false);
  write(button, label);
  // What was said of the wait is over with it.
  if (button === byId("pay")) clearProblem();
}

function sayIfSlow(button, { from, text }) {
  if (Date.now() < from || button.textContent === text) return;
  write(button, text);
  write(byId("spoken"), text);
}

function disable(button, yes) {
  if ("disabled" in button) button.disabled = yes;
  else if (yes) button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

/** The order's wait binds every way to push again, with whatever number. */
function holdForRetry() {
  const wait = retryWait(shown.snapshot, shown.heardAt, Date.now());
  for (const button of [byId("retry"), byId("pay"), byId("again")]) {
    const known = shown.held.get(button);
    if (known?.until === Infinity || (!known && !wait && button.id !== "retry")) continue;
    if (wait) keepUntil(button, Date.now() + wait * 1000);
    else if (!known && button.hasAttribute("aria-disabled")) keepUntil(button, 0);
  }
}

function countDown() {
  const wait = Number(stage.dataset.wait);
  const left = secondsLeft(shown.snapshot, wait, Date.now() + shown.skew);
  byId("fill").style.setProperty("--left", left / wait);
  const late = promptLate(shown.snapshot, Date.now() + shown.skew);
  const turns = byId("turns");
  if (late && turns.offsetParent && !turns.matches(".late")) write(byId("spoken"), turns.lastElementChild.textContent);
  turns.classList.toggle("late", late);
  const aloud = spokenOf(shown.left, left);
  if (aloud) write(byId("spoken"), word(aloud, { seconds: left }));
  shown.left = left;
  write(byId("countdown"), left ? word("left", { time: asClock(left) }) : word("still-checking"));
}

/** One beat; also at once when something was heard. */
export function tick() {
  if (shown.snapshot) holdForRetry();
  for (const button of [...shown.held.keys()]) giveBack(button);
  if (shown.snapshot && stage.dataset.view === "waiting") countDown();
}
