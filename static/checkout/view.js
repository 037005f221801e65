/* What a snapshot means for the page. Pure: no DOM, no network, the clock is an argument. */

/** The snapshot to show: of one transaction an older `seq` never replaces a newer one. */
export function newest(shown, incoming) {
  if (!shown || shown.transaction_id !== incoming.transaction_id) return incoming;
  return incoming.seq < shown.seq ? shown : incoming;
}

/** Whether more may be heard of this transaction. */
export function isOpenEnded(snapshot) {
  return !snapshot.final;
}

/** Whether nobody misses anything while this page is hidden: the result is there, what may follow can wait. */
export function mayRest(snapshot, hidden) {
  return hidden && snapshot.status !== "PENDING";
}

/** Whether the result deserves the focus: it ended the wait. "Still checking" must not pull anybody away. */
export function isResult(view) {
  return view === "paid" || view === "failed" || view === "closed";
}

/**
 * Whether the page of an order shows another transaction from now on, while its shopper pays by hand: a code or a
 * rule gave the money to a push, or to the transaction by hand; or the prompt that stood beside is over.
 */
export function turnsToAnother(before, snapshot) {
  const beside = before?.next === "cancel_prompt" && ["waiting", "checking"].includes(before.view);
  const paidOtherwise = snapshot.settled_by !== null && snapshot.settled_by !== snapshot.transaction_id;
  if (paidOtherwise) return beside || (before?.channel === "hand" && before.view !== "paid");
  return beside && snapshot.view === "failed";
}

/** Whether a prompt is on a phone that leaving the page would not cancel; checkout.html has the same rule. */
export function promptIsOpen({ view, channel, can_retry: canRetry }) {
  return (view === "waiting" || view === "checking") && channel === "push" && !canRetry;
}

/** Whether nothing is left to choose: paid, or the order is over. */
export function isSettledOrder(snapshot) {
  return snapshot.view === "paid" || snapshot.view === "closed";
}

/**
 * Whole seconds of the wait that are left, never more than the whole wait, so that a wrong clock
 * on the phone shows at worst a full one. `now` is the server's time in ms.
 */
export function secondsLeft(snapshot, waitSeconds, now) {
  const passed = (now - Date.parse(snapshot.created_at)) / 1000;
  return Math.ceil(Math.min(waitSeconds, Math.max(0, waitSeconds - passed)));
}

/** Most prompts are on the phone within ten seconds of the push. */
const PROMPT_DUE_S = 20;

/** Whether who waits should look why no prompt came. `now` is the server's time in ms. */
export function promptLate(snapshot, now) {
  return now - Date.parse(snapshot.created_at) >= PROMPT_DUE_S * 1000;
}

/** What is said aloud of a countdown, sparsely, as it goes from `before` to `left` seconds: a word's name or null. */
export function spokenOf(before, left) {
  if (before > 0 && left === 0) return "still-checking";
  return before > 30 && left <= 30 ? "spoken-left" : null;
}

/** Whole seconds until trying again is allowed; `heardAt` and `now` are ms of one clock. */
export function retryWait(snapshot, heardAt, now) {
  if (!snapshot.can_retry || !snapshot.retry_after) return 0;
  return Math.max(0, Math.ceil(snapshot.retry_after - (now - heardAt) / 1000));
}

/** Seconds as a clock: 65 -> "1:05". */
export function asClock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The merchant's address with the order's status of now; the one in the page was written earlier. */
export function returnAddress(address, orderStatus) {
  const url = new URL(address);
  url.searchParams.set("status", orderStatus);
  return url.href;
}
