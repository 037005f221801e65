"""Contact sheets of the pages: `.venv/bin/python -m scripts.contact_sheet FOLDER [STATE…]`.

Every state, on a small phone and on a desk, light and dark, in English and Kiswahili. The dashed
line is the bottom of the screen. Daraja and the clock are fakes that do as they are told, and the
server is a thread of this process. `make setup` compiles the Kiswahili.
"""

import argparse
import base64
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, Page
from werkzeug.serving import WSGIRequestHandler, make_server

from app import create_app
from mpesa import deadlines as clocks
from mpesa import ledger
from mpesa.daraja import DarajaError, Refused, UnknownOutcome
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import OperatorSaysNotPaid
from mpesa.models import db
from mpesa.runtime import database
from scripts.screenshots import chromium
from tests.factories import API_KEY, make_settings, order_fields, raw, success_callback
from tests.fakes import Clock, FakeDaraja
from tests.servers import free_port
from tests.web.steps import call_back, fail, pushed

SCREENS = {"phone": (360, 640), "desk": (1280, 800)}
# So many that a sheet can be read without being scaled down.
ON_A_SHEET = {"phone": 6, "desk": 4}
PAYER = "0712 345 678"
WAIT = timedelta(seconds=60)


class Stage:
    """A shop, a payer, a Daraja and a clock."""

    def __init__(self, folder: str, **settings: str) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.clock, self.daraja = Clock(datetime.now(UTC)), FakeDaraja()
        named = {"DATABASE_URL": f"sqlite:///{folder}/{port}.sqlite", "PORT": str(port)}
        limits = {"STK_PUSH_LIMIT_PER_PHONE": "", "STK_PUSH_LIMIT_PER_IP": ""}
        self.app = create_app(
            make_settings(**named, **limits, **settings), daraja=self.daraja, now=self.clock
        )
        with self.app.app_context():
            database.migrate()
        self.server = make_server(
            "127.0.0.1", port, self.app, threaded=True, request_handler=_Silent
        )

    @property
    def client(self) -> FlaskClient:
        """HTTP without a network."""
        return self.app.test_client()

    def order(self, **fields: object) -> str:
        """The path of a new order's page."""
        wanted = {"amount": 1500, "description": "Kiondo basket", "reference": "KIONDO", **fields}
        answer = self.client.post("/api/orders", json=order_fields(**wanted), headers=API_KEY)
        return f"/checkout/{answer.get_json()['order_id']}"

    def push(self, answer: DarajaError | None = None, path: str = "", **fields: object) -> str:
        """The path of an order whose prompt was asked for; `answer` is what Daraja says to that."""
        if answer:
            self.daraja.answers.append(answer)
        path = path or self.order(**fields)
        pushed(self.client, path.rsplit("/", 1)[1])
        return path

    def fail(self, code: int, **fields: object) -> str:
        """The path of an order whose push came to nothing."""
        path = self.push(**fields)
        fail(self.client, self.daraja, code, len(self.daraja.pushes))
        return path

    def pay(self, path: str, number: int | None = None) -> str:
        """Daraja tells that its n-th push, else its newest, was paid."""
        number = number or len(self.daraja.pushes)
        ids = self.daraja.checkout_id(number), self.daraja.merchant_id(number)
        body = success_callback(*ids, amount=1500, receipt=f"UKO{number:07}")
        call_back(self.client, self.daraja, number, raw(body))
        return path

    def after(self, path: str, **duration: float) -> str:
        """Time passes, and with it what time alone changes."""
        self.clock.pass_(**duration)
        with self.app.app_context():
            clocks.run_once(db.session(), self.clock, WAIT, lambda _changed: None)
        return path

    def look_into(self, path: str) -> str:
        """The operator finds that nothing was paid."""
        order = self.client.get(f"/api/orders/{path.rsplit('/', 1)[1]}", headers=API_KEY).get_json()
        newest = order["transactions"][0]["transaction_id"]
        with self.app.app_context():
            evidence, body = OperatorSaysNotPaid(), Raw(Kind.OPERATOR, b"", "ann")
            ledger.record(db.session(), newest, evidence, body, self.clock)
        return path

    def cancel(self, path: str) -> str:
        """The merchant cancels the order."""
        self.client.post(f"/api/orders/{path.rsplit('/', 1)[1]}/cancel", headers=API_KEY)
        return path


