"""The client: a push, a query, what other APIs post, and the token that all of them need."""

import base64
import json
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from mpesa.bounded_http import Call, Calls, Ended
from mpesa.daraja.answers import (
    AccessToken,
    Answer,
    PushAccepted,
    QueryAnswer,
    read_push,
    read_query,
    read_token,
    says_token_is_dead,
)
from mpesa.daraja.errors import NoAnswer, NotSent, UnknownOutcome, of_ended
from mpesa.daraja.http import (
    DEFAULT_TIMEOUTS,
    LARGEST_ANSWER,
    Request,
    Timeouts,
    Transport,
)
from mpesa.daraja.requests_to_daraja import Merchant, Push, push_body, query_body
from mpesa.daraja.token import TokenSource
from mpesa.domain.result_codes import Reason

OAUTH_PATH = "/oauth/v1/generate?grant_type=client_credentials"
PUSH_PATH = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH = "/mpesa/stkpushquery/v1/query"
# Of the simulator alone: Safaricom's are files on its portal.
CERTIFICATE_PATH = "/certificate.cer"

# A shopper waits for the answer, and the prompt needs time to be answered, too.
BUDGET_SECONDS = 20.0

T = TypeVar("T")


class Daraja:
    """Daraja for one merchant, from many threads or greenlets at once.

    Push and query are its methods; the files beside this one have the other APIs, by `post`.

    Args:
        base_url: `https://sandbox.safaricom.co.ke`, `https://api.safaricom.co.ke`, or another.
        tokens: where the token is kept; all clients with the same consumer key share it.
        timeouts: of single steps; each method has its own hard limit.
        now: aware; for the timestamps that Daraja sees, and to be compared with its own.
        monotonic: seconds that only grow; for budgets.
        tls: the authorities to be trusted; None for the machine's own.
    """

    def __init__(
        self,
        merchant: Merchant,
        base_url: str,
        tokens: TokenSource,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._merchant = merchant
        self._tokens = tokens
        self._now = now
        self._transport = Transport(base_url, timeouts, monotonic, tls, now)
        self._calls = Calls(monotonic)

    def push(self, push: Push, *, budget: float = BUDGET_SECONDS) -> PushAccepted:
        """Have a prompt shown.

        The push is sent once; it is repeated only after "token dead", when it did not run.

        Args:
            budget: seconds for everything, token and repetition included; a hard limit.

        Raises:
            ValueError: Daraja takes no such reference.
            NotSent: nothing was sent.
            Refused: Daraja's clear no.
            UnknownOutcome: sent, and the prompt may be on the phone.
        """
        body = push_body(self._merchant, push, self._now())
        return read_push(self.post(PUSH_PATH, body, budget=budget))

    def query(self, checkout_request_id: str, *, budget: float = BUDGET_SECONDS) -> QueryAnswer:
        """Ask what became of a push.

        Args:
            budget: seconds for everything, token and repetition included; a hard limit.

        Raises:
            NotSent: nothing was sent.
            NoAnswer: the query was sent, and nothing was learnt.
        """
        body = query_body(self._merchant, checkout_request_id, self._now())
        try:
            answer = self.post(QUERY_PATH, body, budget=budget)
        except UnknownOutcome as error:
            raise NoAnswer(str(error), error.body) from error
        return read_query(answer)

    def check_credentials(self, *, budget: float = BUDGET_SECONDS) -> None:
        """Fetch a new token, which the token source then gives to all of its clients.

        Args:
            budget: seconds for everything; a hard limit.

        Raises:
            NotSent: Daraja gave none; `MISCONFIGURED` where it refused the credentials.
        """

        def renew(call: Call[None]) -> None:
            fetched: list[AccessToken] = []

            def fetch() -> AccessToken:
                fetched.append(self._fetch(call))
                return fetched[-1]

            token = self._tokens.token(fetch)
            if not fetched:
                # An older token proves nothing about the credentials of today.
                self._tokens.token(fetch, dead=token)

        self._run(renew, budget)

    def certificate(self, *, budget: float = BUDGET_SECONDS) -> bytes:
        """Fetch the certificate that passwords are sealed with; only the simulator has it here.

        Args:
            budget: seconds for everything; a hard limit.

        Raises:
            NotSent: there is none at that address, so nothing can be sealed.
        """

        def fetch(call: Call[Answer]) -> Answer:
            request = Request("GET", CERTIFICATE_PATH, None, counts=False)
            return self._transport.exchange(call, request)

        answer = self._run(fetch, budget)
        if answer.status != 200:
            raise NotSent(Reason.MISCONFIGURED, f"no certificate: {answer}")
        return answer.body

    def cut(self) -> None:
        """End every call under way at once, and refuse later ones: the process is ending.

        A push that was sent ends as UnknownOutcome, a query as NoAnswer, and the rest as NotSent.
        """
        self._calls.cut()
        self._transport.close()

    def post(
        self,
        path: str,
        body: Mapping[str, str | int],
        *,
        budget: float,
        largest: int = LARGEST_ANSWER,
    ) -> Answer:
        """Post a request once; it is repeated only after "token dead", when it did not run.

        Args:
            body: the JSON fields.
            budget: seconds for everything, token and repetition included; a hard limit.
            largest: the most bytes that the answer may have.

        Returns:
            The whole answer, whatever it says.

        Raises:
            NotSent: nothing was sent.
            UnknownOutcome: it was sent, and no whole answer came.
        """
        encoded = json.dumps(body).encode()

        def send(call: Call[Answer], token: str) -> Answer:
            request = Request("POST", path, f"Bearer {token}", encoded, largest=largest)
            return self._transport.exchange(call, request)

        def ask(call: Call[Answer]) -> Answer:
            fetch = partial(self._fetch, call)
            token = self._tokens.token(fetch)
            answer = send(call, token)
            if not says_token_is_dead(answer):
                return answer
            call.did_not_run()
            return send(call, self._tokens.token(fetch, dead=token))

        return self._run(ask, budget)

    def _run(self, work: Callable[[Call[T]], T], budget: float) -> T:
        try:
            return self._calls.run(work, budget)
        except Ended as ended:
            raise of_ended(ended) from None

    def _fetch(self, call: Call[Answer] | Call[None]) -> AccessToken:
        credentials = f"{self._merchant.consumer_key}:{self._merchant.consumer_secret}".encode()
        basic = "Basic " + base64.b64encode(credentials).decode("ascii")
        request = Request("GET", OAUTH_PATH, basic, counts=False)
        return read_token(self._transport.exchange(call, request))
