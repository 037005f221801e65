/* The page and the one transaction that it shows. */
import { byId, showPhoneForm, showSnapshot, stage, word, write } from "./page.js";
import { isOpenEnded, isResult, isSettledOrder, newest } from "./payment_view.js";
import { heard } from "./ticking.js";
import { startLeaving } from "./leaving.js";
import { watch } from "./watching.js";

let shown = null;
let watcher = null;
/** Somebody is typing a number: only an order that is over may take the field away. */
let choosing = stage.dataset.view === "phone";

/** Shows a snapshot unless a newer one stands, and stops listening where no more is expected. */
function receive(snapshot, serverTime = null) {
  if (newest(shown, snapshot) !== snapshot) return;
  shown = snapshot;
  heard(snapshot, serverTime);
  if (!choosing || isSettledOrder(snapshot)) turn(snapshot);
  if (!isOpenEnded(snapshot)) stop();
}

function turn(snapshot) {
  const before = stage.dataset.view;
  showSnapshot(snapshot);
  const view = stage.dataset.view;
  if (view === before) return;
  if (isResult(view)) byId("headline").focus();
  if (view === "paid") startLeaving();
}

function stop() {
  watcher?.stop();
  watcher = null;
  byId("link").hidden = true;
}

function listen(snapshot) {
  stop();
  if (!isOpenEnded(snapshot)) return;
  const { pollUrl, socketClient: client } = stage.dataset;
  const { lang } = document.documentElement;
  watcher = watch({ snapshot, pollUrl, client, lang, onSnapshot: receive, onLink: showLink });
}

function showLink(link) {
  byId("link").hidden = false;
  byId("link").dataset.link = link;
  write(byId("link-words"), word(`link.${link}`));
}

/** Turns to a transaction that a press just started or joined. */
export function turnTo(snapshot, serverTime) {
  choosing = false;
  receive(snapshot, serverTime);
  listen(snapshot);
  // The pressed button is gone with its section.
  byId("headline").focus();
}

/** Takes up the transaction that the server wrote into the page, if there is one. */
export function resume() {
  if (!stage.dataset.snapshot) return;
  shown = JSON.parse(stage.dataset.snapshot);
  heard(shown);
  listen(shown);
}

/** Shows the phone field for the same order. */
export function askForPhone() {
  choosing = true;
  if (stage.dataset.view !== "phone") showPhoneForm();
  byId("phone").focus();
}

/** Asks at once; false when nothing is being followed. */
export function askNow() {
  watcher?.askNow();
  return Boolean(watcher);
}
