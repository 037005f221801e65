"""Every state of the pages, each with the way to it."""

from tests.browser.steps import Sale, pick_up
from tests.factories import API_KEY
from tests.servers import wait_until


class Gallery:
    """Opens pages in a state.

    Args:
        visit: opens a sale's page; returns its shopper.
        server, impatient_server: on the second one a silent payment is overdue after two seconds.
        backstage: what shoppers cannot see of a server.
    """

    def __init__(self, visit, server, impatient_server, backstage):
        self.visit = visit
        self.server = server
        self.impatient_server = impatient_server
        self.backstage = backstage
        self._shown = ("", None)

    def show(self, state, lang):
        """Returns the shopper whose page is in that state; the way there is gone once a state."""
        if self._shown[0] != state:
            self._shown = (state, getattr(self, f"_{state}")())
        shopper = self._shown[1]
        if lang != "en":
            shopper.open(f"{shopper.page.url.partition('?')[0]}?lang={lang}")
        return shopper

    def _field(self):
        return self.visit(Sale(self.server))

    def _wrong_number(self):
        shopper = self._field()
        shopper.pay("12")
        shopper.page.get_by_role("alert").filter(visible=True).wait_for()
        return shopper

    def _line_busy(self):
        other = Sale(self.server)
        self.visit(other).wait(other)
        shopper = self.visit(Sale(self.server))
        shopper.pay(other.typed)
        shopper.page.get_by_role("alert").filter(visible=True).wait_for()
        return shopper

    def _waiting(self):
        sale = Sale(self.server)
        shopper = self.visit(sale)
        shopper.wait_live(sale)
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

    def _failed_and_held(self):
        sale = Sale(self.server)
        sale.phone.script(answer="unreachable")
        return self._ended(sale, "failed")

    def _overdue(self):
        sale = Sale(self.impatient_server)
        return self._ended(sale, "overdue")

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
        friends_page = self.visit(sale, "?other=1")
        friends_page.pay(friend.typed)
        friends_page.sees("paid")
        shopper.sees("Already paid")
        return shopper

    def _cancelled(self):
        sale = Sale(self.server)
        self.server.post(f"/api/orders/{sale.order_id}/cancel", headers=API_KEY)
        return self.visit(sale)

    def _expired(self):
        sale = Sale(self.server)
        self.backstage(self.server).expire(sale.order_id)
        return self.visit(sale)

    def _unknown(self):
        return self._elsewhere("/checkout/AAAAAAAAAAAAAAAAAAAAAA")

    def _shop(self):
        return self._elsewhere("/")

    def _phone(self):
        return self._elsewhere("/simulator/")

    def _phone_asked(self):
        sale = Sale(self.server)
        self.visit(sale).wait(sale)
        shopper = self._elsewhere("/simulator/")
        pick_up(shopper.page, sale.typed)
        shopper.page.get_by_role("dialog").wait_for()
        return shopper

    def _elsewhere(self, path):
        shopper = self.visit(Sale(self.server))
        shopper.open(self.server.url(path))
        return shopper

    def _ended(self, sale, state):
        shopper = self.visit(sale)
        shopper.pay(sale.typed)
        shopper.sees(state)
        return shopper


_STEPS = ("elsewhere", "ended")
STATES = [
    name[1:]
    for name in vars(Gallery)
    if name[:1] == "_" and name[:2] != "__" and name[1:] not in _STEPS
]
# The first two are said by the page's script after a press; the virtual phone speaks English.
ENGLISH_ONLY = ("wrong_number", "line_busy", "phone", "phone_asked")
SHOWN = [
    (state, lang)
    for state in STATES
    for lang in ("en", "sw")
    if lang == "en" or state not in ENGLISH_ONLY
]
