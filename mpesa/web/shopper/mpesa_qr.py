"""GET /checkout/<order_id>/mpesa-qr.png: the code that M-PESA's own app reads."""

from flask import Blueprint, Response
from flask_babel import gettext as _

from mpesa import mpesa_qr
from mpesa.config import AccountType
from mpesa.daraja.qr import QrOrder
from mpesa.domain.attempt import OrderStatus
from mpesa.models import db
from mpesa.web.http.errors import Problem
from mpesa.web.http.lookups import find_order
from mpesa.web.http.sentences import by_hand_of
from mpesa.web.http.services import services

pictures = Blueprint("mpesa_qr", __name__)


@pictures.get("/checkout/<order_id>/mpesa-qr.png")
def picture(order_id: str) -> Response:
    """Draw who is paid, the account and the amount, for who pays by hand.

    Raises:
        Problem: 404 if there is no such order, it can no longer be paid or has no pay code, the
            shop does not offer this, or Daraja gives no picture now.
    """
    ours = services()
    account, now = find_order(order_id), ours.now()
    order = account.order
    is_open = account.status(now) is OrderStatus.OPEN
    by_hand = by_hand_of(ours.settings, order.pay_code if is_open else None, order.amount)
    drawn = None
    if ours.settings.mpesa_qr and by_hand is not None and order.pay_code is not None:
        wanted = QrOrder(
            merchant_name=ours.settings.merchant_name,
            # A till asks for no account; as a reference the code may come back with the money.
            account=order.pay_code,
            amount=order.amount,
            kind=AccountType(by_hand["kind"]),
            number=by_hand["number"],
        )
        drawn = mpesa_qr.picture(db.session(), ours.access.daraja, order_id, wanted, now)
    if drawn is None:
        raise Problem(404, "not_found", _("There is nothing at this address."))
    answer = Response(drawn, content_type="image/png")
    # A page without a script is loaded again every few seconds.
    answer.headers["Cache-Control"] = "private, max-age=300"
    return answer
