/* Copies what stands beside a button: a receipt, a reference, an id. */

const SAID_MS = 2000;

async function copy(button) {
  const label = button.firstElementChild;
  const text = label.textContent;
  if (text === button.dataset.copied) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    return; // the browser forbids it; what was to be copied still stands there
  }
  const said = document.querySelector("[data-live-said]");
  label.textContent = button.dataset.copied;
  if (said) said.textContent = button.dataset.copied;
  setTimeout(() => {
    label.textContent = text;
    if (said) said.textContent = "";
  }, SAID_MS);
}

/** Shows the buttons of a page, now and after each look at it; browsers copy only over TLS or on the own machine. */
export function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
