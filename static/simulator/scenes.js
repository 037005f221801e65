// Scenes: what most people want to see of a payer, each by one press.

import { say } from "./words.js";

const buttons = [...document.querySelectorAll("[data-scenes] button")];
const now = document.querySelector("[data-scene-now]");
const myself = document.querySelector("[data-answer-myself]");
const problem = document.querySelector("[data-scene-problem]");
const byHand = JSON.parse(document.body.dataset.byHand);
const wishesOf = new Map(buttons.map((button) => [button, JSON.parse(button.dataset.wishes)]));

/** Returns the name of the scene that a line plays, null if it plays none. */
export function sceneOf(line) {
  return buttonOf(line)?.textContent ?? null;
}

/** Saves a scene by save(wishes) when it is pressed; returns what draws the scene of a line. */
export function sceneButtons(save) {
  async function play(wishes) {
    problem.textContent = "";
    try {
      await save(wishes);
    } catch (trouble) {
      problem.textContent = trouble.message;
    }
  }

  for (const [button, wishes] of wishesOf) {
    // A second press on the scene that is played ends it.
    const isPlayed = () => button.getAttribute("aria-pressed") === "true";
    button.addEventListener("click", () => play(isPlayed() ? byHand : wishes));
  }
  myself.addEventListener("click", () => {
    play(byHand);
    buttons[0].focus();
  });

  return {
    /** Shows which scene the line plays, and what that means. */
    draw(line) {
      const played = buttonOf(line);
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === played)));
      myself.hidden = plays(line, byHand);
      const words = played ? played.dataset.tells : tellsOfOthers();
      if (now.textContent !== words) now.textContent = words;
    },
    /** Forgets what was said of another line. */
    clear() {
      problem.textContent = "";
    },
  };
}

function tellsOfOthers() {
  return myself.hidden
    ? say("You hold this phone: enter the PIN, or cancel.")
    : say("This line has a mix of its own: see More.");
}

function buttonOf(line) {
  return buttons.find((button) => plays(line, wishesOf.get(button)));
}

function plays(line, wishes) {
  return Object.entries(wishes).every(([name, value]) => line[name] === value);
}