def _paid_late(stage: Stage) -> str:
    path = stage.fail(1032)
    return stage.pay(path)


def _paid_by_another(stage: Stage) -> str:
    path = stage.after(stage.push(), seconds=181)
    return stage.pay(stage.push(path=path))


def _soon(stage: Stage) -> str:
    return f"{stage.clock() + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"


def _ended(stage: Stage) -> str:
    return stage.after(stage.order(expires_at=_soon(stage)), minutes=6)


def _type(page: Page, number: str = PAYER) -> None:
    page.fill("#phone", number)


def _press(page: Page, number: str = PAYER) -> None:
    _type(page, number)
    page.click("#pay")


def _press_without_a_network(page: Page) -> None:
    _type(page)
    page.context.set_offline(True)
    page.click("#pay")
    page.locator("#form-error").wait_for()


def _press_a_stopped_server(page: Page) -> None:
    page.route("**/stk-push*", lambda route: route.abort())
    _press(page)
    page.locator("#form-error").wait_for()


def _press_a_busy_line(page: Page) -> None:
    _press(page)
    page.locator("#form-error").wait_for()


def _press_a_wrong_number(page: Page) -> None:
    _press(page, "0612 345 678")
    page.locator("#phone-error").wait_for()


def _go_offline(page: Page) -> None:
    page.context.set_offline(True)
    page.locator("[data-link=offline]").wait_for()


def _go_silent(page: Page) -> None:
    page.route("**/check-status*", lambda route: route.abort())
    page.route_web_socket("**/socket.io/*", lambda socket: socket.close())
    page.reload()
    page.locator("[data-link=silent]").wait_for()


def _send_a_code(page: Page) -> None:
    page.locator("[name=code]:visible").fill("UKO1AB2C3D")
    page.locator(".sms-code:visible button").click()
    page.locator(".sms-code .thanks:not(:empty):visible").wait_for()


def _send_half_a_code(page: Page) -> None:
    page.locator("[name=code]:visible").fill("UKO1AB2C!D")
    page.locator(".sms-code:visible button").click()
    page.locator(".sms-code [role=alert]:visible").wait_for()


def _busy(stage: Stage) -> str:
    stage.push()
    return stage.order()


BACK = {"return_url": "https://duka.example/asante"}


@dataclass(frozen=True)
class State:
    """A state of a page.

    Attributes:
        set: makes it, and returns its path.
        act: what is done on the page before its picture is taken.
        media: `print` for paper.
    """

    set: Callable[[Stage], str]
    act: Callable[[Page], None] | None = None
    media: str = "screen"


