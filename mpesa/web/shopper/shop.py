"""The demo shop: a few goods whose prices the server owns."""

import secrets
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response

from mpesa import orders
from mpesa.models import db
from mpesa.orders import NewOrder
from mpesa.web.http import sentences
from mpesa.web.http.errors import invalid
from mpesa.web.http.lookups import find_order
from mpesa.web.http.services import services
from mpesa.web.shopper.pages import checkout_path

shop = Blueprint("shop", __name__)


@dataclass(frozen=True)
class Good:
    """Something to buy.

    Attributes:
        price: whole shillings.
    """

    slug: str
    name: str
    blurb: str
    price: int


# lazy_gettext gives texts in the language of the request that shows them.
GOODS = (
    Good("kahawa", _l("Coffee from Nyeri"), _l("250 g, roasted this week"), 650),
    Good("asali", _l("Honey from Kitui"), _l("A jar of 500 g"), 800),
    Good("kiondo", _l("Kiondo basket"), _l("Woven from sisal by hand"), 1500),
    Good("chai", _l("A cup of tea"), _l("With milk, to try things out"), 10),
)


@shop.get("/")
def show() -> str:
    """Show the goods."""
    return render_template("shop.html", goods=GOODS)


@shop.post("/")
def buy() -> Response:
    """Create an order for one of the goods and go to its checkout page.

    Each order has a reference of its own, by which the merchant can tell it from the others, and
    leads back to the shop's page of thanks, as a merchant's order leads back to the merchant.
    """
    slug = request.form.get("item", "")
    good = next((each for each in GOODS if each.slug == slug), None)
    if good is None:
        raise invalid("item", _("Choose one of the goods."))
    reference = f"{good.slug}-{secrets.token_hex(2)[:3]}".upper()
    back = services().settings.public_url + url_for("shop.thanks", lang=sentences.language())
    new = NewOrder(good.price, reference, str(good.name), back)
    created = orders.create(db.session(), new, services().now())
    return redirect(checkout_path(created.order.id), 303)


@shop.get("/thanks")
def thanks() -> str:
    """Show what became of an order to the shopper who comes back from its checkout page.

    Raises:
        Problem: 404 if there is no such order.
    """
    account, now = find_order(request.args.get("order_id", "")), services().now()
    slug = account.order.reference.partition("-")[0].lower()
    return render_template(
        "thanks.html",
        order=account.order,
        status=account.status(now).value,
        checkout=checkout_path(account.order.id),
        art=slug if any(slug == good.slug for good in GOODS) else "good",
    )
