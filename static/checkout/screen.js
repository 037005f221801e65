/* Shows in the page what the server says. Every word comes from there, in the shopper's language. */
import { numberOf } from "./shown.js";
import { returnAddress } from "./view.js";

export const byId = (id) => document.getElementById(id);
export const stage = byId("stage");
const words = new Map(
  Array.from(byId("words").content.querySelectorAll("[data-word]"), (el) => [el.dataset.word, el.textContent]),
);

/** A text of the page by its name, its {placeholders} filled from `values`; "" where there is none. */
export function word(name, values = {}) {
  return (words.get(name) ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Browsers break lines at its hyphen. */
const NAME = "M-PESA";

function whole() {
  const name = document.createElement("b");
  name.className = "whole";
  name.textContent = NAME;
  return name;
}

/** Sets a text only when it differs, so that a live region speaks once. */
export function write(element, text) {
  if (!element || element.textContent === text) return;
  element.replaceChildren(...text.split(NAME).flatMap((part, at) => (at ? [whole(), part] : [part])));
}

/** Shows a text, or hides its place where there is none. */
export function showText(id, text) {
  write(byId(id), text);
  byId(id).hidden = !text;
}

/** Shows the phone field for the same order. */
export function showPhoneForm(snapshot) {
  showSnapshot({ ...snapshot, view: "phone", message: word("message.phone") });
}

/** Shows what a snapshot says: which elements belong to it stands in the page itself (pages.py, shown_if). */
export function showSnapshot(snapshot) {
  // The socket repeats what stands, and a notice belongs to the state that it came with.
  if (stage.dataset.view !== snapshot.view) {
    showText("notice", "");
    // Folded, but where it is the next step; what somebody unfolds stays so.
    byId("pay_by_hand")?.toggleAttribute("open", snapshot.next === "pay_by_hand");
  }
  stage.dataset.view = snapshot.view;
  stage.dataset.money = snapshot.money;
  for (const el of stage.querySelectorAll("[data-if]")) {
    el.hidden = !el.dataset.is.split(" ").includes(String(snapshot[el.dataset.if] ?? ""));
  }
  fillFields(snapshot);
  for (const el of document.querySelectorAll("[data-return]")) {
    el.href = returnAddress(el.href, snapshot.order_status);
  }
  // What helps stands first.
  byId("ways-on").prepend(byId(snapshot.next) ?? byId("retry"));
  const headline = headlineOf(snapshot);
  write(byId("headline"), headline);
  write(byId("message"), snapshot.message);
  document.title = headline + stage.dataset.titleTail;
}

/** Writes what a snapshot and this tab know wherever the page shows it. */
export function fillFields(snapshot) {
  for (const el of stage.querySelectorAll("[data-field]")) {
    const text = textOf(el.dataset.field, snapshot, el);
    if ("value" in el) el.value = text;
    else write(el, text);
  }
}

/** The most particular headline that the page has, as the template chooses it too. */
function headlineOf({ view, money, reason, order_status: order }) {
  const names = [money, `${view}.${reason}`, `${view}.${money}`, `${view}.${order}`, view];
  return names.map((name) => word(`headline.${name}`)).find(Boolean);
}

function textOf(field, snapshot, element) {
  if (field === "number") return numberOf(snapshot) ?? snapshot.phone ?? "";
  if (field === "again_at") {
    return snapshot.again_at ? element.dataset.words.replace("{time}", minuteFrom(snapshot.again_at)) : "";
  }
  // The server's time stands; ours is for a result that came while the page was open.
  if (field === "paid_at" && snapshot.status !== "SUCCESS") return "";
  if (field === "paid_at") return element.textContent.trim() || nairobiTime(snapshot.updated_at);
  if (field === "returned") return returned(snapshot);
  const told = snapshot[field] ?? "";
  return field === "receipt_amount" && told ? kes(told) : told;
}

/** What went back, and when, where the shop itself gave it back. */
function returned({ money, amount, receipt_amount: came, refund }) {
  if (money !== "returned") return "";
  return kes(came ?? `${amount}.00`) + (refund ? ` · ${nairobiTime(refund.updated_at)}` : "");
}

/** "1500.00" -> "KES 1,500", as the server writes it. */
function kes(told) {
  const digits = told.endsWith(".00") ? 0 : 2;
  return `KES ${Number(told).toLocaleString("en", { minimumFractionDigits: digits })}`;
}

/** Shows what the order's page says by now and no snapshot tells: what a person has to check. */
export function showHeardOf(page) {
  for (const id of ["heard", "code-by-hand-thanks"]) {
    const news = page.getElementById(id);
    if (!news || byId(id).textContent === news.textContent) continue;
    byId(id).replaceChildren(...news.childNodes);
    byId(id).hidden = news.hidden;
  }
}

/** The first whole minute that is not before a time, as Nairobi's clocks show it. */
function minuteFrom(iso) {
  const at = Math.ceil(Date.parse(iso) / 60_000) * 60_000;
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "short", timeZone: "Africa/Nairobi" }).format(at);
}

function nairobiTime(iso) {
  return new Intl.DateTimeFormat(`${document.documentElement.lang}-KE`, {
    dateStyle: "medium",
    timeStyle: "short",
    timeZone: "Africa/Nairobi",
  }).format(new Date(iso));
}

/** The quiet line that tells how the page is connected. */
export function showLink(link) {
  byId("link").hidden = false;
  byId("link").dataset.link = link;
  write(byId("link-words"), word(`link.${link}`));
}

/** What a refusal says: the server's words, else ours for one that never came from there. */
export function detailOf(problem) {
  return problem.detail || word(problem.code) || word("unavailable");
}

/** Puts a refusal where it belongs: at the field for a bad number, else above the form. */
export function showProblem(problem) {
  const text = detailOf(problem);
  const atField = problem.code === "invalid_phone" || problem.field === "phone";
  showText("phone-error", atField ? text : "");
  showText("form-error", atField ? "" : text);
  byId("phone").setAttribute("aria-invalid", String(atField));
}

/** Takes away what an earlier press was told. */
export function clearProblem() {
  showText("phone-error", "");
  showText("form-error", "");
  showText("notice", "");
  byId("phone").removeAttribute("aria-invalid");
}
