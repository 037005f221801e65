/* Copy buttons: shown only where copying works. */
import { byId, stage, word, write } from "./wording.js";

const BACK_MS = 2000;

for (const button of stage.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const label = button.firstElementChild;
  const text = label.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    write(label, word("copied"));
    write(byId("spoken"), word("copied"));
    setTimeout(() => write(label, text), BACK_MS);
  });
}
