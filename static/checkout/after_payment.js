/* After the money: the way back to the merchant, and the printed receipt. */
import { byId, word, write } from "./screen.js";
import { shown } from "./shown.js";
import { asClock } from "./view.js";

/** Long enough to see the receipt; only seconds in which somebody can look are counted. */
const SECONDS = 5;

/** Counts down to the merchant's page, if the order names one and nobody says to stay. */
export function startLeaving() {
  const link = byId("return");
  if (!link || shown.leaving) return;
  let left = SECONDS;
  const count = () => write(byId("leaving-words"), word("leaving", { time: asClock(left) }));
  count();
  byId("leaving").hidden = false;
  shown.leaving = setInterval(() => {
    if (document.hidden) return;
    left -= 1;
    count();
    if (left > 0) return;
    stay();
    location.assign(link.href);
  }, 1000);
}

function stay() {
  clearInterval(shown.leaving);
  byId("leaving").hidden = true;
}

/** Makes the buttons of the receipt work. */
export function serveReceipt() {
  byId("stay")?.addEventListener("click", stay);
  byId("print").hidden = false;
  byId("print").addEventListener("click", () => window.print());
}
