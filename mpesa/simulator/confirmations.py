"""C2B: where a merchant hears of money, and the bodies that tell of it."""

import json
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.movement import Movement
from mpesa.simulator.organisation import ConfirmationAccount, Msisdn, Organisation
from mpesa.simulator.people import hashed, masked, name_of
from mpesa.simulator.validation import TILL


class Version(StrEnum):
    """Of the register call, which decides how payers are told."""

    V1 = "v1"
    V2 = "v2"


class ResponseType(StrEnum):
    """What becomes of a payment whose validation gets no answer."""

    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True)
class Registration:
    """A merchant's addresses."""

    version: Version
    response_type: ResponseType
    confirmation_url: str
    validation_url: str


class Verdict(Enum):
    """The merchant's answer to a validation; the text is the SMS to a payer who is turned down."""

    ACCEPTED = ""
    NO_ANSWER = "The merchant could not be reached. Nothing was paid."
    WRONG_NUMBER = "Your number was not accepted. Nothing was paid."
    WRONG_ACCOUNT = "You have entered the wrong account number. Nothing was paid."
    WRONG_AMOUNT = "You have entered the wrong amount. Nothing was paid."
    WRONG_KYC = "Your details were not accepted. Nothing was paid."
    WRONG_SHORTCODE = "You have entered the wrong business number. Nothing was paid."
    OTHER = "The merchant did not accept the payment. Nothing was paid."


# Daraja docs, Customer To Business: the result codes of a validation.
_TURNED_DOWN = {
    "C2B00011": Verdict.WRONG_NUMBER,
    "C2B00012": Verdict.WRONG_ACCOUNT,
    "C2B00013": Verdict.WRONG_AMOUNT,
    "C2B00014": Verdict.WRONG_KYC,
    "C2B00015": Verdict.WRONG_SHORTCODE,
}
_LONGEST_ECHO = 64


def verdict_of(answer: bytes | None) -> tuple[Verdict, str]:
    """Read a merchant's answer to a validation.

    Args:
        answer: the body of a 200 in time; None: there was none.

    Returns:
        The verdict, and the ThirdPartyTransID that the confirmation has to repeat.
    """
    try:
        body = json.loads(answer or b"")
    except (ValueError, RecursionError):
        return Verdict.NO_ANSWER, ""
    code = body.get("ResultCode") if isinstance(body, dict) else None
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "":
        return Verdict.NO_ANSWER, ""
    if str(code).strip("0"):
        return _TURNED_DOWN.get(str(code), Verdict.OTHER), ""
    echo = body.get("ThirdPartyTransID")
    return Verdict.ACCEPTED, echo[:_LONGEST_ECHO] if isinstance(echo, str) else ""


def validation(movement: Movement, version: Version, merchant: Organisation) -> bytes:
    """Make the body that asks a merchant whether to take a payment; no balance is told yet."""
    return _body(movement, version, merchant.msisdn, account=movement.account)


def confirmation(
    movement: Movement, version: Version, merchant: Organisation, third_party: str = ""
) -> bytes:
    """Make the body that tells a merchant of a payment.

    Args:
        third_party: what the merchant's validation answered as ThirdPartyTransID.
    """
    is_told = merchant.confirmation_account is ConfirmationAccount.SENT
    return _body(
        movement,
        version,
        merchant.msisdn,
        account=movement.account if is_told else "",
        balance=money(movement.balance),
        third_party=third_party,
    )


def money(cents: int) -> str:
    """Write an amount as Daraja does, like `1500.00`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _body(
    movement: Movement,
    version: Version,
    form: Msisdn,
    *,
    account: str,
    balance: str = "",
    third_party: str = "",
) -> bytes:
    is_till = movement.payee.kind == TILL
    body: dict[str, Any] = {
        "TransactionType": "Buy Goods" if is_till else "Pay Bill",
        "TransID": movement.receipt,
        "TransTime": f"{movement.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}",
        "TransAmount": money(movement.amount * 100),
        "BusinessShortCode": movement.payee.number,
        # At a till nobody is asked for an account, and a push's reference is not told either.
        "BillRefNumber": "" if is_till else account,
        "InvoiceNumber": "",
        "OrgAccountBalance": balance,
        "ThirdPartyTransID": third_party,
    }
    if (number := _number(movement.msisdn, version, form)) is not None:
        body["MSISDN"] = number
    name = name_of(movement.msisdn)
    body["FirstName"] = name.first
    if version is Version.V1:
        # Version 2 has the first name only (a production log of February 2024).
        body |= {"MiddleName": name.middle, "LastName": name.last}
    return json.dumps(body, separators=(",", ":")).encode()


def _number(msisdn: str, version: Version, form: Msisdn) -> str | None:
    match form:
        case Msisdn.PLAIN:
            return msisdn
        case Msisdn.ABSENT:
            return None
        case Msisdn.MASKED if version is Version.V2:
            return masked(msisdn)
        case _:
            return hashed(msisdn)
