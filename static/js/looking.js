/* Learns what began elsewhere: in another tab, or on the phone that scanned the code. */
import { LOOK_MS, looksAgain } from "./connection.js";
import { byId } from "./wording.js";

const code = byId("scan");
let etag = null;

async function ask() {
  const response = await fetch(`${location.pathname}?lang=${document.documentElement.lang}`, {
    cache: "no-store",
    headers: { Accept: "text/html", ...(etag && { "If-None-Match": etag }) },
    signal: AbortSignal.timeout?.(15_000),
  });
  if (response.status !== 200) return null;
  etag = response.headers.get("ETag");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const { view, snapshot } = page.getElementById("stage").dataset;
  const serverTime = Date.parse(response.headers.get("Date")) || null;
  return { view, snapshot: snapshot ? JSON.parse(snapshot) : null, serverTime };
}

/** What the order's page says by now, {view, snapshot or null, serverTime in ms or null}; null where nothing is new. */
export async function look() {
  try {
    return await ask();
  } catch {
    return null; // no network: the next look may have one
  }
}

/** Calls `onLook()` now and then while the code is on a screen that somebody may see. */
export function whileScannable(onLook) {
  if (!code) return;
  const openedAt = Date.now();
  const timer = setInterval(() => {
    if (!looksAgain(Date.now() - openedAt)) return clearInterval(timer);
    // Hidden with its section, or on a screen that is a phone's itself.
    if (!document.hidden && code.offsetParent) onLook();
  }, LOOK_MS);
}
