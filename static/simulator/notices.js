// The phone's own words: a toast, what only a screen reader needs to hear, and the clock.

import { day, hour } from "./numbers.js";

const at = (name) => document.querySelector(`[data-${name}]`);
let timer = 0;

/** Shows it on the phone for a while; a screen reader says it too. */
export function notify(text) {
  const toast = at("toast");
  toast.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ""), 4500);
}

/** Says what everybody else can see on the screen. */
export function tell(text) {
  at("heard").textContent = text;
}

/** Keeps the phone's clocks going, in Nairobi time. */
export function startClock() {
  const now = new Date();
  at("clock").textContent = hour(now);
  at("big-clock").textContent = hour(now);
  at("date").textContent = day(now, document.documentElement.lang);
  setTimeout(startClock, 5000);
}
