/* Opens the virtual phone beside the page rather than over it, so that one sees both at once. */

const WIDTH = 460;
const HEIGHT = 900;

for (const link of document.querySelectorAll("[data-beside]")) {
  link.addEventListener("click", (event) => {
    if (screen.availWidth < 2 * WIDTH || event.ctrlKey || event.metaKey) return;
    const left = screen.availLeft ?? 0;
    const place = `left=${left + screen.availWidth - WIDTH},top=${screen.availTop ?? 0}`;
    const size = `width=${WIDTH},height=${Math.min(HEIGHT, screen.availHeight)}`;
    // Where the browser opens no window, the link does what links do.
    if (open(link.href, "virtual-phone", `popup,${size},${place}`)) event.preventDefault();
  });
}
