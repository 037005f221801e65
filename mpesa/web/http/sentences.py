"""What a shopper is told about a transaction, in the shopper's language."""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from flask import Flask, current_app, has_request_context, request, session
from flask_babel import Babel, force_locale, get_locale
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape

from mpesa.config import AccountType, Settings
from mpesa.domain import pay_code
from mpesa.domain.attempt import OrderStatus
from mpesa.domain.money import format_cents, format_kes
from mpesa.domain.phone import other_network
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.view import Money, Next, View, next_without_by_hand

LANGUAGES = ("en", "sw")

# Of an order whose money waits for its proof.
SIGHTED = "money_in_sight"
# Of a prompt that is open while its shopper chose to pay by hand.
BESIDE = "prompt_beside_by_hand"
# The page adds what to do next (`next`).
_SENTENCES: dict[str, Any] = {
    View.PHONE: _l("We send a request to your phone. Confirm it there with your PIN."),
    OrderStatus.PAID: _l("Already paid. If a prompt is still on your phone, cancel it."),
    OrderStatus.CANCELLED: _l("This order was cancelled. It can no longer be paid."),
    OrderStatus.EXPIRED: _l("The time to pay this order has run out."),
    Reason.AWAITING_PIN: _l("Enter your M-PESA PIN on your phone."),
    Reason.PUSH_UNCONFIRMED: _l(
        "If an M-PESA request appears on your phone, enter your PIN there."
    ),
    Reason.OVERDUE: _l(
        "We have not heard from M-PESA yet; if you got an M-PESA SMS, do not pay again."
    ),
    Reason.AWAITING_PAYMENT: _l("Send the money yourself in the M-PESA menu of your phone."),
    Reason.NOT_RECEIVED: _l("You chose to pay by hand, and no payment has come."),
    BESIDE: _l(
        "Pay once only: enter your PIN on your phone, or cancel the request there and pay by hand."
    ),
    Money.RETURNED: _l("M-PESA gave this payment back to you."),
    SIGHTED: _l("We have heard of a payment and are checking it; please do not pay again."),
    Reason.PAID: _l("Payment received, thank you."),
    Reason.PAID_LATE: _l("Your payment came through after all, thank you."),
    "refund_requested": _l("You have paid. The shop was asked to give the money back."),
    "refund_released": _l("You have paid. Your money is on its way back."),
    "refund_sent": _l("You have paid. Your money is on its way back."),
    "refund_unknown": _l("You have paid. The shop is checking whether your money is back."),
    "refund_succeeded": _l("Your money was given back."),
    "refund_failed": _l("You have paid. The money could not be given back: please ask the shop."),
    Reason.CANCELLED: _l("The request was cancelled or closed on your phone."),
    Reason.INSUFFICIENT_FUNDS: _l("There was not enough money in your M-PESA account."),
    Reason.WRONG_PIN: _l("The M-PESA PIN was wrong."),
    Reason.PIN_LOCKED: _l("Your M-PESA PIN is locked."),
    Reason.UNREACHABLE: _l("We could not reach your phone, or the request was not answered."),
    Reason.EXPIRED: _l("The time to answer the request ran out."),
    Reason.LINE_BUSY: _l("Your number was still busy with another M-PESA request."),
    Reason.OVER_LIMIT: _l("This payment is above your M-PESA limit."),
    Reason.DECLINED: _l("M-PESA declined this payment."),
    Reason.SYSTEM_BUSY: _l("M-PESA is busy or cannot be reached right now."),
    Reason.MISCONFIGURED: _l("M-PESA is not set up correctly here."),
    Reason.PUSH_REFUSED: _l("M-PESA did not accept the request."),
    Reason.UNKNOWN_CODE: _l("M-PESA gave no clear answer."),
    Reason.CLOSED_BY_OPERATOR: _l("We checked and found no payment."),
    # What follows is added to a failure.
    "not_taken": _l("No money was taken."),
    "not_taken_so_far": _l("M-PESA says that no money was taken."),
    "unknown": _l("We are still checking whether money was taken."),
    "airtel": _l("This looks like an Airtel number; M-PESA needs a Safaricom line."),
    "telkom": _l("This looks like a Telkom number; M-PESA needs a Safaricom line."),
}
# They say of the money what is known of it.
_TELL_OF_MONEY = frozenset({Reason.NOT_RECEIVED, Reason.CLOSED_BY_OPERATOR})


_ASKED_ABOUT = frozenset({Reason.AWAITING_PIN, Reason.PUSH_UNCONFIRMED, Reason.OVERDUE})