STATES: dict[str, State] = {
    "shop": State(lambda stage: "/"),
    "phone": State(lambda stage: stage.order()),
    "typed": State(lambda stage: stage.order(), _type),
    "wrong number": State(lambda stage: stage.order(), _press_a_wrong_number),
    "no network at the press": State(lambda stage: stage.order(), _press_without_a_network),
    "stopped server at the press": State(lambda stage: stage.order(), _press_a_stopped_server),
    "line busy at the press": State(_busy, _press_a_busy_line),
    "awaiting_pin": State(lambda stage: stage.push()),
    "push_unconfirmed": State(lambda stage: stage.push(UnknownOutcome())),
    "offline": State(lambda stage: stage.push(), _go_offline),
    "server silent": State(lambda stage: stage.push(), _go_silent),
    "overdue": State(lambda stage: stage.after(stage.push(), seconds=61)),
    "overdue, may pay again": State(lambda stage: stage.after(stage.push(), seconds=181)),
    "code sent": State(lambda stage: stage.after(stage.push(), seconds=181), _send_a_code),
    "code wrong": State(lambda stage: stage.after(stage.push(), seconds=61), _send_half_a_code),
    "paid": State(lambda stage: stage.pay(stage.push(**BACK))),
    "paid on paper": State(lambda stage: stage.pay(stage.push()), media="print"),
    "paid_late": State(_paid_late),
    "paid by another attempt": State(_paid_by_another),
    "cancelled": State(lambda stage: stage.fail(1032, **BACK)),
    "insufficient_funds": State(lambda stage: stage.fail(1)),
    "wrong_pin": State(lambda stage: stage.fail(2001)),
    "pin_locked": State(lambda stage: stage.fail(8006)),
    "unreachable": State(lambda stage: stage.fail(1037)),
    "expired": State(lambda stage: stage.fail(1019)),
    "line_busy": State(lambda stage: stage.fail(17)),
    "over_limit": State(lambda stage: stage.fail(4)),
    "declined": State(lambda stage: stage.fail(11)),
    "system_busy": State(lambda stage: stage.fail(26)),
    "misconfigured": State(lambda stage: stage.fail(2028)),
    "push_refused": State(lambda stage: stage.push(Refused(Reason.PUSH_REFUSED))),
    "unknown_code": State(lambda stage: stage.fail(777)),
    "closed_by_operator": State(
        lambda stage: stage.look_into(stage.after(stage.push(), seconds=181))
    ),
    "order cancelled": State(lambda stage: stage.cancel(stage.order(**BACK))),
    "order expired": State(_ended),
    "unknown order": State(lambda stage: f"/checkout/{'A' * 22}"),
}


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def _serving(**settings: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(folder, **settings)
        thread = threading.Thread(target=stage.server.serve_forever)
        thread.start()
        try:
            yield stage
        finally:
            stage.server.shutdown()
            thread.join()


def _picture(stage: Stage, context: BrowserContext, state: State, lang: str) -> bytes:
    page = context.new_page()
    page.emulate_media(media=state.media)  # type: ignore[arg-type]
    page.goto(f"{stage.address}{state.set(stage)}?lang={lang}")
    if state.act:
        state.act(page)
    picture = page.screenshot(full_page=True, animations="disabled")
    context.set_offline(False)
    page.close()
    # Each state finds the payer's line free.
    stage.after("", seconds=181)
    return picture


def _sheet(browser: Browser, name: str, pictures: dict[str, bytes], screen: str) -> bytes:
    width, height = SCREENS[screen]
    shown = "".join(
        f'<figure><figcaption>{each}</figcaption><div><img src="data:image/png;base64,'
        f'{base64.b64encode(picture).decode()}"></div></figure>'
        for each, picture in pictures.items()
    )
    columns = 6 if screen == "phone" else 2
    zoom = 1 if screen == "phone" else 0.75
    page = browser.new_page(
        viewport={"width": int(columns * (width * zoom + 24)) + 24, "height": 9}
    )
    page.set_content(
        "<style>body{margin:24px;font:600 15px sans-serif;background:#999}"
        f"main{{display:grid;grid-template-columns:repeat({columns},max-content);gap:24px}}"
        "h1{margin:0 0 16px;font-size:20px}figure{margin:0}figcaption{padding-bottom:4px}"
        f"div{{position:relative;zoom:{zoom}}}img{{display:block}}"
        f"div::after{{content:'';position:absolute;inset:{height}px 0 auto;"
        f"border-top:1px dashed #f0f}}</style><h1>{name}</h1><main>{shown}</main>"
    )
    picture = page.screenshot(full_page=True)
    page.close()
    return picture


def main() -> None:
    """Take every state, or those named on the command line, in eight ways."""
    asked = _asked()
    states = {each: STATES[each] for each in asked.state or STATES}
    asked.folder.mkdir(parents=True, exist_ok=True)
    with _serving(MANUAL_PAYMENT="on") as stage, chromium() as browser:
        for screen, scheme, lang in product(SCREENS, ("light", "dark"), ("en", "sw")):
            _take(stage, browser, states, asked.folder, screen, scheme, lang)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the pictures go; it is made")
    parser.add_argument(
        "state", nargs="*", help="all states where none is named: " + ", ".join(STATES)
    )
    asked = parser.parse_args()
    if unknown := set(asked.state) - set(STATES):
        parser.error(f"no such state: {', '.join(sorted(unknown))}")
    return asked


def _take(
    stage: Stage,
    browser: Browser,
    states: dict[str, State],
    folder: Path,
    screen: str,
    scheme: str,
    lang: str,
) -> None:
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        timezone_id="Africa/Nairobi",
    )
    names = list(states)
    for number, first in enumerate(range(0, len(names), ON_A_SHEET[screen]), 1):
        some = names[first : first + ON_A_SHEET[screen]]
        pictures = {name: _picture(stage, context, states[name], lang) for name in some}
        file = folder / f"{screen}-{scheme}-{lang}-{number}.png"
        file.write_bytes(_sheet(browser, file.stem, pictures, screen))
        print(file)
    context.close()


if __name__ == "__main__":
    main()
