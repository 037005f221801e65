/* The way out: back to the merchant, and what a shopper takes along, copied, shared or printed. */
import { byId, stage, word, write } from "./screen.js";
import { shown } from "./shown.js";
import { asClock, promptIsOpen } from "./view.js";

/** Long enough to see the receipt; only seconds in which somebody can look are counted. */
const SECONDS = 5;
const COPIED_MS = 2000;
/** Where the clock is Nairobi's, its name would only puzzle: three hours before UTC, all the year. */
const NAIROBI = -180;

const question = byId("way-out");

// -- back to the merchant -----------------------------------------------------------------------

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

/** Asks once; an old browser knows no dialogs, and goes. */
function ask(event) {
  if (shown.asked || question.open || !question.showModal) return;
  if (!shown.snapshot || !promptIsOpen(shown.snapshot)) return;
  event.preventDefault();
  shown.asked = true;
  question.showModal();
}

/** Takes the question away once it would be wrong. */
export function settleQuestion(snapshot) {
  if (question?.open && !promptIsOpen(snapshot)) question.close();
}

function serveWayBack() {
  byId("stay")?.addEventListener("click", stay);
  const home = byId("home");
  if (!home?.dataset.back) return;
  // Without a script the link leads to the question first.
  home.href = home.dataset.back;
  home.toggleAttribute("data-return", true);
  home.addEventListener("click", ask);
  byId("stay-here").addEventListener("click", (event) => {
    event.preventDefault();
    question.close();
  });
}

// -- to take along ------------------------------------------------------------------------------

/** Copies a text, and says so on the button for a while. */
async function copy(button, text) {
  const label = button.firstElementChild;
  button.dataset.words ??= label.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return; // an app's own browser may forbid it; the text still stands there to be read
  }
  write(label, word("copied"));
  write(byId("spoken"), word("copied"));
  setTimeout(() => {
    write(label, button.dataset.words);
    // The next one is to be said as well.
    write(byId("spoken"), "");
  }, COPIED_MS);
}

/** `data-copy` is the text; it is empty where the text stands before the button. */
function serveCopies() {
  for (const button of navigator.clipboard ? stage.querySelectorAll("[data-copy]") : []) {
    button.hidden = false;
    button.addEventListener("click", () => {
      copy(button, button.dataset.copy || button.previousElementSibling.textContent);
    });
  }
}

/** A line for each row of the slip; of the receipt's own, the code without its button. */
function textOf(slip) {
  const rows = [...slip.children].filter((row) => !row.hidden);
  return rows.map(({ children: [name, told] }) => `${name.innerText}: ${codeIn(told).innerText}`).join("\n");
}

function codeIn(told) {
  return told.querySelector(".receipt:not(:empty)") ?? told;
}

async function share(button) {
  const url = `${location.origin}${location.pathname}`;
  const text = textOf(stage.querySelector(".slip"));
  if (!navigator.share) return copy(button, `${text}\n${url}`);
  // Somebody may think better of it.
  await navigator.share({ title: document.title, text, url }).catch(() => {});
}

/** app.css shows the one button on a phone, the other where there is a mouse. */
function serveReceipt() {
  byId("zone").hidden = new Date().getTimezoneOffset() === NAIROBI;
  byId("print").hidden = false;
  byId("print").addEventListener("click", () => window.print());
  byId("share").hidden = !navigator.share && !navigator.clipboard;
  byId("share").addEventListener("click", () => share(byId("share")));
}

/** Makes the links and buttons of all this work. */
export function serveWayOut() {
  serveWayBack();
  serveCopies();
  serveReceipt();
}
