"""The errors of calls to Daraja.

DarajaError                a message without secrets, and the first bytes of the answer
├── NotSent                the request never left: token, name look-up, connect, TLS
├── Refused                Daraja's clear no: the request did not run
├── UnknownOutcome         it left, and no clear answer came: the prompt may be on the phone, the
│                          money on its way back
└── NoAnswer               a question told nothing about what was asked
"""

from mpesa.bounded_http import Ended
from mpesa.domain.result_codes import Reason


class DarajaError(Exception):
    """A call to Daraja that did not end well.

    Attributes:
        body: the first 500 bytes of Daraja's answer, tokens taken out; empty without an answer.
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body


class NotSent(DarajaError):
    """Not a byte of the request left this machine, or what left is known not to have run.

    Attributes:
        reason: `SYSTEM_BUSY`, or `MISCONFIGURED` where our credentials were refused.
    """

    def __init__(self, reason: Reason, message: str = "not sent", body: bytes = b"") -> None:
        super().__init__(message, body)
        self.reason = reason


class Refused(DarajaError):
    """Daraja said clearly that the request did not run.

    Attributes:
        reason: `LINE_BUSY`, `SYSTEM_BUSY`, `MISCONFIGURED` or `PUSH_REFUSED`.
    """

    def __init__(self, reason: Reason, message: str = "refused", body: bytes = b"") -> None:
        super().__init__(message, body)
        self.reason = reason


class UnknownOutcome(DarajaError):
    """The request was at least partly sent and its fate is not known: it must never be resent."""

    def __init__(self, message: str = "no clear answer", body: bytes = b"") -> None:
        super().__init__(message, body)


class NoAnswer(DarajaError):
    """The question was sent, and what came back, if anything, says nothing about its subject."""

    def __init__(self, message: str = "no answer", body: bytes = b"") -> None:
        super().__init__(message, body)


def of_ended(call: Ended) -> DarajaError:
    """Say what a call that ended without an answer means for the push or query."""
    if call.sent:
        return UnknownOutcome(f"sent, but {call}", call.body)
    return NotSent(Reason.SYSTEM_BUSY, f"not sent: {call}", call.body)
