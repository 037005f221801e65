// What folds away: beside the phone on a wide screen, over its lower half on a narrow one.

const wide = matchMedia("(min-width: 50rem)");

/** Makes the panels fold; returns what closes those that lie over the phone. */
export function panels() {
  const all = [...document.querySelectorAll("[data-panel]")];
  const close = (panel) => (panel.open = false);

  for (const panel of all) {
    panel.open = wide.matches && panel.dataset.panel === "wide";
    panel.addEventListener("toggle", () => {
      if (panel.open && !wide.matches) all.filter((other) => other !== panel).forEach(close);
    });
    panel.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape" || wide.matches) return;
      close(panel);
      panel.querySelector("summary").focus();
    });
    panel.querySelector("[data-panel-close]").addEventListener("click", () => {
      close(panel);
      panel.querySelector("summary").focus({ preventScroll: true });
    });
  }
  return () => wide.matches || all.forEach(close);
}
