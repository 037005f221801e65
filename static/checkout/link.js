/* How the page is connected and when it asks next. Pure: the clock and chance are arguments. */

/** The socket's time to come up before polling begins (checkout pages on 2G need about two round trips). */
export const GRACE_MS = 3000;
/** A silent broker must not strand anybody, so a live page asks as well, though seldom. */
export const BACKSTOP_MS = 10_000;
/** Jitter keeps pages that lost one server from asking its successor in one beat. */
const JITTER = 0.2;
const SLOWEST_MS = 30_000;
/** A page that waits for money by hand, or shows a receipt, looks this often for what no socket tells it. */
export const LOOK_FOR_MORE_MS = 30_000;
/** A page that waits for somebody to scan its code looks this often. Looking ends after a while. */
export const LOOK_MS = 10_000;
const LOOK_FOR_MS = 30 * 60_000;

/** The state before anything was tried; `now` in ms. */
export function begin(now, online) {
  return { startedAt: now, online, socketUp: false, wasUp: false, dropped: false, misses: 0 };
}

/** The next state after one event of the network. */
export function after(state, event) {
  switch (event) {
    case "socket-up":
      return { ...state, online: true, socketUp: true, wasUp: true, dropped: false, misses: 0 };
    case "socket-down":
      return { ...state, socketUp: false, dropped: state.dropped || state.socketUp };
    case "online":
      return { ...state, online: true, misses: 0 };
    case "offline":
      return { ...state, online: false };
    case "answer":
      return { ...state, online: true, dropped: false, misses: 0 };
    case "no-answer":
      return { ...state, dropped: false, misses: state.misses + 1 };
    default:
      return state;
  }
}

/** One word for the quiet line: "live", "connecting", "polling", "offline" (no network here) or "silent" (no answer). */
export function linkOf(state, now) {
  if (!state.online) return "offline";
  if (state.socketUp) return "live";
  if (state.misses > 0) return "silent";
  if (!state.wasUp && now - state.startedAt < GRACE_MS) return "connecting";
  return "polling";
}

/**
 * Milliseconds until the next question; `pollAfter` in seconds is the server's, `chance` in [0, 1).
 * Where a socket has just dropped, thousands of others may have: the first question falls anywhere in two pauses.
 */
export function nextPollIn(state, pollAfter, now, chance) {
  const link = linkOf(state, now);
  const jitter = 1 - JITTER + 2 * JITTER * chance;
  if (link === "live") return BACKSTOP_MS * jitter;
  if (link === "connecting") return state.startedAt + GRACE_MS - now;
  if (state.dropped) return 2 * pollAfter * 1000 * chance;
  const pause = pollAfter * 1000 * 2 ** Math.min(state.misses, 4);
  return Math.min(pause, Math.max(SLOWEST_MS, pollAfter * 1000)) * jitter;
}

/** Whether a page that was shown for so long still looks. */
export function looksAgain(shownForMs) {
  return shownForMs <= LOOK_FOR_MS;
}
