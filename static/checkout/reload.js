/* Loads the page again until its own script runs. Inline, classic and in the JavaScript of 1999:
   it works where a module was lost, or where the browser is older than the modules' syntax. */
(function () {
  var everyMs = 1000 * document.getElementById("reload").getAttribute("data-seconds");
  /* A module on 2G may be on its way for so long. What came is kept: the next load needs less. */
  var loadingMs = 30000;
  /* Enough to read the code in another app; text that nobody touched for longer may be lost. */
  var typingMs = 120000;
  var touchedAt = 0;

  function runs() {
    return document.documentElement.getAttribute("data-runs") !== null;
  }
  function touched() {
    touchedAt = new Date().getTime();
  }
  function look() {
    if (runs()) return;
    if (new Date().getTime() - touchedAt < typingMs) setTimeout(look, everyMs);
    else location.reload();
  }

  document.addEventListener("focus", touched, true);
  document.addEventListener("input", touched, true);
  document.addEventListener("change", touched, true);
  /* A page has loaded when its modules have run, or failed. */
  window.onload = function () {
    if (runs()) return;
    document.getElementById("look").removeAttribute("hidden");
    setTimeout(look, everyMs);
  };
  setTimeout(look, loadingMs);
})();
