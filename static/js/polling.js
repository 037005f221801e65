/* Asks /check-status, one question at a time, when the caller's `pause()` says so. */

/**
 * address: what to ask; pause(): ms until the next question; onSnapshot(snapshot, serverTime in ms or null);
 * onOutcome("answer" | "no-answer"); onGone(): the server knows no such transaction.
 * Returns {reschedule, askNow, stop}.
 */
export function poll({ address, pause, onSnapshot, onOutcome, onGone }) {
  let timer = null;
  let asking = false;
  let stopped = false;
  let etag = null;
  let heldBackUntil = 0;

  function reschedule() {
    clearTimeout(timer);
    if (stopped || asking) return;
    timer = setTimeout(askNow, Math.max(pause(), heldBackUntil - Date.now()));
  }

  async function askNow() {
    clearTimeout(timer);
    if (stopped || asking) return;
    asking = true;
    await ask();
    asking = false;
    reschedule();
  }

  async function ask() {
    let snapshot = null;
    let response;
    try {
      response = await fetch(address, {
        cache: "no-store",
        headers: { Accept: "application/json", ...(etag && { "If-None-Match": etag }) },
        signal: AbortSignal.timeout?.(15_000),
      });
      if (response.status === 200) snapshot = await response.json();
    } catch {
      if (!stopped) onOutcome("no-answer");
      return;
    }
    if (stopped) return;
    take(response, snapshot);
  }

  function take(response, snapshot) {
    const pauseAsked = Number(response.headers.get("Retry-After"));
    if (pauseAsked > 0) heldBackUntil = Date.now() + pauseAsked * 1000;
    if (response.status === 404) return onGone();
    onOutcome(snapshot || response.status === 304 ? "answer" : "no-answer");
    if (!snapshot) return;
    etag = response.headers.get("ETag");
    onSnapshot(snapshot, Date.parse(response.headers.get("Date")) || null);
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
  }

  return { reschedule, askNow, stop };
}
