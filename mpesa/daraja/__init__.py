"""The only code that speaks HTTP to Safaricom: token, push, query, one error tree.

errors.py      what can go wrong, drawn as a tree
client.py      Daraja: push(), query(), check_credentials(), cut()
bodies.py      what is asked: merchant, push, password, timestamp
plain_text.py  AccountReference and TransactionDesc
answers.py     what the answers mean: accepted, refused, unknown
token.py       one token for everybody
calls.py       the hard limit of a call
http.py        requests and urllib3, and what they must not do
"""

from mpesa.daraja.answers import AccessToken, PushAccepted, QueryAnswer
from mpesa.daraja.bodies import Merchant, Push
from mpesa.daraja.client import Daraja
from mpesa.daraja.errors import (
    DarajaError,
    NoAnswer,
    NotSent,
    OutOfTime,
    Refused,
    UnknownOutcome,
)
from mpesa.daraja.http import Timeouts
from mpesa.daraja.token import SharedToken, TokenSource

__all__ = [
    "AccessToken",
    "Daraja",
    "DarajaError",
    "Merchant",
    "NoAnswer",
    "NotSent",
    "OutOfTime",
    "Push",
    "PushAccepted",
    "QueryAnswer",
    "Refused",
    "SharedToken",
    "Timeouts",
    "TokenSource",
    "UnknownOutcome",
]
