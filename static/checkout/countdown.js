/* What moves once a second: the wait for the PIN, and buttons that must not be pressed yet. */
import { byId, stage, word, write } from "./screen.js";
import { shown } from "./shown.js";
import { asClock, retryWait, secondsLeft, spokenOf } from "./view.js";

/**
 * Disables a button or link and says why; returns release(seconds), which gives it back after
 * so many seconds, counting down.
 */
export function hold(button, text) {
  keepUntil(button, Infinity);
  write(button, text);
  return (seconds) => {
    if (!shown.held.has(button)) return;
    shown.held.get(button).until = Date.now() + seconds * 1000;
    giveBack(button);
  };
}

function keepUntil(button, until) {
  const label = shown.held.get(button)?.label ?? button.dataset.words ?? button.textContent;
  shown.held.set(button, { label, until });
  disable(button, true);
}

function giveBack(button) {
  const { label, until } = shown.held.get(button);
  const left = Math.ceil((until - Date.now()) / 1000);
  if (left === Infinity) return;
  if (left > 0) return write(button, word("again-in", { time: asClock(left) }));
  shown.held.delete(button);
  disable(button, false);
  write(button, label);
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
