"""Every state of the pages, each with the way to it."""

from tests.browser.steps import NO_NETWORK, Sale, pick_up, type_code
from tests.factories import API_KEY
from tests.servers import wait_until


class Gallery:
    """Opens pages in a state.

    Args:
        visit: opens a sale's page; returns its shopper.
        leave: closes every page that was opened.
        server, impatient_server: on the second one a silent payment is overdue after two seconds.
        merchants_server: its merchant has a colour, a logo and a way to pay by hand.
        backstage: what shoppers cannot see of a server.
    """

    def __init__(self, visit, leave, server, impatient_server, merchants_server, backstage):
        self.visit = visit
        self.leave = leave
        self.server = server
        self.impatient_server = impatient_server
        self.merchants_server = merchants_server
        self.backstage = backstage
        self._shown = (None, None)
        self._lang = "en"

    def show(self, state, lang):
        """Returns the shopper whose page is in that state; the way there is gone once a state.

        A state that only the page's script or its query knows would not outlive a switch of the
        language.
        """
        self._lang = lang if state in SAID_BY_THE_SCRIPT else "en"
        if self._shown[0] != (state, self._lang):
            self.leave()
            self._shown = ((state, self._lang), getattr(self, f"_{state}")())
        shopper = self._shown[1]
        if lang != self._lang:
            shopper.open(f"{shopper.page.url.partition('?')[0]}?lang={lang}")
        return shopper

    def _field(self):
        return self._visit(Sale(self.server))

    def _wrong_number(self):
        shopper = self._field()
        shopper.pay("12")
        shopper.page.get_by_role("alert").filter(visible=True).wait_for()
        return shopper

    def _line_busy(self):
        other = Sale(self.server)
        self._visit(other).wait(other)
        shopper = self._visit(Sale(self.server))
        shopper.pay(other.typed)
        shopper.page.get_by_role("alert").filter(visible=True).wait_for()
        return shopper

    def _waiting(self):
        sale = Sale(self.server, return_url=self.server.url("/"))
        shopper = self._visit(sale)
        shopper.wait_live(sale)
        return shopper

    def _leaving(self):
        shopper = self._waiting()
        shopper.page.locator("#home").click()
        shopper.page.get_by_role("dialog").wait_for()
        return shopper

    def _unconfirmed(self):
        sale = Sale(self.server)
        sale.phone.script(push="error_500")
        return self._ended(sale, "waiting")

    def _offline(self):
        shopper = self._waiting()
        shopper.context.set_offline(True)
        shopper.reads(NO_NETWORK)
        return shopper

    def _paid(self):
        sale = Sale(
            self.server, amount=250_000, description="A long description of " + 9 * "goods "
        )
        sale.phone.script(answer="pay", balance=250_000)
        return self._ended(sale, "paid")

    def _failed(self):
        sale = Sale(self.server, return_url=self.server.url("/"))
        sale.phone.script(answer="cancel")
        return self._ended(sale, "failed")

    def _paid_late(self):
        sale = Sale(self.server)
        sale.phone.script(answer="cancel", late_success_after=1)
        shopper = self._visit(sale)
        shopper.pay(sale.typed)
        shopper.sees("Paid after all")
        return shopper

    def _unclear(self):
        sale = Sale(self.server)
        shopper = self._visit(sale)
        shopper.wait_live(sale)
        self.backstage(self.server).call_back(sale.transaction_id, "777")
        shopper.sees("No clear answer")
        return shopper

    def _with_a_face(self):
        sale = Sale(self.merchants_server)
        sale.phone.script(answer="cancel")
        return self._ended(sale, "failed")

    def _by_hand(self):
        shopper = self._visit(Sale(self.server, amount=250_000))
        shopper.pay_by_hand()
        shopper.sees("by_hand")
        shopper.page.locator("details.offer").filter(visible=True).locator("summary").click()
        return shopper

    def _by_hand_beside_a_prompt(self):
        sale = Sale(self.server)
        shopper = self._visit(sale)
        shopper.wait_live(sale)
        shopper.pay_by_hand()
        shopper.reads("First cancel the M-PESA request")
        return shopper

    def _heard_of(self):
        sale = Sale(self.server)
        self.backstage(self.server).confirm(sale.pay_code, amount="120.00")
        shopper = self._visit(sale)
        shopper.reads("A payment of KES 120 came")
        return shopper

    def _in_sight(self):
        sale = Sale(self.server)
        shopper = self._visit(sale)
        shopper.pay_by_hand()
        shopper.sees("by_hand")
        self.backstage(self.server).confirm(sale.pay_code, proof_from=1)
        shopper.page.reload()
        shopper.sees("Checking your payment")
        return shopper

    def _paid_by_hand(self):
        sale = Sale(self.server)
        self.backstage(self.server).confirm(sale.pay_code)
        shopper = self._visit(sale)
        shopper.sees("paid")
        return shopper

    def _failed_and_held(self):
        sale = Sale(self.server)
        sale.phone.script(answer="unreachable")
        return self._ended(sale, "failed")

    def _overdue(self):
        sale = Sale(self.impatient_server)
        return self._ended(sale, "overdue")

    def _code_refused(self):
        shopper = self._overdue()
        type_code(shopper, "UKO1-ABCDE")
        shopper.page.get_by_role("alert").filter(visible=True).wait_for()
        return shopper

    def _overdue_and_free(self):
        sale = Sale(self.impatient_server)
        sale.phone.script(query="pending")
        shopper = self._ended(sale, "overdue")
        self.backstage(self.impatient_server).age(sale.transaction_id, 180)
        wait_until(lambda: sale.attempts()[0]["can_retry"])
        shopper.page.reload()
        shopper.page.get_by_role("checkbox").wait_for()
        return shopper

    def _already_paid(self):
        sale = Sale(self.server)
        sale.phone.script(answer="cancel")
        shopper = self._ended(sale, "failed")
        friend = Sale(self.server)
        friend.phone.script(answer="pay")
        friends_page = self._visit(sale, "&other=1")
        friends_page.pay(friend.typed)
        friends_page.sees("paid")
        shopper.sees("Already paid")
        return shopper

    def _cancelled(self):
        sale = Sale(self.server)
        self.server.post(f"/api/orders/{sale.order_id}/cancel", headers=API_KEY)
        return self._visit(sale)

    def _expired(self):
        sale = Sale(self.server)
        self.backstage(self.server).expire(sale.order_id)
        return self._visit(sale)

    def _unknown(self):
        return self._elsewhere("/checkout/AAAAAAAAAAAAAAAAAAAAAA")

    def _shop(self):
        return self._elsewhere("/")

    def _thanks(self):
        return self._elsewhere(f"/thanks?order_id={Sale(self.server).order_id}&lang={self._lang}")

    def _phone(self):
        return self._elsewhere(f"/simulator/?lang={self._lang}")

    def _phone_asked(self):
        sale = Sale(self.server)
        self._visit(sale).wait(sale)
        shopper = self._elsewhere(f"/simulator/?lang={self._lang}")
        pick_up(shopper.page, sale.typed)
        shopper.page.get_by_role("dialog").wait_for()
        return shopper

    def _elsewhere(self, path):
        shopper = self._visit(Sale(self.server))
        shopper.open(self.server.url(path))
        return shopper

    def _visit(self, sale, query=""):
        return self.visit(sale, f"?lang={self._lang}{query}")

    def _ended(self, sale, state):
        shopper = self._visit(sale)
        shopper.pay(sale.typed)
        shopper.sees(state)
        return shopper


_STEPS = ("elsewhere", "visit", "ended")
STATES = [
    name[1:]
    for name in vars(Gallery)
    if name[:1] == "_" and name[:2] != "__" and name[1:] not in _STEPS
]
SAID_BY_THE_SCRIPT = ("wrong_number", "leaving", "thanks", "line_busy", "offline", "code_refused")
SHOWN = [(state, lang) for state in STATES for lang in ("en", "sw")]