def register(app: Flask) -> None:
    """Choose the language by `?lang=`, else by Accept-Language; give templates their filters."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = f"{app.root_path}/mpesa/translations"
    app.config["BABEL_DEFAULT_TIMEZONE"] = "Africa/Nairobi"
    Babel(app, locale_selector=_language_of_request)
    app.add_template_filter(format_kes, "kes")
    app.add_template_filter(kes_told, "kes_told")
    app.add_template_filter(pay_code.grouped)
    app.add_template_filter(minutes)
    app.add_template_filter(whole)


def kes_told(amount: str) -> str:
    """An amount as the API writes it, `1500.00`, for people."""
    return format_cents(int(amount.replace(".", "")))


def whole(text: object) -> Markup:
    """The text with M-PESA in one piece: browsers break lines at its hyphen."""
    return escape(text).replace("M-PESA", Markup('<b class="whole">M-PESA</b>'))


def language() -> str:
    """The language of the present request, `en` or `sw`."""
    locale = get_locale()
    return locale.language if locale and locale.language in LANGUAGES else "en"


def spoken(asked: object) -> str | None:
    """The language that was asked for, if it is one of ours: `sw-KE` and `sw_KE` ask for `sw`.

    Accept-Language is read the same way (RFC 4647, 3.4: parts that match nothing are cut off).
    """
    base = re.split("[-_]", asked, maxsplit=1)[0].lower() if isinstance(asked, str) else ""
    return base if base in LANGUAGES else None


def chosen(asked: object) -> str:
    """A language of ours: the one asked for, else one from Accept-Language, else `en`."""
    language = spoken(asked)
    if language is not None:
        return language
    return request.accept_languages.best_match(LANGUAGES) or "en"


def with_message(snapshot: Snapshot, lang: str) -> dict[str, Any]:
    """The snapshot as clients get it: with its sentence, and with the number to pay by hand."""
    settings = current_app.extensions["mpesa"].settings
    by_hand = by_hand_of(settings, snapshot["pay_by_hand"], snapshot["amount"])
    worded: dict[str, Any] = {}
    for name, value in snapshot.items():
        worded[name] = value
        if name == "reason":
            worded["message"] = message_of(snapshot, lang)
    worded["pay_by_hand"] = by_hand
    if by_hand is None:
        worded["next"] = next_without_by_hand(snapshot["reason"], snapshot["next"])
    return worded


def by_hand_of(settings: Settings, pay_code: str | None, amount: int) -> dict[str, Any] | None:
    """What a shopper needs to pay an order by hand; None where the shop does not offer it.

    Args:
        pay_code: None: the order can no longer be paid, or has none.
        amount: whole shillings.
    """
    if not settings.manual_payment or pay_code is None:
        return None
    to_till = settings.daraja_account_type is AccountType.TILL
    return {
        "kind": settings.daraja_account_type.value,
        "number": settings.daraja_till if to_till else settings.c2b_shortcode,
        # Buy Goods asks for a till and an amount, and for no account.
        "account": None if to_till else pay_code,
        "amount": amount,
    }


def message_of(said: Mapping[str, Any], lang: str) -> str:
    """One plain sentence for the shopper; of a failure also whether money was taken.

    Args:
        said: `view`, `money`, `next`, `status`, `reason`, `final`, `order_status`, `phone` and
            `refund`, as in the snapshot.
    """
    if said["view"] == View.PHONE:
        return _sentence(View.PHONE, lang)
    if said["money"] == Money.RETURNED:
        return _sentence(Money.RETURNED, lang)
    refund = said.get("refund")
    if refund and said["view"] == View.PAID:
        return _sentence(f"refund_{refund['status']}", lang)
    if said["view"] == View.WAITING and said["next"] == Next.CANCEL_PROMPT:
        return _sentence(BESIDE, lang)
    if said["view"] == View.FAILED:
        return _of_failure(said, lang)
    if said["view"] == View.CHECKING:
        # Whether or not a payment was heard of: nobody is asked for a PIN any more.
        return _sentence(Reason.OVERDUE if said["reason"] in _ASKED_ABOUT else SIGHTED, lang)
    # Where another attempt paid, or the order is closed, the order's status says more.
    paid_otherwise = said["view"] == View.PAID and said["status"] != Status.SUCCESS
    of_order = paid_otherwise or said["view"] == View.CLOSED
    return _sentence(str(said["order_status"] if of_order else said["reason"]), lang)


def _of_failure(said: Mapping[str, Any], lang: str) -> str:
    """What happened, and whether money was taken; why, where the number seems to be the cause."""
    about = [str(said["reason"])]
    if said["reason"] not in _TELL_OF_MONEY:
        so_far = said["money"] == Money.NOT_TAKEN and not said["final"]
        about.append("not_taken_so_far" if so_far else said["money"])
    if said["reason"] == Reason.UNREACHABLE:
        network = other_network(said["phone"] or "")
        about += [network] if network else []
    return " ".join(_sentence(each, lang) for each in about)


def minutes(seconds: int) -> int:
    """A wait as people are told it, in whole minutes rounded up, which is never too early."""
    return math.ceil(seconds / 60)


@cache  # else the language is looked up and set each time; there are about fifty sentences in all
def _sentence(about: str, lang: str) -> str:
    with force_locale(lang):
        return str(_SENTENCES[about])


def _language_of_request() -> str:
    if not has_request_context():
        return "en"
    # Only the console has a session, and keeps the language in it.
    return chosen(request.args.get("lang") or session.get("lang"))
