// The virtual phone: keeps one line on the screen, and the others in the list.

import { atMostEvery, oneAtATime } from "./again.js";
import * as api from "./api.js";
import { drawLines, lineList } from "./lines.js";
import { closeLipa, lipaSheet } from "./lipa.js";
import { listen } from "./live.js";
import { drawMessages } from "./messages.js";
import { kes, spoken } from "./numbers.js";
import { panels } from "./panels.js";
import { drawPrompt, promptCard, question } from "./prompt.js";
import { notify, startClock, tell } from "./notices.js";
import { sceneButtons } from "./scenes.js";
import { switchForm } from "./switches.js";
import { say } from "./words.js";

const CONNECTION = {
  live: say("Live"),
  polling: say("Looking every two seconds"),
  gone: say("The simulator does not answer. Trying again…"),
};
const ENDINGS = {
  0: say("Paid. The SMS is in your messages."),
  1: say("There is not enough money on this line."),
  1032: say("Cancelled. Nothing was paid."),
  2001: say("Wrong PIN. Nothing was paid."),
};
const LISTED = 12; // lines that others use: a load test has thousands
const at = (name) => document.querySelector(`[data-${name}]`);
const firstLines = document.body.dataset.firstLines.split(" ");
const picked = new Set(JSON.parse(sessionStorage.getItem("picked") ?? "[]"));
const habits = switchForm(at("switches"), (wishes) => api.rescript(chosen, wishes));
const treatment = switchForm(at("treatment"), api.reorganise);
const scenes = sceneButtons((wishes) => api.rescript(chosen, wishes).then(lookNow));
const closePanels = panels();
let chosen = [...picked].at(-1) ?? firstLines[0];
let lastLine = null;
let byHand = null; // a payment by hand that lacks its PIN only
let lastPrompt = null;
let isNewHere = true; // what was there before the line was picked is no news

async function look() {
  const asked = chosen;
  const [line, known, prompts] = await Promise.all([api.line(asked), api.lines(), api.prompts()]);
  if (asked !== chosen) return;
  const ringing = new Set(prompts.map((prompt) => prompt.msisdn));
  drawLines(listed(known, ringing), chosen, ringing);
  // Until somebody picks a line, the phone is whichever is asked to pay.
  if (!picked.size && ringing.size && !ringing.has(chosen)) return show([...ringing][0]);
  draw(line);
}

function listed(known, ringing) {
  const found = new Map([...firstLines, ...picked].map((msisdn) => [msisdn, { msisdn }]));
  const others = known.filter(({ msisdn }) => !found.has(msisdn));
  const rung = others.filter(({ msisdn }) => ringing.has(msisdn) || msisdn === chosen);
  for (const line of [...rung, ...others].slice(0, LISTED)) found.set(line.msisdn, line);
  for (const line of known) if (found.has(line.msisdn)) found.set(line.msisdn, line);
  return [...found.values()];
}

function draw(line) {
  // A push comes before what its payer was about to pay by hand, and leaves that on the sheet.
  if (line.prompts[0]) byHand = null;
  const prompt = line.prompts[0] ? pushed(line.prompts[0]) : byHand;
  lastLine = line;
  at("number").textContent = spoken(line.msisdn);
  at("balance").textContent = kes(line.balance);
  drawPrompt(prompt, line.pin);
  at("chosen").textContent = spoken(line.msisdn);
  habits.draw(line);
  scenes.draw(line);
  const fresh = drawMessages(line.messages);
  if (fresh.length && !isNewHere) tell(say("SMS: {text}", fresh.at(-1)));
  else if (prompt && prompt.id !== lastPrompt) tell(question(prompt));
  lastPrompt = prompt?.id ?? null;
  isNewHere = false;
}

function pushed(prompt) {
  return { ...prompt, answer: (body) => api.answer(prompt.id, body) };
}

const lookAgain = oneAtATime(look);
const lookNow = () => lookAgain().catch(() => {}); // the connection line tells of it
const lookSoon = atMostEvery(300, lookNow);

function show(msisdn) {
  chosen = msisdn;
  isNewHere = true;
  byHand = null;
  closeLipa();
  habits.clear();
  scenes.clear();
  lookNow();
}

lineList((msisdn) => {
  picked.delete(msisdn); // to the end: the newest is on the screen after a reload
  picked.add(msisdn);
  sessionStorage.setItem("picked", JSON.stringify([...picked]));
  closePanels();
  show(msisdn);
});
// Nobody looks at it often, and it changes by hand only.
at("more").addEventListener("toggle", async ({ target }) => {
  if (target.open) treatment.draw(await api.organisation());
});
lipaSheet({
  chosen: () => chosen,
  onReady: (prompt) => {
    byHand = prompt;
    if (lastLine) draw(lastLine);
  },
});
promptCard({
  onAnswered: ({ result_code: code }, prompt) => {
    notify(ENDINGS[code] ?? say("Answered."));
    settle(prompt);
    if (prompt.isByHand && code === 0) closeLipa();
  },
  onLost: (words, prompt) => (notify(words), settle(prompt)),
});

function settle(prompt) {
  if (byHand?.id === prompt.id) {
    byHand = null;
    if (lastLine) draw(lastLine);
  }
  lookNow();
}

listen({
  onChange: (msisdn) => (msisdn === null || msisdn === chosen ? lookNow() : lookSoon()),
  onState: (state) => {
    at("connection").textContent = CONNECTION[state];
    at("connection").dataset.connection = state;
  },
  look: lookAgain,
});
startClock();
