/* The checkout page: what happens when somebody types, presses, leaves and comes back. */
import "./copying.js";
import { askForPhone, askNow, attend, catchUp, rest, resume, turnTo } from "./following.js";
import { whileScannable } from "./looking.js";
import { clearProblem, detailOf, showProblem } from "./page.js";
import { understood } from "./phone_format.js";
import { showUnderstood } from "./phone_hint.js";
import { pay } from "./pressing.js";
import "./sms_code.js";
import { hold, startTicking } from "./ticking.js";
import { byId, stage, word } from "./wording.js";

const phone = byId("phone");
let sending = false;
/** The number that was refused, and what gives its button back. */
let refusal = null;

async function press(button) {
  if (sending) return;
  clearProblem();
  if (!phone.value.trim()) return refused({ code: "invalid_phone" });
  sending = true;
  const release = hold(button, word("sending"));
  const answer = await pay({
    url: `${stage.dataset.pushUrl}?lang=${document.documentElement.lang}`,
    orderId: stage.dataset.order,
    phone: phone.value,
  });
  sending = false;
  release(answer.retryAfter ?? 0);
  refusal = answer.problem ? { number: understood(phone.value), release } : null;
  if (answer.snapshot) turnTo(answer.snapshot, answer.serverTime);
  else refused(answer.problem);
}

async function refused(problem) {
  // The order ended elsewhere: the server knows the rest.
  if (["order_paid", "order_closed"].includes(problem.code)) return location.reload();
  if (problem.code === "attempt_open" && (await catchUp(detailOf(problem)))) return;
  askForPhone();
  showProblem(problem);
}

function pressOrAsk(button) {
  if (understood(phone.value)) press(button);
  else askForPhone();
}

function typed() {
  const number = showUnderstood(phone.value);
  if (refusal && number && number !== refusal.number) anotherNumber();
}

/** A line that has to wait keeps no other line out. */
function anotherNumber() {
  refusal.release(0);
  refusal = null;
  clearProblem();
}

// The browser's own bubble speaks the browser's language.
byId("phone-form").noValidate = true;
phone.addEventListener("input", typed);
byId("phone-form").addEventListener("submit", (event) => {
  event.preventDefault();
  press(byId("pay"));
});
byId("again-form").addEventListener("submit", (event) => {
  event.preventDefault();
  pressOrAsk(byId("again"));
});
byId("retry-actions").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  if (link.id === "other") askForPhone();
  else if (!link.hasAttribute("aria-disabled")) pressOrAsk(link);
});
document.addEventListener("visibilitychange", () => {
  attend();
  if (!document.hidden) askNow();
});
// A page with an open socket is not kept for the back button.
addEventListener("pagehide", rest);
addEventListener("pageshow", (event) => {
  typed();
  if (!event.persisted) return;
  attend();
  if (!askNow()) catchUp();
});

startTicking();
resume();
whileScannable(() => sending || catchUp());
// Last: a page whose script stumbled on the way here goes on loading itself again (reload.js).
document.documentElement.dataset.runs = "";
