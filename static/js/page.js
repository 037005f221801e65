/* Writes into the page. Every word comes from the page itself, in the shopper's language. */
import { firstAction, headlineOf, returnAddress, viewOf } from "./payment_view.js";

export const byId = (id) => document.getElementById(id);
export const stage = byId("stage");
const sections = stage.querySelectorAll("[data-section]");
const words = new Map(
  Array.from(byId("words").content.querySelectorAll("[data-word]"), (el) => [el.dataset.word, el.textContent]),
);

/** A text of the page by its name, its {placeholders} filled from `values`. */
export function word(name, values = {}) {
  return (words.get(name) ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Sets a text only when it differs, so that a live region speaks once. */
export function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function turnTo(view, headline, message) {
  for (const section of sections) section.hidden = section.dataset.section !== view;
  stage.dataset.view = view;
  write(byId("headline"), headline);
  write(byId("message"), message);
  document.title = headline + stage.dataset.titleTail;
}

/** Shows the phone field; the order stays. */
export function showPhoneForm() {
  turnTo("phone", word("headline.phone"), word("message.phone"));
}

/** Shows what a snapshot says. */
export function showSnapshot(snapshot) {
  const headline = headlineOf(snapshot);
  fill(snapshot);
  turnTo(viewOf(snapshot), word(`headline.${headline}`), word(`message.${headline}`) || snapshot.message);
}

function fill(snapshot) {
  for (const el of stage.querySelectorAll("[data-field]")) {
    const text = textOf(el.dataset.field, snapshot, el);
    if ("value" in el) el.value = text;
    else write(el, text);
  }
  const when = {
    "can-retry": snapshot.can_retry,
    "no-receipt": !snapshot.receipt,
    final: snapshot.final,
    "not-final": !snapshot.final,
  };
  for (const el of stage.querySelectorAll("[data-when]")) el.hidden = !when[el.dataset.when];
  for (const el of stage.querySelectorAll("[data-reason]")) el.hidden = el.dataset.reason !== snapshot.reason;
  for (const el of stage.querySelectorAll("[data-return]")) {
    el.href = returnAddress(el.href, snapshot.order_status);
  }
  byId("retry-actions").prepend(byId(firstAction(snapshot)));
}

function textOf(field, snapshot, element) {
  // The server's time stands; ours is for a result that came while the page was open.
  if (field === "paid_at") return element.textContent.trim() || nairobiTime(snapshot.updated_at);
  return snapshot[field] ?? "";
}

function nairobiTime(iso) {
  return new Intl.DateTimeFormat(`${document.documentElement.lang}-KE`, {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: "Africa/Nairobi",
  }).format(new Date(iso));
}

/** Puts a refusal where it belongs: at the field for a bad number, else above the form. */
export function showProblem(problem) {
  const text = problem.code === "network" ? word("network") : problem.detail || word("unavailable");
  const atField = problem.code === "invalid_phone" || problem.field === "phone";
  say("phone-error", atField ? text : "");
  say("form-error", atField ? "" : text);
  byId("phone").setAttribute("aria-invalid", String(atField));
}

/** Takes away what an earlier press was told. */
export function clearProblem() {
  say("phone-error", "");
  say("form-error", "");
  byId("phone").removeAttribute("aria-invalid");
}

function say(id, text) {
  write(byId(id), text);
  byId(id).hidden = !text;
}
