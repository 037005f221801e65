"""The only code that speaks HTTP to Safaricom: a file for each API, one token, one error tree.

errors.py      what can go wrong, drawn as a tree
client.py      Daraja: push(), query(), post(), check_credentials(), cut()
requests_to_daraja.py
               the bodies of requests: merchant, push, password, timestamp
plain_text.py  TransactionDesc
answers.py     what the answers to a push and a query mean: accepted, refused, unknown
acceptance.py  what the answers to all others mean: taken, did not run, may have run
status.py      Transaction Status
reversal.py    Reversal
c2b.py         Customer To Business: the addresses that are registered
pull.py        Pull Transactions
qr.py          Dynamic QR
initiators.py  the API users that ask and give back
sealing.py     their passwords, sealed
token.py       where a token comes from
http.py        the server itself, below `bounded_http`
"""

from mpesa.daraja.acceptance import Accepted
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
from mpesa.daraja.initiators import Initiator, Initiators
from mpesa.daraja.requests_to_daraja import Merchant, Push
from mpesa.daraja.token import TokenSource

__all__ = [
    "Accepted",
    "AccessToken",
    "Daraja",
    "DarajaError",
    "Initiator",
    "Initiators",
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
