/* The page and the one transaction that it shows. */
import { startLeaving } from "./leaving.js";
import { look } from "./looking.js";
import { showPhoneForm, showSnapshot } from "./page.js";
import { isOpenEnded, isResult, isSettledOrder, mayRest, newest } from "./payment_view.js";
import { heard } from "./ticking.js";
import { watch } from "./watching.js";
import { byId, say, stage, word, write } from "./wording.js";

let shown = null;
let watcher = null;
/** Somebody is typing a number: only an order that is over may take the field away. */
let choosing = stage.dataset.view === "phone";

/** Shows a snapshot unless a newer one stands, and stops listening where no more is expected. */
export function take(snapshot, serverTime = null) {
  if (newest(shown, snapshot) !== snapshot) return;
  shown = snapshot;
  heard(snapshot, serverTime);
  if (!choosing || isSettledOrder(snapshot)) turn(snapshot);
  if (watcher && !isOpenEnded(snapshot)) rest();
}

function turn(snapshot) {
  const before = stage.dataset.view;
  showSnapshot(snapshot);
  const view = stage.dataset.view;
  if (view === before) return;
  if (isResult(view)) byId("headline").focus();
  if (view === "paid") startLeaving();
}

/** Stops listening; `attend` takes it up again. */
export function rest() {
  watcher?.stop();
  watcher = null;
  byId("link").hidden = true;
}

/** Listens as long as more may be heard and somebody may want to know it; else rests. */
export function attend() {
  if (!shown || !isOpenEnded(shown) || mayRest(shown, document.hidden)) return rest();
  if (watcher?.txId === shown.transaction_id) return;
  rest();
  const { pollUrl, socketClient: client } = stage.dataset;
  const { lang } = document.documentElement;
  watcher = watch({ snapshot: shown, pollUrl, client, lang, onSnapshot: take, onLink: showLink });
}

function showLink(link) {
  byId("link").hidden = false;
  byId("link").dataset.link = link;
  write(byId("link-words"), word(`link.${link}`));
}

/** Turns to a transaction that a press just started or joined, or that began elsewhere. */
export function turnTo(snapshot, serverTime) {
  choosing = false;
  take(snapshot, serverTime);
  attend();
  // The pressed button is gone with its section.
  byId("headline").focus();
}

/** Takes up the transaction that the server wrote into the page, if there is one. */
export function resume() {
  if (!stage.dataset.snapshot) return;
  shown = JSON.parse(stage.dataset.snapshot);
  heard(shown, Number(stage.dataset.serverTime) || null);
  attend();
}

/** Shows the phone field for the same order. */
export function askForPhone() {
  choosing = true;
  if (stage.dataset.view !== "phone") showPhoneForm();
  byId("phone").focus();
}

/** Takes up what began elsewhere; false where there is nothing of that kind. */
export async function catchUp(notice = "") {
  const before = shown;
  const seen = await look();
  // A press of this page's own came first.
  if (!seen || seen.view === "phone" || shown !== before) return false;
  if (seen.snapshot && seen.snapshot.transaction_id === shown?.transaction_id) return false;
  if (!seen.snapshot) return location.reload();
  turnTo(seen.snapshot, seen.serverTime);
  say("notice", notice);
  return true;
}

/** Asks at once; false when nothing is being followed. */
export function askNow() {
  watcher?.askNow();
  return Boolean(watcher);
}
