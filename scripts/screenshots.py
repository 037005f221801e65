"""Take the pictures in docs/screenshots/: `.venv/bin/python -m scripts.screenshots`.

`make setup` compiles the Kiswahili that one of them needs. Starts a server of its own with the
simulator, pays on it in Chromium, and ends both.
"""

import base64
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from scripts.month_of_books import EVENING, MANAGER, PASSWORD, YESTERDAY, make
from scripts.moving_picture import moving
from tests.factories import API_KEY, order_fields
from tests.servers import CHROMIUM, ROOT, Server, running

PICTURES = ROOT / "docs" / "screenshots"
# A document that is read over a slow line still has to show its pictures.
LARGEST = 160 * 1024
LARGEST_LOOP = 1000 * 1000
PAYER = "0712 345 678"
# A small phone, on which most shoppers see the page.
NARROW = {"width": 390, "height": 856}
DEVICE = {"width": 440, "height": 820}
# The loop's frames are the same two, and smaller: each is a whole picture.
SMALL = {"width": 360, "height": 640}
# Down to whose phone it is.
SCENES = {"width": 1160, "height": 736}
LOOP = {"width": 820, "height": 720}
# Wide enough for the menu at the side, and for what stands beside a page's subject.
DESK = {"width": 1160, "height": 780}
# The console's server lives on that evening, at whatever hour its pictures are taken.
IN_THE_EVENING = f"""
import runpy
from datetime import UTC, datetime, timedelta
from mpesa import serving  # first: it patches the modules that everything else imports
from mpesa.runtime import wiring
from mpesa.daraja import http
ahead = datetime.fromisoformat("{EVENING.isoformat()}") - datetime.now(UTC)
wiring.utc_now = lambda: datetime.now(UTC) + ahead
http.skew = lambda *_: timedelta()  # the simulator's answers have the machine's own date
runpy.run_path("app.py", run_name="__main__")
"""


class Studio:
    """A server, a browser, and where pictures go."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        self.login: object = None

    @contextmanager
    def page(self, path: str, size: dict[str, int], **context: object) -> Iterator[Page]:
        """A page of its own, opened and drawn."""
        opened = self.browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            device_scale_factor=1,
            reduced_motion="reduce",
            timezone_id="Africa/Nairobi",
            **context,  # type: ignore[arg-type]
        )
        page = opened.new_page()
        page.goto(self.server.url(path))
        yield page
        opened.close()

    @contextmanager
    def phone(self) -> Iterator[Page]:
        """The virtual phone of the payer."""
        with self.page("/simulator/", DEVICE) as phone:
            phone.locator("details.lines > summary").click()
            phone.get_by_role("button", name=PAYER).click()
            phone.locator('[data-connection="live"]').wait_for()
            yield phone

    def checkout(self, **fields: object) -> str:
        """The path of a new order's checkout page."""
        wanted = order_fields(
            amount=1500, description="Kiondo basket", reference="KIONDO", **fields
        )
        order = self.server.post("/api/orders", json=wanted, headers=API_KEY).json()
        return f"/checkout/{order['order_id']}"

    @contextmanager
    def console(self, path: str, size: dict[str, int], **context: object) -> Iterator[Page]:
        """A page of the console, logged in and connected."""
        self.login = self.login or self._log_in()
        with self.page(f"/console/{path}", size, storage_state=self.login, **context) as page:
            if page.locator("main [data-live]").count():
                page.locator("[data-live-link][data-state=live]").wait_for(state="attached")
            yield page

    def _log_in(self) -> object:
        """What a browser keeps of a login: one is enough for all pictures, and more are limited."""
        with self.page("/console/login", DESK) as page:
            page.fill("[name=name]", MANAGER)
            page.fill("[name=password]", PASSWORD)
            page.press("[name=password]", "Enter")
            page.wait_for_url("**/console/")
            return page.context.storage_state()

    def forget(self) -> None:
        """The simulator forgets every line, so that pictures do not depend on each other."""
        self.server.post("/simulator/reset")


def field(studio: Studio) -> bytes:
    """The one field of the checkout page, with the number that it understood."""
    with studio.page(studio.checkout(), NARROW) as page:
        page.fill("#phone", PAYER)
        return page.screenshot()


