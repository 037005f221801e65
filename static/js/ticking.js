/* What moves once a second: the wait for the PIN, and buttons that must not be pressed yet. */
import { asClock, retryWait, secondsLeft, spokenOf } from "./payment_view.js";
import { byId, stage, word, write } from "./wording.js";

const held = new Map();
let current = null;
let heardAt = 0;
/** Server's clock minus ours in ms: cheap phones are often minutes off. */
let skew = 0;
let leftBefore = 0;

/** Remembers the newest snapshot; serverTime in ms, or null where the answer named none. */
export function heard(snapshot, serverTime) {
  current = snapshot;
  heardAt = Date.now();
  if (serverTime) skew = serverTime - heardAt;
  tick();
}

/**
 * Disables a button or link and says why; returns release(seconds), which gives it back after
 * so many seconds, counting down.
 */
export function hold(button, text) {
  keepUntil(button, Infinity);
  write(button, text);
  return (seconds) => {
    if (!held.has(button)) return;
    held.get(button).until = Date.now() + seconds * 1000;
    giveBack(button);
  };
}

function keepUntil(button, until) {
  const label = held.get(button)?.label ?? button.dataset.words ?? button.textContent;
  held.set(button, { label, until });
  disable(button, true);
}

function giveBack(button) {
  const { label, until } = held.get(button);
  const left = Math.ceil((until - Date.now()) / 1000);
  if (left === Infinity) return;
  if (left > 0) return write(button, word("again-in", { time: asClock(left) }));
  held.delete(button);
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
  if (!current) return;
  const wait = retryWait(current, heardAt, Date.now());
  for (const button of [byId("retry"), byId("pay"), byId("again")]) {
    const known = held.get(button);
    if (known?.until === Infinity || (!known && !wait && button.id !== "retry")) continue;
    if (wait) keepUntil(button, Date.now() + wait * 1000);
    else if (!known && button.hasAttribute("aria-disabled")) keepUntil(button, 0);
  }
}

function countDown() {
  if (!current || stage.dataset.view !== "waiting") return;
  const wait = Number(stage.dataset.wait);
  const left = secondsLeft(current, wait, Date.now() + skew);
  byId("fill").style.setProperty("--left", left / wait);
  const aloud = spokenOf(leftBefore, left);
  if (aloud) write(byId("spoken"), word(aloud, { seconds: left }));
  leftBefore = left;
  write(byId("countdown"), left ? word("left", { time: asClock(left) }) : word("still-checking"));
}

function tick() {
  holdForRetry();
  for (const button of [...held.keys()]) giveBack(button);
  countDown();
}

/** Begins the beat. */
export function startTicking() {
  setInterval(tick, 1000);
}
