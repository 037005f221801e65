"""HTTP with a hard end: when a call's time is over, it is over, whatever its peer does.

`calls` says when a call ends and whether it had been sent by then; `session` is requests with
connections that belong to a call, so that its end can shut them. Nothing is repeated or followed,
remembered, or taken from the environment.
"""

from mpesa.bounded_http.calls import Call, Calls, Ended, OutOfTime
from mpesa.bounded_http.session import Session

__all__ = ["Call", "Calls", "Ended", "OutOfTime", "Session"]