def paid(studio: Studio) -> bytes:
    """The result beside the phone with its SMS."""
    with studio.phone() as phone, studio.page(studio.checkout(), NARROW) as page:
        _push(page)
        _enter_pin(phone)
        page.locator("[data-if=view][data-is=paid]").wait_for()
        phone.locator("[data-messages] li").first.wait_for()
        # What the phone says for some seconds lies over the SMS.
        phone.locator("[data-toast]:empty").wait_for(state="attached")
        return _beside(
            studio.browser, page.screenshot(), phone.locator("[data-device]").screenshot()
        )


def paying(studio: Studio) -> bytes:
    """A whole payment in ten seconds, page and phone side by side."""
    shots: list[tuple[bytes, bytes, int]] = []
    with studio.page("/simulator/", DEVICE) as phone, studio.page(studio.checkout(), SMALL) as page:
        phone.locator("details.lines > summary").click()
        phone.get_by_role("button", name=PAYER).click()
        phone.locator('[data-connection="live"]').wait_for()

        def shoot(milliseconds: int) -> None:
            device = phone.locator("[data-device]").screenshot()
            shots.append((page.screenshot(), device, milliseconds))

        shoot(1000)
        for typed in ("0712", "0712 345", PAYER):
            page.fill("#phone", typed)
            shoot(350)
        shots[-1] = (*shots[-1][:2], 900)
        page.click("#pay")
        page.locator("[data-if=view][data-is=waiting]").wait_for()
        page.locator("#link[data-link=live]").wait_for()
        shoot(700)
        phone.locator("[data-prompt]").wait_for()
        shoot(1200)
        for digits in ("1", "12", "123", "1234"):
            phone.fill("#pin", digits)
            shoot(300)
        shots[-1] = (*shots[-1][:2], 700)
        phone.locator(".answer button[type=submit]").click()
        page.locator("[data-if=view][data-is=paid]").wait_for()
        phone.locator("[data-messages] li").first.wait_for()
        shoot(3500)
    frames = [(_joined(studio.browser, *both, LOOP, _WEBP), stays) for *both, stays in shots]
    return moving(frames, LOOP["width"], LOOP["height"])


def failed(studio: Studio) -> bytes:
    """What a shopper reads after cancelling."""
    with studio.phone() as phone, studio.page(studio.checkout(), NARROW) as page:
        _push(page)
        phone.locator("[data-cancel]").click()
        page.locator("[data-if=view][data-is=failed]").wait_for()
        return page.screenshot()


def kiswahili(studio: Studio) -> bytes:
    """The waiting page in Kiswahili."""
    with studio.phone() as phone, studio.page(f"{studio.checkout()}?lang=sw", NARROW) as page:
        _push(page)
        if page.get_by_text("Check your phone").is_visible():
            sys.exit("kiswahili: the catalogue is not compiled; run make setup first")
        shown = page.screenshot()
        phone.locator("[data-cancel]").click()
        page.locator("[data-if=view][data-is=failed]").wait_for()
        return shown


def scenes(studio: Studio) -> bytes:
    """The virtual phone, with the scenes that it plays."""
    with studio.page("/simulator/", SCENES) as page:
        page.locator('[data-connection="live"]').wait_for()
        page.get_by_role("button", name="Paid late").click()
        page.locator("[data-answer-myself]").wait_for()
        return _encoded(studio.browser, page.screenshot(), _WEBP)


def dark(studio: Studio) -> bytes:
    """The result where the system is dark."""
    with (
        studio.phone() as phone,
        studio.page(studio.checkout(), NARROW, color_scheme="dark") as page,
    ):
        _push(page)
        _enter_pin(phone)
        page.locator("[data-if=view][data-is=paid]").wait_for()
        return page.screenshot()


def console_today(studio: Studio) -> bytes:
    """The operator's day, with an hour in which M-PESA was in trouble."""
    with studio.console("", DESK) as page:
        return _down_to(page.locator("main .sheet").first)


