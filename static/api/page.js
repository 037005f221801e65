/* Puts a button beside each command that copies it. */
import { offerCopies } from "../shared/copy.js";

for (const shown of document.querySelectorAll("[data-copied]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.hidden = true;
  button.className = "copies";
  button.dataset.copy = shown.textContent;
  button.dataset.copied = shown.dataset.copied;
  const label = document.createElement("span");
  label.textContent = "Copy";
  button.append(label);
  shown.previousElementSibling.before(button); // beside the line that says what it is
}
offerCopies();
