/* Shows in the page what a snapshot or a refusal says. */
import { firstAction, headlineOf, moneyOf, returnAddress, viewOf } from "./payment_view.js";
import { byId, say, stage, word, write } from "./wording.js";

const sections = stage.querySelectorAll("[data-section]");

function turnTo(view, headline, message) {
  // The socket repeats what stands, and a notice belongs to the state that it came with.
  if (stage.dataset.view !== view) say("notice", "");
  for (const section of sections) section.hidden = section.dataset.section !== view;
  stage.dataset.view = view;
  write(byId("headline"), headline);
  write(byId("message"), message);
  document.title = headline + stage.dataset.titleTail;
}

/** Shows the phone field; the order stays. */
export function showPhoneForm() {
  stage.dataset.telling = "phone";
  turnTo("phone", word("headline.phone"), word("message.phone"));
}

/** Shows what a snapshot says. */
export function showSnapshot(snapshot) {
  const headline = headlineOf(snapshot);
  stage.dataset.telling = headline;
  stage.dataset.orderStatus = snapshot.order_status;
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
    "not-final": !snapshot.final,
    "paid-otherwise": snapshot.order_status === "PAID",
    unconfirmed: snapshot.reason === "push_unconfirmed",
  };
  for (const el of stage.querySelectorAll("[data-when]")) el.hidden = !when[el.dataset.when];
  for (const el of stage.querySelectorAll("[data-money]")) el.hidden = el.dataset.money !== moneyOf(snapshot);
  for (const el of stage.querySelectorAll("[data-reason]")) el.hidden = el.dataset.reason !== snapshot.reason;
  for (const el of stage.querySelectorAll("[data-return]")) {
    el.href = returnAddress(el.href, snapshot.order_status);
  }
  byId("retry-actions").prepend(byId(firstAction(snapshot)));
}

function textOf(field, snapshot, element) {
  // The server's time stands; ours is for a result that came while the page was open.
  if (field === "paid_at" && snapshot.status !== "SUCCESS") return "";
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

/** What a refusal says: the server's words, else ours for one that never came from there. */
export function detailOf(problem) {
  return problem.detail || word(problem.code) || word("unavailable");
}

/** Puts a refusal where it belongs: at the field for a bad number, else above the form. */
export function showProblem(problem) {
  const text = detailOf(problem);
  const atField = problem.code === "invalid_phone" || problem.field === "phone";
  say("phone-error", atField ? text : "");
  say("form-error", atField ? "" : text);
  byId("phone").setAttribute("aria-invalid", String(atField));
}

/** Takes away what an earlier press was told. */
export function clearProblem() {
  say("phone-error", "");
  say("form-error", "");
  say("notice", "");
  byId("phone").removeAttribute("aria-invalid");
}
