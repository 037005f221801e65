/* Follows one transaction by socket and by polling until told to stop. */
import { after, begin, linkOf, nextPollIn } from "./link.js";
import { openSocket, poll } from "./sources.js";

/**
 * snapshot: the one to start from; pollUrl, client: addresses; lang: "en" or "sw";
 * onSnapshot(snapshot, serverTime in ms or null); onLink(word for the quiet line).
 * Returns {stop, ask, txId}; ask() asks at once.
 */
export function follow({ snapshot, pollUrl, client, lang, onSnapshot, onLink }) {
  const txId = snapshot.transaction_id;
  let state = begin(Date.now(), navigator.onLine);
  let pollAfter = snapshot.poll_after;
  let link = null;
  let stopped = false;
  let closeSocket = () => {};

  function tellLink() {
    const now = linkOf(state, Date.now());
    if (now !== link) onLink((link = now));
  }

  function happened(event) {
    if (stopped) return;
    state = after(state, event);
    tellLink();
    poller.reschedule();
  }

  function passOn(incoming, serverTime = null) {
    if (stopped) return;
    pollAfter = incoming.poll_after;
    onSnapshot(incoming, serverTime);
  }

  const poller = poll({
    address: `${pollUrl}?${new URLSearchParams({ tx_id: txId, lang })}`,
    pause() {
      tellLink();
      return nextPollIn(state, pollAfter, Date.now(), Math.random());
    },
    onSnapshot: passOn,
    onOutcome: happened,
    onGone() {
      stop();
      onLink("gone");
    },
  });

  const wentOnline = () => {
    happened("online");
    poller.ask();
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
    onSnapshot: (incoming) => passOn(incoming),
    onUp: () => happened("socket-up"),
    onDown: () => happened("socket-down"),
  });
  tellLink();
  poller.reschedule();
  return { stop, ask: poller.ask, txId };
}
