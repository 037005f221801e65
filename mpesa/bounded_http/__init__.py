"""HTTP with a hard end: a call ends when its time is over, whatever its peer does.

`calls` decides when a call ends and whether it had been sent by then; `session` is the requests
library with connections that belong to a call, so that its end can shut them. Nothing is repeated,
followed, remembered, or taken from the environment.
"""

from mpesa.bounded_http.calls import Call, Calls, Ended, OutOfTime
from mpesa.bounded_http.session import Session

__all__ = ["Call", "Calls", "Ended", "OutOfTime", "Session"]
