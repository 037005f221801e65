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

from playwright.sync_api import Browser, Page, sync_playwright

from tests.factories import API_KEY, order_fields
from tests.servers import CHROMIUM, ROOT, Server, running

PICTURES = ROOT / "docs" / "screenshots"
# A README that is read over a slow line still has to show its pictures.
LARGEST = 150 * 1024
PAYER = "0712 345 678"
# A small phone, on which most shoppers see the page.
NARROW = {"width": 390, "height": 760}
WIDE = {"width": 1120, "height": 770}
DEVICE = {"width": 440, "height": 820}


class Studio:
    """A server, a browser, and where pictures go."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser

    @contextmanager
    def page(self, path: str, size: dict[str, int], **context: str) -> Iterator[Page]:
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

    def forget(self) -> None:
        """The simulator forgets every line, so that pictures do not depend on each other."""
        self.server.post("/simulator/reset")


def shop(studio: Studio) -> bytes:
    """The demo shop."""
    with studio.page("/", WIDE) as page:
        return page.screenshot()


def field(studio: Studio) -> bytes:
    """The one field of the checkout page, with the number that it understood."""
    with studio.page(studio.checkout(), NARROW) as page:
        page.fill("#phone", PAYER)
        return page.screenshot()


def waiting(studio: Studio) -> bytes:
    """The waiting page beside the phone with its prompt."""
    with studio.phone() as phone, studio.page(studio.checkout(), NARROW) as page:
        _push(page)
        phone.locator("[data-prompt]").wait_for()
        phone.fill("#pin", "1234")
        shown = page.screenshot(), phone.locator("[data-device]").screenshot()
        phone.locator("[data-cancel]").click()
        page.locator("[data-section=failed]").wait_for()
    return _beside(studio.browser, *shown)


def paid(studio: Studio) -> bytes:
    """The result beside the phone with its SMS."""
    with studio.phone() as phone, studio.page(studio.checkout(), NARROW) as page:
        _push(page)
        _enter_pin(phone)
        page.locator("[data-section=paid]").wait_for()
        phone.locator("[data-messages] li").first.wait_for()
        return _beside(
            studio.browser, page.screenshot(), phone.locator("[data-device]").screenshot()
        )


def failed(studio: Studio) -> bytes:
    """What a shopper reads after cancelling."""
    with studio.phone() as phone, studio.page(studio.checkout(), NARROW) as page:
        _push(page)
        phone.locator("[data-cancel]").click()
        page.locator("[data-section=failed]").wait_for()
        return page.screenshot()


def kiswahili(studio: Studio) -> bytes:
    """The waiting page in Kiswahili."""
    with studio.phone() as phone, studio.page(f"{studio.checkout()}?lang=sw", NARROW) as page:
        _push(page)
        if page.get_by_text("Check your phone").is_visible():
            sys.exit("kiswahili: the catalogue is not compiled; run make setup first")
        shown = page.screenshot()
        phone.locator("[data-cancel]").click()
        page.locator("[data-section=failed]").wait_for()
        return shown


def dark(studio: Studio) -> bytes:
    """The result where the system is dark."""
    with (
        studio.phone() as phone,
        studio.page(studio.checkout(), NARROW, color_scheme="dark") as page,
    ):
        _push(page)
        _enter_pin(phone)
        page.locator("[data-section=paid]").wait_for()
        return page.screenshot()


ALL: tuple[Callable[[Studio], bytes], ...] = (shop, field, waiting, paid, failed, kiswahili, dark)


def main() -> None:
    """Take every picture, or those named on the command line."""
    wanted = [take for take in ALL if take.__name__ in sys.argv[1:] or len(sys.argv) == 1]
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server, chromium() as b:
        studio = Studio(server, b)
        for take in wanted:
            studio.forget()
            _keep(take.__name__, take(studio))


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
    page.locator("[data-section=waiting]").wait_for()
    page.locator("#link[data-link=live]").wait_for()


def _enter_pin(phone: Page) -> None:
    phone.locator("[data-prompt]").wait_for()
    phone.fill("#pin", "1234")
    phone.locator(".answer button[type=submit]").click()


def _beside(browser: Browser, left: bytes, right: bytes) -> bytes:
    """Two pictures on one."""
    images = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(each).decode()}">'
        for each in (left, right)
    )
    page = browser.new_page(viewport={"width": 900, "height": 860})
    # Unscaled: a resampled picture is blurred and twice as large.
    page.set_content(
        "<style>body{margin:0;height:100vh;display:flex;gap:32px;align-items:center;"
        "justify-content:center;background:#e8e8e0}img{border-radius:12px}"
        "img+img{border-radius:64px}</style>" + images
    )
    picture = page.screenshot()
    lighter: str = page.evaluate(_FEWER_COLOURS, base64.b64encode(picture).decode())
    page.close()
    return base64.b64decode(lighter)


# The phone's dark gradient is most of such a picture; its last bits cost a third, and nobody sees
# them.
_FEWER_COLOURS = """async (picture) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const brush = canvas.getContext("2d");
  brush.drawImage(image, 0, 0);
  const pixels = brush.getImageData(0, 0, image.width, image.height);
  pixels.data.forEach((value, at) => {
    if (at % 4 !== 3 && value < 200) pixels.data[at] = Math.round(value / 12) * 12;
  });
  brush.putImageData(pixels, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}"""


def _keep(name: str, picture: bytes) -> None:
    if len(picture) > LARGEST:
        sys.exit(f"{name}: {len(picture)} bytes are more than {LARGEST}")
    (PICTURES / f"{name}.png").write_bytes(picture)
    print(f"docs/screenshots/{name}.png  {len(picture) // 1024} KB")


if __name__ == "__main__":
    main()
