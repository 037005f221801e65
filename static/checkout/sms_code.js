/* The boxes for the code from the SMS, where the shopper believes to have paid. */
import { hold } from "./countdown.js";
import { post } from "./push.js";
import { showText, stage, word, write } from "./screen.js";

/** Sends what is typed into them; onSnapshot(snapshot, serverTime in ms or null) gets the answer. */
export function takeCodes(onSnapshot) {
  for (const form of stage.querySelectorAll(".sms-code")) {
    form.elements.code.addEventListener("paste", takeCode);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form, onSnapshot);
    });
  }
}

async function send(form, onSnapshot) {
  const field = form.elements.code;
  const code = field.value.trim();
  refuse(field, "");
  if (!code) return refuse(field, word("code-wrong"));
  const release = hold(form.querySelector("button"), word("sending"));
  const fields = { tx_id: form.elements.tx_id.value, code };
  const { answer, serverTime, status, retryAfter } = await post(form.action, fields);
  release(retryAfter);
  if (status !== 202 || !answer) return refuse(field, answer?.detail ?? word("unavailable"));
  field.value = codeIn(code) ?? code;
  // In each box: while the code is checked, the page may show another one.
  for (const thanks of stage.querySelectorAll(".thanks")) write(thanks, word("code-sent"));
  onSnapshot(answer, serverTime);
}

function refuse(field, text) {
  showText(`${field.id}-error`, text);
  if (!text) return field.removeAttribute("aria-invalid");
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

/** Of a whole SMS the code alone, so that it can be seen; mpesa/domain/sms_code.py finds it by the same rule. */
function takeCode(event) {
  const pasted = event.clipboardData?.getData("text") ?? "";
  const code = codeIn(pasted);
  if (!code || code === pasted) return;
  event.preventDefault();
  event.target.value = code;
}

/** The first word of ten letters and digits, a digit among them; undefined where there is none. */
function codeIn(text) {
  const words = text.normalize("NFKC").replace(/[\u00ad\u200b-\u200f\u2060\ufeff]/g, "").toUpperCase().split(/[^A-Z0-9]+/);
  return words.find((each) => each.length === 10 && /[0-9]/.test(each));
}
