/* The checkout page: what happens when somebody types, presses, leaves and comes back. */
import { hold, tick } from "./countdown.js";
import { follow } from "./follower.js";
import { LOOK_FOR_MORE_MS, LOOK_MS, looksAgain } from "./link.js";
import { otherNetwork, understood } from "./phone_number.js";
import { pay, post } from "./push.js";
import {
  byId, clearProblem, detailOf, fillFields, showHeardOf, showLink, showPhoneForm, showProblem, showSnapshot, showText, stage, word,
  write,
} from "./screen.js";
import { keepNumber, numberOf, remember, shown } from "./shown.js";
import { takeCodes } from "./sms_code.js";
import { readPage } from "./sources.js";
import { isOpenEnded, isResult, isSettledOrder, mayRest, turnsToAnother } from "./view.js";
import { serveWayOut, settleQuestion, startLeaving } from "./way_out.js";

const phone = byId("phone");
const { lang } = document.documentElement;

// -- the transaction that is shown --------------------------------------------------------------

/** Shows a snapshot unless a newer one stands, and stops listening where no more is expected. */
function receive(snapshot, serverTime = null) {
  const before = shown.snapshot;
  if (!remember(snapshot, serverTime)) return;
  // Which one, the server says.
  if (turnsToAnother(before, snapshot)) catchUp().then((turned) => turned || present(snapshot));
  else if (!shown.choosing || isSettledOrder(snapshot)) present(snapshot);
  tick();
  if (shown.follower && !isOpenEnded(snapshot)) rest();
}

function present(snapshot) {
  const before = stage.dataset.view;
  showSnapshot(snapshot);
  settleQuestion(snapshot);
  if (snapshot.view === before) return;
  if (isSettledOrder(snapshot)) keepNumber(snapshot.transaction_id, null);
  if (isResult(snapshot.view)) byId("headline").focus();
  if (snapshot.status === "SUCCESS" && snapshot.money === "taken") startLeaving();
}

/** Turns to a transaction that a press just started or joined, or that began elsewhere. */
function adopt(snapshot, serverTime) {
  shown.choosing = false;
  receive(snapshot, serverTime);
  attend();
  // The pressed button is gone with its section.
  byId("headline").focus();
}

/** Listens as long as more may be heard and somebody may want to know it; else rests. */
function attend() {
  const { snapshot } = shown;
  if (!snapshot || !isOpenEnded(snapshot) || mayRest(snapshot, document.hidden)) return rest();
  if (shown.follower?.txId === snapshot.transaction_id) return;
  rest();
  const { pollUrl, socketClient: client } = stage.dataset;
  shown.follower = follow({ snapshot, pollUrl, client, lang, onSnapshot: receive, onLink: showLink });
}

/** Stops listening; `attend` takes it up again. */
function rest() {
  shown.follower?.stop();
  shown.follower = null;
  byId("link").hidden = true;
}

/** Takes up what began elsewhere: in another tab, or on the phone that scanned the code; false where nothing did. */
async function catchUp(notice = "") {
  const before = shown.snapshot;
  const seen = await readPage(shown.pageTag);
  if (!seen) return false;
  shown.pageTag = seen.etag;
  showHeardOf(seen.page);
  // A press of this page's own came first.
  if (seen.view === "phone" || shown.snapshot?.transaction_id !== before?.transaction_id) return false;
  if (seen.snapshot && seen.snapshot.transaction_id === before?.transaction_id) {
    receive(seen.snapshot, seen.serverTime);
    return false;
  }
  if (!seen.snapshot) return location.reload();
  adopt(seen.snapshot, seen.serverTime);
  showText("notice", notice);
  return true;
}

// -- somebody pays by hand ----------------------------------------------------------------------

async function payByHand(form) {
  if (shown.sending) return;
  shown.sending = true;
  showText("notice", "");
  const release = hold(form.querySelector("button"), word("sending"));
  const { answer, serverTime, status, retryAfter } = await post(form.action, { order_id: stage.dataset.order });
  const taken = status === 200 || status === 201;
  // A prompt that is open is shown first, and the way to pay by hand below it.
  const seen = taken ? await readPage(null) : null;
  shown.sending = false;
  release(retryAfter);
  // The order ended elsewhere: the server knows the rest.
  if (status === 409) return location.reload();
  if (!taken) return showText("notice", detailOf(answer ?? { code: status ? "unavailable" : "network" }));
  if (seen?.snapshot) adopt(seen.snapshot, seen.serverTime);
  else if (answer) adopt(answer, serverTime);
  if (stage.dataset.view !== "by_hand") byId("by-hand-title").focus();
}

// -- a number is typed, and Pay is pressed ------------------------------------------------------

async function press(button) {
  if (shown.sending) return;
  clearProblem();
  if (!phone.value.trim()) return refused({ code: "invalid_phone" });
  shown.sending = true;
  let release = hold(button, word("sending"), word("still-sending"));
  const url = `${stage.dataset.pushUrl}?lang=${lang}`;
  const answer = await pay({ url, orderId: stage.dataset.order, phone: phone.value });
  shown.sending = false;
  // The field is shown then, and this button with it.
  if (answer.problem && button !== byId("pay")) {
    release(0);
    release = hold(byId("pay"), "");
  }
  release(answer.retryAfter ?? 0);
  shown.refusal = answer.problem ? { number: understood(phone.value), release } : null;
  if (!answer.snapshot) return refused(answer.problem);
  keepNumber(answer.snapshot.transaction_id, understood(phone.value));
  adopt(answer.snapshot, answer.serverTime);
}

