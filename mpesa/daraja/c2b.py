"""Customer To Business: register where Safaricom tells of payments (Daraja docs, Register URL)."""

from dataclasses import dataclass, field
from enum import Enum, auto

from mpesa.config import C2BVersion
from mpesa.daraja.acceptance import read_acceptance
from mpesa.daraja.answers import text_of
from mpesa.daraja.client import BUDGET_SECONDS, Daraja
from mpesa.daraja.errors import UnknownOutcome

# "... urls must not contain the words ..." in any letter case, the query string included; public
# tunnels are refused in production.
FORBIDDEN_WORDS = (
    "mpesa", "m-pesa", "safaricom", "exec", "exe", "cmd", "sql", "query",
    "ngrok", "mockbin", "requestbin",
)  # fmt: skip
_ALREADY = "already registered"


class Registered(Enum):
    """What became of a registration."""

    NOW = auto()
    # By us, or by somebody else: Daraja does not tell which addresses it knows.
    ALREADY = auto()


@dataclass(frozen=True)
class Addresses:
    """The addresses of a short code; they stand for years, so no part of them may expire.

    Attributes:
        confirmation_url: told of each payment; it holds a secret.
        validation_url: asked before each payment, where Safaricom has switched that on; likewise.
    """

    confirmation_url: str = field(repr=False)
    validation_url: str = field(repr=False)


def addresses(public_url: str, token: str) -> Addresses:
    """The addresses of this server below which it hears `token`."""
    below = f"{public_url}/c2b/{token}"
    return Addresses(f"{below}/confirmation", f"{below}/validation")


def forbidden_words(url: str) -> list[str]:
    """The words in an address that Safaricom forbids there; empty where it may be registered."""
    return [word for word in FORBIDDEN_WORDS if word in url.lower()]


def register_path(version: C2BVersion) -> str:
    """The path of a version; the one that is no product of the app answers 401.003.01."""
    return f"/mpesa/c2b/{version.value}/registerurl"


def register_body(short_code: str, told: Addresses) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/c2b/v2/registerurl`, and of v1's."""
    return {
        "ShortCode": short_code,
        # Should validation be on and our server be down: a payment that is turned away goes to
        # another shop, and one that is taken can be given back.
        "ResponseType": "Completed",
        "ConfirmationURL": told.confirmation_url,
        "ValidationURL": told.validation_url,
    }


def register_c2b(
    daraja: Daraja,
    version: C2BVersion,
    short_code: str,
    told: Addresses,
    *,
    budget: float = BUDGET_SECONDS,
) -> Registered:
    """Register the addresses; in production this can be done once.

    Args:
        budget: seconds for everything; a hard limit.

    Raises:
        NotSent: nothing was sent.
        Refused: Daraja's clear no.
        UnknownOutcome: they may be registered or not.
    """
    answer = daraja.post(register_path(version), register_body(short_code, told), budget=budget)
    # By its words: 500.003.1001 means "internal error" as well.
    if _ALREADY in (text_of((answer.fields or {}).get("errorMessage")) or "").lower():
        return Registered.ALREADY
    accepted = read_acceptance(answer)
    # In 2019 a second registration was answered like a first one, with empty ids.
    if accepted.originator_conversation_id is None and accepted.conversation_id is None:
        raise UnknownOutcome(f"unclear: {answer}", answer.excerpt)
    return Registered.NOW
