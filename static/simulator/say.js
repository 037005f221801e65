// The phone's own words: a toast, which is also the page's live region, and the clock.

import { day, hour } from "./numbers.js";

const at = (name) => document.querySelector(`[data-${name}]`);
let timer = 0;

/** Says it to a screen reader; on the screen too unless it can be seen there anyway. */
export function say(text, isSeenAnyway = false) {
  const toast = at("toast");
  toast.classList.toggle("unseen", isSeenAnyway);
  toast.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ""), 6000);
}

/** Keeps the phone's clocks going, in Nairobi time. */
export function startClock() {
  const now = new Date();
  at("clock").textContent = hour(now);
  at("big-clock").textContent = hour(now);
  at("date").textContent = day(now);
  setTimeout(startClock, 5000);
}
