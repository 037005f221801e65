"""A sale and its shopper, who goes by roles and words as a person or a screen reader does."""

import re

from playwright.sync_api import expect

from tests.integration.steps import new_line, new_order, phone, read_order

FIELD = re.compile("M-PESA phone number|Nambari ya simu ya M-PESA")
PAY = re.compile(r"^(Pay|Lipa)\s+K")
BY_HAND = re.compile("^(Pay by hand|Lipa mwenyewe)$")
MENU = re.compile("M-PESA menu|menyu ya M-PESA")
LIVE = re.compile("^(Connected|Imeunganishwa)")
NO_NETWORK = re.compile("[Nn]o network|hakina mtandao")
CODE = re.compile("Code from the M-PESA SMS|SMS ya M-PESA")
SEND_CODE = re.compile("^(Send the code|Tuma .+)$")
HEADINGS = {
    "waiting": re.compile("^(Check|Watch) your phone$"),
    "overdue": "Still checking",
    "by_hand": "Pay by hand",
    "paid": re.compile("^Paid( after all)?$"),
    "failed": re.compile("^(Not paid( yet)?|No clear answer)$"),
}
KISWAHILI = {
    "waiting": "Angalia simu yako",
    "overdue": "Bado tunaangalia",
    "by_hand": "Lipa mwenyewe",
    "paid": "Imelipwa",
    "failed": re.compile("^(Haijalipwa|Bado haijalipwa)$"),
}

# Runs before the page's own scripts: writes down what a screen reader would say, and how far
# things jump without anybody having touched them.
NOTES = """
window.said = [];
window.jumped = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.jumped += shift.value;
}).observe({ type: "layout-shift", buffered: true });
addEventListener("DOMContentLoaded", () => {
  for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
    new MutationObserver(() => {
      const text = region.checkVisibility() ? region.textContent.trim() : "";
      if (text) window.said.push(text);
    }).observe(region, { childList: true, characterData: true, subtree: true });
  }
});
"""


# May ask for refunds.
REFUND_KEY = "a-key-that-may-ask-for-refunds-0001"


class Sale:
    """An order, the line that is to pay for it, and the payer's phone."""

    def __init__(self, server, line=None, **fields):
        self.server = server
        self.line = line or new_line()
        self.phone = phone(server, self.line)
        self.order_id = new_order(server, **fields)

    @property
    def typed(self):
        """The number as people type it."""
        return f"0{self.line[3:6]} {self.line[6:9]} {self.line[9:]}"

    @property
    def path(self):
        return f"/checkout/{self.order_id}"

    def url(self, query=""):
        return self.server.url(self.path + query)

    def attempts(self):
        """Snapshots, newest first."""
        return read_order(self.server, self.order_id)["transactions"]

    @property
    def transaction_id(self):
        return self.attempts()[0]["transaction_id"]

    @property
    def pay_code(self):
        return read_order(self.server, self.order_id)["pay_code"]

    def send_by_hand(self, amount=150):
        """The payer sends money to the order's pay code, out of the phone's own menu."""
        fields = {
            "msisdn": self.line,
            "short_code": "174379",
            "account": self.pay_code,
            "amount": amount,
        }
        answer = self.server.post("/simulator/payments", json=fields)
        assert answer.status_code == 201, answer.text

    def ask_for_refund(self):
        """The merchant asks for the money to go back."""
        headers = {"Authorization": f"Bearer {REFUND_KEY}"}
        fields = {"receipt": self.receipt(), "reason": "Wrong size"}
        answer = self.server.post("/api/refunds", json=fields, headers=headers)
        assert answer.status_code == 201, answer.text

    def receipt(self):
        """The receipt of the money that really moved; None where none did."""
        paid = self.server.get("/simulator/ledger").json()
        return next((each["receipt"] for each in paid if each["msisdn"] == self.line), None)


class Shopper:
    """A browser profile and its page."""

    def __init__(self, context):
        self.context = context
        self.requests, self.sockets, self.frames, self.problems = [], [], [], []
        context.add_init_script(NOTES)
        self.page = self._new_page()

    def _new_page(self):
        page = self.context.new_page()
        page.on("request", lambda request: self.requests.append(request))
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        return page

    def _listen(self, socket):
        self.sockets.append(socket)
        socket.on("framereceived", lambda frame: self.frames.append(frame))

    def _note(self, message):
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def open(self, url):
        return self.page.goto(url)

    def second_tab(self, url):
        """Another tab of the same profile; a shopper of its own for the tests."""
        tab = Shopper.__new__(Shopper)
        tab.context = self.context
        tab.requests, tab.sockets, tab.frames, tab.problems = [], [], [], self.problems
        tab.page = tab._new_page()
        tab.open(url)
        return tab

    def leave(self):
        # A page that looks by itself may be on its way through a handler of the test's: what that
        # one says of a page that is gone would be laid to the next test.
        for page in self.context.pages:
            page.unroute_all(behavior="ignoreErrors")
        self.context.close()

    @property
    def field(self):
        return self.page.get_by_role("textbox", name=FIELD)

    @property
    def pay_button(self):
        return self.page.get_by_role("button", name=PAY)

    def button(self, name):
        """A button or a link that looks like one."""
        named = re.compile(name) if isinstance(name, str) else name
        return self.page.get_by_role("button", name=named).or_(
            self.page.get_by_role("link", name=named)
        )

    def text(self, words, **more):
        return self.page.get_by_text(words, **more).filter(visible=True)

    def heading(self, name, **more):
        return self.page.get_by_role("heading", name=name, exact=True, **more)

    def pay_by_hand(self):
        """Unfold the offer where it is folded, and take it."""
        offer = self.page.locator("details:has(form.by-hand)").filter(visible=True)
        if not offer.evaluate("each => each.open"):
            offer.locator("summary").click()
        offer.get_by_role("button", name=BY_HAND).click()

    def pay(self, number):
        """Type a number and press Pay."""
        self.field.fill(number)
        self.pay_button.click()

    def wait(self, sale):
        """Pay, and see the page wait."""
        self.pay(sale.typed)
        self.sees("waiting")

    def wait_live(self, sale):
        """Pay, and see the page wait with its socket up."""
        self.wait(sale)
        expect(self.text(LIVE)).to_be_visible()

    def sees(self, state):
        """Wait for the heading of a state, in the page's language; other words are taken as is."""
        headings = KISWAHILI if "lang=sw" in self.page.url else HEADINGS
        expect(self.heading(headings.get(state, state))).to_be_visible()

    def reads(self, words):
        """Wait for words."""
        expect(self.text(words).first).to_be_visible()

    def said(self):
        return self.page.evaluate("window.said")

    def jumped(self):
        return self.page.evaluate("window.jumped")

    def asked(self, path):
        """The requests to a path so far."""
        return [each for each in self.requests if path in each.url]


def pick_up(device, number):
    """Hold the virtual phone of a line in one's hand."""
    device.locator("[data-connection=live]").wait_for()
    field = device.locator("#number")
    if not field.is_visible():  # a narrow page keeps its lines folded away
        device.locator("details.lines > summary").click()
    field.fill(number)
    field.press("Enter")


def type_code(shopper, code):
    """Send a code as from an SMS, in whichever box is shown."""
    shopper.page.get_by_role("textbox", name=CODE).filter(visible=True).fill(code)
    shopper.button(SEND_CODE).filter(visible=True).click()
