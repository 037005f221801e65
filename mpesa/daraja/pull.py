"""Pull Transactions: register for it, and fetch what was paid (Daraja docs, Pull Transactions)."""

import re
from dataclasses import dataclass
from datetime import datetime

from mpesa.daraja.acceptance import refusal_of
from mpesa.daraja.answers import text_of
from mpesa.daraja.client import BUDGET_SECONDS, Daraja
from mpesa.daraja.errors import NoAnswer, Refused, UnknownOutcome
from mpesa.domain.cut_people import cut_people
from mpesa.domain.pull_rows import PullPage, UnreadablePull, read_pull
from mpesa.domain.wire_words import NAIROBI

REGISTER_PATH = "/pulltransactions/v1/register"
QUERY_PATH = "/pulltransactions/v1/query"
# How many payments a page has is not documented: a thousand of them have about 300 KB.
LARGEST_PAGE = 2 * 1024 * 1024
_REGISTERED = re.compile(r"0+|1000|1001")  # 1001: it was registered before


@dataclass(frozen=True)
class PullQuestion:
    """One page of a stretch of time.

    Attributes:
        short_code: whose payments.
        begin: aware; at most 48 hours ago.
        end: aware.
        offset: how many payments to skip.
    """

    short_code: str
    begin: datetime
    end: datetime
    offset: int = 0


def register_body(short_code: str, nominated: str, callback_url: str) -> dict[str, str | int]:
    """Make the JSON fields of `POST /pulltransactions/v1/register`.

    Args:
        nominated: the organisation's Safaricom line, `254…`.
        callback_url: has to be given; nobody has reported anything that came to it.
    """
    return {
        "ShortCode": short_code,
        "RequestType": "Pull",
        "NominatedNumber": nominated,
        "CallBackURL": callback_url,
    }


def register_pull(
    daraja: Daraja,
    short_code: str,
    nominated: str,
    callback_url: str,
    *,
    budget: float = BUDGET_SECONDS,
) -> None:
    """Register; again where it was done before, which does no harm.

    Args:
        nominated: the organisation's Safaricom line, `254…`.
        budget: seconds for everything; a hard limit.

    Raises:
        NotSent: nothing was sent.
        Refused: Daraja's clear no.
        UnknownOutcome: it may be registered or not.
    """
    body = register_body(short_code, nominated, callback_url)
    answer = daraja.post(REGISTER_PATH, body, budget=budget)
    # Spelt "Response Status" by the sandbox, and "ResponseStatus" by the documentation.
    fields = {key.replace(" ", ""): value for key, value in (answer.fields or {}).items()}
    code = text_of(fields.get("ResponseStatus", fields.get("ResponseCode"))) or ""
    if answer.status == 200 and _REGISTERED.fullmatch(code):
        return
    if reason := refusal_of(answer):
        raise Refused(reason, f"refused: {answer}", answer.excerpt)
    raise UnknownOutcome(f"unclear: {answer}", answer.excerpt)


def query_body(question: PullQuestion) -> dict[str, str | int]:
    """Make the JSON fields of `POST /pulltransactions/v1/query`."""
    return {
        "ShortCode": question.short_code,
        "StartDate": f"{question.begin.astimezone(NAIROBI):%Y-%m-%d %H:%M:%S}",
        "EndDate": f"{question.end.astimezone(NAIROBI):%Y-%m-%d %H:%M:%S}",
        "OffSetValue": str(question.offset),
    }


@dataclass(frozen=True)
class Pulled:
    """A page, and the body that it was read from, which holds people's whole numbers."""

    page: PullPage
    body: bytes


def pull(daraja: Daraja, question: PullQuestion, *, budget: float = BUDGET_SECONDS) -> Pulled:
    """Fetch one page.

    Args:
        budget: seconds for everything; a hard limit.

    Raises:
        NotSent: nothing was sent.
        Refused: Daraja's clear no: the app lacks the product, or asks too often.
        NoAnswer: what came back, if anything, is no page.
    """
    try:
        answer = daraja.post(QUERY_PATH, query_body(question), budget=budget, largest=LARGEST_PAGE)
    except UnknownOutcome as error:
        raise NoAnswer(str(error), error.body) from error
    if reason := refusal_of(answer):
        raise Refused(reason, f"refused: {answer}", answer.excerpt)
    try:
        page = read_pull(answer.status, answer.body, question.short_code)
    except UnreadablePull as why:
        raise NoAnswer(f"no page ({why}): {answer}", cut_people(answer.excerpt)) from None
    return Pulled(page, answer.body)
