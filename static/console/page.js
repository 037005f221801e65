/* Keeps an open console page up to date: at once by the socket, every 15 s without it. */
import { offerCopies } from "../shared/copy.js";
import { listen } from "./live.js";
import { readAgain } from "./reading.js";
import "./secret.js";

const EVERY_MS = 15_000;
/** What follows a payment's change by itself: pages that were told, tries to deliver a webhook. */
const AFTERWARDS_MS = 3000;
/** Between two looks, however much there is to hear. */
const REST_MS = 500;
/** A screen reader is told that the page changed, but not with every payment of a busy day. */
const SAY_EVERY_MS = 10_000;

// On a phone the tabs may be wider than the screen.
document.querySelector(".ways [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

offerCopies();

const link = document.querySelector("[data-live-link]");
const said = document.querySelector("[data-live-said]");
const own = document.querySelector("[data-live][data-transaction]")?.dataset.transaction;
let up = false;
let ended = false;
let looking = false;
let missed = false;
let follows = false;
let saidAt = 0;
let timer = 0;

function show(state) {
  link.hidden = false;
  link.dataset.state = state;
  link.querySelector("[data-live-words]").textContent = link.dataset[`${state}Word`];
}

function end() {
  if (ended) return;
  ended = true;
  clearTimeout(timer);
  show("ended");
  link.setAttribute("role", "alert");
  const login = document.createElement("a");
  const next = location.pathname + location.search;
  login.href = `${link.dataset.login}?${new URLSearchParams({ next })}`;
  login.textContent = link.dataset.againWord;
  link.append(" ", login);
}

function sayUpdated() {
  if (Date.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = Date.now();
  said.textContent = `${link.dataset.saidWord} ${new Date().toLocaleTimeString("en-GB", { timeZone: "Africa/Nairobi" })}`;
}

async function look() {
  if (ended) return;
  missed = document.hidden || looking;
  if (missed) return;
  clearTimeout(timer);
  looking = true;
  try {
    const found = await readAgain();
    if (found === "changed") {
      offerCopies();
      sayUpdated();
    }
    if (found === "ended") end();
    else if (!ended) show(up ? "live" : "polling");
  } catch {
    if (!ended) show("gone");
  }
  looking = false;
  if (!ended) timer = setTimeout(look, pause());
}

/** Until the next look: soon where something was missed, or where more is to follow a change. */
function pause() {
  if (missed) return REST_MS;
  const soon = follows;
  follows = false;
  return soon ? AFTERWARDS_MS : EVERY_MS;
}

function changed(ids) {
  if (own && ids.length && !ids.includes(own)) return;
  follows = Boolean(own);
  look();
}

function begin() {
  document.addEventListener("visibilitychange", () => document.hidden || look());
  addEventListener("online", look);
  addEventListener("pageshow", (event) => event.persisted && look());
  timer = setTimeout(look, EVERY_MS);
  listen({
    client: link.dataset.socket,
    onChanged: changed,
    // What happened between the page and the connection would be missed.
    onUp: () => (up = true) && look(),
    onDown() {
      up = false;
      if (!ended) show("polling");
    },
    onEnded: end,
  }).catch(() => show("polling"));
}

// The answer to a form has nothing that changes, and an address that may not be read again.
if (document.querySelector("main [data-live]")) begin();
