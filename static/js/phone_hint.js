/* The line under the phone field: how the number was understood, and whose it looks like. */
import { otherNetwork, understood } from "./phone_format.js";
import { byId, word, write } from "./wording.js";

const line = byId("phone-hint");
const example = line.textContent;

/** Shows what was understood, and returns it; null while it is no whole number. */
export function showUnderstood(typed) {
  const number = understood(typed);
  const network = otherNetwork(typed);
  const told = [number && word("understood", { phone: number }), network && word(`network.${network}`)];
  write(line, told.filter(Boolean).join(". ") || example);
  line.classList.toggle("understood", Boolean(number));
  return number;
}
