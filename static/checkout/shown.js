/* All that the page remembers. The other modules keep nothing of their own. */
import { newest } from "./view.js";

export const shown = {
  /** The newest snapshot of the transaction; null while the order has none. */
  snapshot: null,
  /** When that was heard, in ms of our clock. */
  heardAt: 0,
  /** The server's clock minus ours in ms: cheap phones are often minutes off. */
  skew: 0,
  /** What listens for news of the transaction; null while nothing does. */
  follower: null,
  /** Somebody is typing a number: only an order that is over may take the field away. */
  choosing: false,
  /** A press is on its way. */
  sending: false,
  /** The fields of the last press and its Idempotency-Key, until an answer used it up. */
  press: null,
  /** The number that was refused, and what gives its button back. */
  refusal: null,
  /** Buttons that must not be pressed yet: what they say else, and until when. */
  held: new Map(),
  /** Seconds of the wait that were left a beat ago. */
  left: 0,
  /** The ETag of the order's page as it was last read. */
  pageTag: null,
  /** {transactionId, number} as typed: snapshots only have a masked one. */
  typed: null,
  /** The timer that leads back to the merchant. */
  leaving: null,
  /** The shopper was told that the prompt stays when the page is left. */
  asked: false,
};

/** Takes in a snapshot, unless a newer one is shown; returns whether it did. serverTime in ms, or null. */
export function remember(snapshot, serverTime) {
  if (newest(shown.snapshot, snapshot) !== snapshot) return false;
  shown.snapshot = snapshot;
  shown.heardAt = Date.now();
  if (serverTime) shown.skew = serverTime - shown.heardAt;
  return true;
}

/** Keeps the number that was typed for a transaction, for this tab only; null forgets it. */
export function keepNumber(transactionId, number) {
  shown.typed = { transactionId, number };
  try {
    sessionStorage.removeItem("typed");
    if (number) sessionStorage.setItem("typed", JSON.stringify(shown.typed));
  } catch {
    // A browser that keeps nothing.
  }
}

/** The number that was typed in this tab for a transaction; null where it was typed elsewhere. */
export function numberOf(snapshot) {
  try {
    shown.typed ??= JSON.parse(sessionStorage.getItem("typed"));
  } catch {
    // As above.
  }
  return shown.typed?.transactionId === snapshot.transaction_id ? shown.typed.number : null;
}
