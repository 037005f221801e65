/* Reads the page's own address again and changes the parts that are marked for it. */
import { morph } from "./morph.js";

/** Resolves to "same", "changed", or "ended" where a login is asked for; rejects where no page came. */
export async function readAgain() {
  const answer = await fetch(location.href, {
    headers: { Accept: "text/html" },
    cache: "no-store",
    redirect: "manual",
  });
  if (answer.type === "opaqueredirect") return "ended";
  if (!answer.ok) throw new Error(`${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return swap(document, page) ? "changed" : "same";
}

function swap(here, page) {
  const focused = here.activeElement;
  let changed = false;
  for (const part of here.querySelectorAll("[data-live]")) {
    const next = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
    if (next && morph(part, next) && !("liveQuiet" in part.dataset)) changed = true;
  }
  if (focused !== here.activeElement && focused?.isConnected) {
    focused.focus({ preventScroll: true });
  }
  return changed;
}
