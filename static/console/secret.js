/* Shows a password while it is typed, if that is wanted: on a phone it is easily mistyped. */

for (const button of document.querySelectorAll("[data-shows]")) {
  const field = document.getElementById(button.dataset.shows);
  const hide = () => {
    field.type = "password";
    button.textContent = button.dataset.showWord;
  };
  button.dataset.showWord = button.textContent;
  button.hidden = false;
  button.addEventListener("click", () => {
    if (field.type !== "password") return hide();
    field.type = "text";
    button.textContent = button.dataset.hideWord;
  });
  // Browsers keep and fill in only what is a password when it is sent.
  field.form.addEventListener("submit", hide);
}
