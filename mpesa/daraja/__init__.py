"""The only code that speaks HTTP to Safaricom: token, push, query, one error tree.

errors.py      what can go wrong, drawn as a tree
client.py      Daraja: push(), query(), check_credentials(), cut()
requests_to_daraja.py
               the bodies of requests: merchant, push, password, timestamp
plain_text.py  TransactionDesc
answers.py     what the answers mean: accepted, refused, unknown
token.py       where a token comes from
http.py        the server itself, below `bounded_http`
"""

from mpesa.daraja.answers import AccessToken, PushAccepted, QueryAnswer
from mpesa.daraja.client import Daraja
from mpesa.daraja.errors import (
    DarajaError,
    NoAnswer,
    NotSent,
    Refused,
    UnknownOutcome,
)
from mpesa.daraja.http import Timeouts
from mpesa.daraja.requests_to_daraja import Merchant, Push
from mpesa.daraja.token import TokenSource

__all__ = [
    "AccessToken",
    "Daraja",
    "DarajaError",
    "Merchant",
    "NoAnswer",
    "NotSent",
    "Push",
    "PushAccepted",
    "QueryAnswer",
    "Refused",
    "Timeouts",
    "TokenSource",
    "UnknownOutcome",
]
