// Lipa na M-PESA on the phone: whom to pay, which account, how much. The PIN is the prompt's card.

import { pay } from "./api.js";
import { accountOf, numberOf, shillingsOf } from "./numbers.js";
import { say } from "./words.js";

const sheet = document.querySelector("[data-lipa]");
const form = sheet.querySelector("form");
const open = document.querySelector("[data-lipa-open]");
const home = document.querySelector("[data-home]");
const problem = form.querySelector("[data-lipa-problem]");
const { business, ownNumbers } = document.body.dataset;
const isOwn = new RegExp(`^(?:${ownNumbers})$`);
// What the phone makes of a refusal, as codes of a push's ending.
const ENDINGS = { wrong_pin: 2001, insufficient_funds: 1 };
let count = 0;

/** Calls onReady(prompt) when a payment only lacks its PIN; chosen() tells whose phone it is. */
export function lipaSheet({ chosen, onReady }) {
  open.addEventListener("click", openLipa);
  form.querySelector("[data-lipa-close]").addEventListener("click", closeLipa);
  sheet.addEventListener("keydown", (event) => event.key === "Escape" && closeLipa());
  form.addEventListener("input", drawForm);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = read();
    if (typed) onReady(asPrompt(typed, chosen()));
  });
  drawForm();
}

/** Puts the sheet away, if it is there, and forgets what was typed. */
export function closeLipa() {
  if (sheet.hidden) return;
  const hadFocus = sheet.contains(document.activeElement) || document.activeElement === document.body;
  sheet.hidden = true;
  home.inert = false;
  home.classList.remove("behind");
  form.reset();
  drawForm();
  if (hadFocus) open.focus({ preventScroll: true });
}

function openLipa() {
  sheet.hidden = false;
  home.inert = true;
  home.classList.add("behind");
  form.short_code.focus({ preventScroll: true });
  form.short_code.select();
}

function drawForm() {
  const isTill = form.kind.value === "till";
  const number = numberOf(form.short_code.value);
  form.querySelector("[data-number-label]").textContent = say(isTill ? "Till number" : "Business number");
  form.short_code.placeholder = isTill ? form.dataset.till : form.dataset.paybill;
  form.querySelector("[data-account-row]").hidden = isTill;
  form.querySelector("[data-payee]").textContent = number
    ? nameOf(number)
    : say("{business} has {number}", { business, number: form.short_code.placeholder });
  form.querySelector("[data-payee]").classList.toggle("known", isOwn.test(number));
  problem.textContent = "";
  for (const field of form.elements) field.removeAttribute("aria-invalid");
}

/** Returns what was typed, or null after saying what is wrong with it. */
function read() {
  const isTill = form.kind.value === "till";
  const number = numberOf(form.short_code.value);
  const account = isTill ? "" : accountOf(form.account.value);
  const amount = shillingsOf(form.amount.value);
  if (!number) {
    return complain(
      form.short_code,
      isTill
        ? say("Type the till number: five to seven digits.")
        : say("Type the business number: five to seven digits."),
    );
  }
  if (!isTill && !account) {
    return complain(form.account, say("Type the account number: 1 to 20 letters or digits."));
  }
  return amount ? { isTill, number, account, amount } : complain(form.amount, say("Type an amount in whole shillings."));
}

function complain(field, words) {
  problem.textContent = words;
  field.setAttribute("aria-invalid", "true");
  field.focus();
  return null;
}

function asPrompt({ isTill, number, account, amount }, msisdn) {
  count += 1;
  return {
    id: `by-hand-${count}`,
    amount,
    business: isOwn.test(number) ? business : say(isTill ? "till {number}" : "PayBill {number}", { number }),
    what: say(isTill ? "till no." : "account no."),
    reference: isTill ? number : account,
    isByHand: true,
    async answer({ pin }) {
      if (!pin) return { result_code: 1032 };
      try {
        await pay({ msisdn, short_code: number, account, amount, pin });
        return { result_code: 0 };
      } catch (trouble) {
        if (!ENDINGS[trouble.code]) throw trouble;
        return { result_code: ENDINGS[trouble.code] };
      }
    },
  };
}

function nameOf(number) {
  return isOwn.test(number) ? business : say("Somebody else's number");
}