def console_dark(studio: Studio) -> bytes:
    """The same where the system is dark."""
    with studio.console("", DESK, color_scheme="dark") as page:
        return _down_to(page.locator("main .sheet").first)


def console_list(studio: Studio) -> bytes:
    """The newest payments."""
    with studio.console("transactions", DESK) as page:
        return page.screenshot()


def console_phone(studio: Studio) -> bytes:
    """The newest payments on a phone."""
    with studio.console("transactions", NARROW) as page:
        return page.screenshot()


def console_payment(studio: Studio) -> bytes:
    """One payment and everything that was heard of it."""
    with studio.console("transactions?status=SUCCESS", DESK) as page:
        page.locator(".row-link").first.click()
        page.locator(".timeline").wait_for()
        return page.screenshot()


def console_review(studio: Studio) -> bytes:
    """What a person has to decide."""
    with studio.console("review", DESK) as page:
        return _down_to(page.locator("main .sheet").nth(1))


def console_receipts(studio: Studio) -> bytes:
    """The newest receipts, some of them nobody's yet."""
    with studio.console("receipts", DESK) as page:
        return page.screenshot()


def console_receipt(studio: Studio) -> bytes:
    """Money that two orders may be the reason for."""
    with studio.console("receipts?state=unclaimed", DESK) as page:
        page.locator("tr", has_text="inv 2041").locator(".row-link").click()
        page.locator(".choices").wait_for()
        return page.screenshot()


def console_refund(studio: Studio) -> bytes:
    """A refund that waits for a second person."""
    with studio.console("refunds", DESK) as page:
        page.locator(".row-link").first.click()
        page.locator("[name=code]").wait_for()
        return _down_to(page.locator("main aside"))


def console_statement(studio: Studio) -> bytes:
    """What a statement that is not imported yet would change."""
    with studio.console("statements", DESK) as page:
        page.locator(".row-link").first.click()
        page.locator("table.sums").wait_for()
        return _down_to(page.locator("main .split"))


def console_days(studio: Studio) -> bytes:
    """The month, after yesterday's statement."""
    _import_statement(studio)
    with studio.console("days", DESK) as page:
        return _down_to(page.locator("main .sheet"))


def console_day(studio: Studio) -> bytes:
    """Yesterday beside its statement."""
    _import_statement(studio)
    with studio.console(f"days/{YESTERDAY}", DESK) as page:
        return page.screenshot()


def console_close(studio: Studio) -> bytes:
    """Each difference gets a word."""
    _import_statement(studio)
    with studio.console(f"days/{YESTERDAY}/close", DESK) as page:
        words = (
            "Safaricom corrects the statement by Monday",
            "She ordered by phone: the order comes on Monday",
            "The till's statement has it",
        )
        for field, typed in zip(page.locator("[name=word]").all(), words, strict=True):
            field.fill(typed)
        return page.screenshot()


def _down_to(part: Locator) -> bytes:
    """A page from its top to the end of a part of it, which no edge then cuts."""
    box, page = part.bounding_box(), part.page
    bottom = round(box["y"] + box["height"]) if box else 0
    page.set_viewport_size({**DESK, "height": max(DESK["height"], bottom + 16)})
    return page.screenshot()


def _import_statement(studio: Studio) -> None:
    """Have yesterday's statement imported, unless it is."""
    with studio.console("statements", DESK) as page:
        page.locator(".row-link").first.click()
        page.locator("table.sums").wait_for()
        wanted = page.locator("[data-live=state] form button")
        if wanted.count():
            wanted.click()
        page.locator("[data-live=state] .state.SUCCESS").wait_for()


def console_health(studio: Studio) -> bytes:
    """Whether everything that payments need is there, a moment after a payment."""
    order_id = studio.checkout().rsplit("/", 1)[1]
    studio.server.post("/stk-push", json={"order_id": order_id, "phone": PAYER})
    with studio.console("health", DESK) as page:
        return _down_to(page.locator("main .sheet").first)


SHOPPERS: tuple[Callable[[Studio], bytes], ...] = (
    field, paying, paid, failed, kiswahili, dark, scenes,
)  # fmt: skip
OPERATORS: tuple[Callable[[Studio], bytes], ...] = (
    console_today, console_dark, console_list, console_phone, console_payment, console_review,
    console_receipts, console_receipt, console_refund, console_statement, console_days, console_day,
    console_close, console_health,
)  # fmt: skip


