"""Finding what a request names."""

from flask_babel import gettext as _

from mpesa import logs, orders
from mpesa.domain.attempt import Account
from mpesa.domain.refusals import OrderNotFound
from mpesa.ids import is_id
from mpesa.models import db
from mpesa.web.http.errors import Problem


def find_order(order_id: str) -> Account:
    """Read an order with its attempts, and name the order on the log lines of this request.

    Raises:
        Problem: 404 if there is no such order.
    """
    try:
        if not is_id(order_id):
            raise OrderNotFound
        logs.note(order_id=order_id)
        return orders.account(db.session(), order_id)
    except OrderNotFound:
        raise Problem(404, "order_not_found", _("There is no such order.")) from None
