/* Copy buttons: shown only where copying works. */
import { byId, stage, word, write } from "./wording.js";

const BACK_MS = 2000;

for (const button of stage.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const label = button.firstElementChild;
  const text = label.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return; // an app's own browser may forbid it; the number still stands there to be read
    }
    write(label, word("copied"));
    write(byId("spoken"), word("copied"));
    setTimeout(() => {
      write(label, text);
      // The next one is to be said as well.
      write(byId("spoken"), "");
    }, BACK_MS);
  });
}