async function refused(problem) {
  // The order ended elsewhere: the server knows the rest.
  if (["order_paid", "order_closed"].includes(problem.code)) return location.reload();
  if (problem.code === "attempt_open" && (await catchUp(detailOf(problem)))) return;
  chooseNumber();
  showProblem(problem);
}

function chooseNumber() {
  shown.choosing = true;
  if (stage.dataset.view !== "phone") showPhoneForm(shown.snapshot);
  phone.focus();
}

/** Begins with an empty field, so that nobody asks the same phone again by mistake. */
function chooseAnother() {
  const last = understood(phone.value) ?? numberOf(shown.snapshot);
  clearProblem();
  phone.value = "";
  typed();
  offerAgain(last);
  chooseNumber();
}

/** Offers a number to be taken again; null: none. */
function offerAgain(number) {
  const offer = byId("same-number");
  offer.hidden = !number;
  write(offer, number ? word("use-again", { phone: number }) : "");
  offer.onclick = () => {
    phone.value = number;
    typed();
    offerAgain(null);
    byId("pay").focus();
  };
}

function pressOrChoose(button) {
  if (understood(phone.value)) press(button);
  else chooseNumber();
}

const hint = byId("phone-hint");
const example = hint.textContent;

/** Tells how the number was understood, and whose it looks like. */
function typed() {
  const number = understood(phone.value);
  const network = otherNetwork(phone.value);
  const told = [number && word("understood", { phone: number }), network && word(`network.${network}`)];
  write(hint, told.filter(Boolean).join(". ") || example);
  hint.classList.toggle("understood", Boolean(number && !network));
  hint.classList.toggle("elsewhere", Boolean(network));
  // A line that has to wait keeps no other line out.
  if (!shown.refusal || !number || number === shown.refusal.number) return;
  shown.refusal.release(0);
  shown.refusal = null;
}

// -- what else can be pressed -------------------------------------------------------------------

/** Looks now and then while the code is on a screen that somebody may see. */
function lookWhileScannable() {
  const code = byId("scan");
  if (!code) return;
  const openedAt = Date.now();
  const timer = setInterval(() => {
    if (!looksAgain(Date.now() - openedAt)) return clearInterval(timer);
    // Hidden with its section, or on a screen that is a phone's itself.
    if (!document.hidden && code.offsetParent && !shown.sending) catchUp();
  }, LOOK_MS);
}

/** Looks for what no snapshot tells, a payment that a person has to check first; and after the last one for a refund. */
function lookForMore(cameBack = false) {
  if (document.hidden || shown.sending) return;
  const { view } = stage.dataset;
  if (view === "by_hand" || (view === "paid" && (cameBack || looksAgain(performance.now())))) catchUp();
}

function listen() {
  phone.addEventListener("input", typed);
  byId("phone-form").addEventListener("submit", (event) => {
    event.preventDefault();
    press(byId("pay"));
  });
  byId("again-form").addEventListener("submit", (event) => {
    event.preventDefault();
    pressOrChoose(byId("again"));
  });
  byId("ways-on").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    if (link.id === "other_number") chooseAnother();
    else if (!link.hasAttribute("aria-disabled")) pressOrChoose(link);
  });
  for (const form of stage.querySelectorAll(".by-hand")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      payByHand(form);
    });
  }
  byId("by-prompt")?.addEventListener("click", (event) => {
    event.preventDefault();
    chooseNumber();
  });
  document.addEventListener("visibilitychange", () => {
    attend();
    if (document.hidden) return;
    shown.follower?.ask();
    lookForMore(true);
  });
  // A page with an open socket is not kept for the back button.
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => {
    typed();
    if (!event.persisted) return;
    attend();
    if (shown.follower) shown.follower.ask();
    else catchUp();
  });
}

listen();
takeCodes(receive);
serveWayOut();
setInterval(tick, 1000);
shown.choosing = stage.dataset.view === "phone";
// The transaction that the server wrote into the page, if there is one, is shown already.
if (stage.dataset.snapshot) {
  remember(JSON.parse(stage.dataset.snapshot), Number(stage.dataset.serverTime) || null);
  fillFields(shown.snapshot);
  if (shown.choosing) offerAgain(numberOf(shown.snapshot));
  else phone.value ||= numberOf(shown.snapshot) ?? "";
}
// On a phone a keyboard would cover the page.
const atDesk = ["(min-width:56rem)", "(pointer:fine)"].every((each) => matchMedia(each).matches);
if (shown.choosing && atDesk) phone.focus();
// Another phone can read it there.
if (atDesk) byId("scan-by-app")?.toggleAttribute("open", true);
tick();
attend();
lookWhileScannable();
setInterval(lookForMore, LOOK_FOR_MORE_MS);
// Last: a page whose script stumbled on the way here goes on loading itself again (reload.js).
document.documentElement.dataset.runs = "";
