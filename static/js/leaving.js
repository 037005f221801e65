/* After the money: the way back to the merchant, and the printed receipt. */
import { asClock } from "./payment_view.js";
import { byId, word, write } from "./wording.js";

/** Long enough to see the receipt; only seconds in which somebody can look are counted. */
const SECONDS = 5;
let timer = null;

function stay() {
  clearInterval(timer);
  byId("leaving").hidden = true;
}

/** Counts down to the merchant's page, if the order names one and nobody says to stay. */
export function startLeaving() {
  const link = byId("return");
  if (!link || timer) return;
  let left = SECONDS;
  const show = () => write(byId("leaving-words"), word("leaving", { time: asClock(left) }));
  show();
  byId("leaving").hidden = false;
  timer = setInterval(() => {
    if (document.hidden) return;
    left -= 1;
    show();
    if (left > 0) return;
    stay();
    location.assign(link.href);
  }, 1000);
}

byId("stay")?.addEventListener("click", stay);
byId("print").hidden = false;
byId("print").addEventListener("click", () => window.print());
