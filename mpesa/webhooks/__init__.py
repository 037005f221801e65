"""Tell the merchant's server, signed, until it has heard (Standard Webhooks 1.0.0).

The ledger writes each message in the commit of the change that it tells of. From then on, rows are
the only memory: `deliveries` claims a message, sends it and writes down the outcome, `post` is one
HTTP request within a hard limit, and `reports` is what people and metrics read.
"""

from mpesa.webhooks.deliveries import (
    Endpoint,
    put_back,
    retry,
    retry_failed,
    run_once,
    run_until_idle,
    send_test,
)
from mpesa.webhooks.post import Answered, Failure, Post, Unanswered
from mpesa.webhooks.reports import (
    Backlog,
    DeliveryState,
    EndpointState,
    backlog,
    endpoint_state,
    page,
    state_of,
)

__all__ = [
    "Answered",
    "Backlog",
    "DeliveryState",
    "Endpoint",
    "EndpointState",
    "Failure",
    "Post",
    "Unanswered",
    "backlog",
    "endpoint_state",
    "page",
    "put_back",
    "retry",
    "retry_failed",
    "run_once",
    "run_until_idle",
    "send_test",
    "state_of",
]
