/* Follows one transaction by socket and by polling until told to stop. */
import { after, begin, linkOf, nextPollIn } from "./connection.js";
import { poll } from "./polling.js";
import { openSocket } from "./socket.js";

/**
 * snapshot: the one to start from; pollUrl, client: addresses; lang: "en" or "sw";
 * onSnapshot(snapshot, serverTime in ms or null); onLink(word for the quiet line).
 * Returns {stop, askNow, txId}.
 */
export function watch({ snapshot, pollUrl, client, lang, onSnapshot, onLink }) {
  const txId = snapshot.transaction_id;
  let state = begin(Date.now(), navigator.onLine);
  let pollAfter = snapshot.poll_after;
  let link = null;
  let stopped = false;
  let closeSocket = () => {};

  function show() {
    const now = linkOf(state, Date.now());
    if (now !== link) onLink((link = now));
  }

  function happened(event) {
    if (stopped) return;
    state = after(state, event);
    show();
    poller.reschedule();
  }

  function heard(incoming, serverTime = null) {
    if (stopped) return;
    pollAfter = incoming.poll_after;
    onSnapshot(incoming, serverTime);
  }

  const poller = poll({
    address: `${pollUrl}?${new URLSearchParams({ tx_id: txId, lang })}`,
    pause() {
      show();
      return nextPollIn(state, pollAfter, Date.now(), Math.random());
    },
    onSnapshot: heard,
    onOutcome: happened,
    onGone() {
      stop();
      onLink("gone");
    },
  });

  const wentOnline = () => {
    happened("online");
    poller.askNow();
  };
  const wentOffline = () => happened("offline");
  addEventListener("online", wentOnline);
  addEventListener("offline", wentOffline);

  function stop() {
    stopped = true;
    poller.stop();
    closeSocket();
    removeEventListener("online", wentOnline);
    removeEventListener("offline", wentOffline);
  }

  closeSocket = openSocket({
    client,
    txId,
    lang,
    onSnapshot: (incoming) => heard(incoming),
    onUp: () => happened("socket-up"),
    onDown: () => happened("socket-down"),
  });
  show();
  poller.reschedule();
  return { stop, askNow: poller.askNow, txId };
}