def main() -> None:
    """Take every picture, or those named on the command line."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        with running(Path(folder)) as server:
            studio = Studio(server, browser)
            for take in _wanted(SHOPPERS):
                studio.forget()
                _keep(take.__name__, take(studio))
        if not _wanted(OPERATORS):
            return
        database_url = f"sqlite:///{folder}/month.sqlite"
        make(database_url)
        program = ("-c", IN_THE_EVENING)
        with running(Path(folder), program, DATABASE_URL=database_url) as server:
            studio = Studio(server, browser)
            for take in _wanted(OPERATORS):
                _keep(take.__name__, take(studio))


def _wanted(takes: tuple[Callable[[Studio], bytes], ...]) -> list[Callable[[Studio], bytes]]:
    return [take for take in takes if take.__name__ in sys.argv[1:] or len(sys.argv) == 1]


@contextmanager
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium was not found. On Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            # Chromium's sandbox refuses to run as root.
            executable_path=program,
            args=list(CHROMIUM),
            chromium_sandbox=False,
        )
        yield browser
        browser.close()


def _push(page: Page) -> None:
    page.fill("#phone", PAYER)
    page.click("#pay")
    page.locator("[data-if=view][data-is=waiting]").wait_for()
    page.locator("#link[data-link=live]").wait_for()


def _enter_pin(phone: Page) -> None:
    phone.locator("[data-prompt]").wait_for()
    phone.fill("#pin", "1234")
    phone.locator(".answer button[type=submit]").click()


def _beside(browser: Browser, left: bytes, right: bytes) -> bytes:
    """Two pictures on one."""
    return _joined(browser, left, right, {"width": 900, "height": 900}, _FEWER_COLOURS)


def _joined(
    browser: Browser, left: bytes, right: bytes, size: dict[str, int], encode: str
) -> bytes:
    images = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(each).decode()}">'
        for each in (left, right)
    )
    page = browser.new_page(viewport=size)  # type: ignore[arg-type]
    # Unscaled: a resampled picture is blurred and twice as large.
    page.set_content(
        "<style>body{margin:0;height:100vh;display:flex;gap:32px;align-items:center;"
        "justify-content:center;background:#e8e8e0}img{border-radius:12px}"
        "img+img{border-radius:64px}</style>" + images
    )
    picture = page.screenshot()
    page.close()
    return _encoded(browser, picture, encode)


def _encoded(browser: Browser, picture: bytes, encode: str) -> bytes:
    """A picture, smaller."""
    page = browser.new_page()
    encoded: str = page.evaluate(_ENCODE % encode, base64.b64encode(picture).decode())
    page.close()
    return base64.b64decode(encoded)


_ENCODE = """async (picture) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const brush = canvas.getContext("2d", { alpha: false });
  brush.drawImage(image, 0, 0);
  const blob = await (%s)(canvas, brush);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""
# The phone's dark gradient is most of such a picture; its last bits cost a third, and nobody sees
# them.
_FEWER_COLOURS = """(canvas, brush) => {
  const pixels = brush.getImageData(0, 0, canvas.width, canvas.height);
  pixels.data.forEach((value, at) => {
    if (at % 4 !== 3 && value < 200) pixels.data[at] = Math.round(value / 12) * 12;
  });
  brush.putImageData(pixels, 0, 0);
  return canvas.convertToBlob();
}"""
_WEBP = '(canvas) => canvas.convertToBlob({ type: "image/webp", quality: 0.86 })'


def _keep(name: str, picture: bytes) -> None:
    moves = picture.startswith(b"RIFF")
    largest = LARGEST_LOOP if moves else LARGEST
    if len(picture) > largest:
        sys.exit(f"{name}: {len(picture)} bytes are more than {largest}")
    file = PICTURES / f"{name}.{'webp' if moves else 'png'}"
    file.write_bytes(picture)
    print(f"{file.relative_to(ROOT)}  {len(picture) // 1024} KB")


if __name__ == "__main__":
    main()
