"""Things with a memory that stand in for the outside, and can misbehave."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mpesa.daraja import (
    AccessToken,
    DarajaError,
    NotSent,
    Push,
    PushAccepted,
    QueryAnswer,
)
from mpesa.daraja.answers import Answer
from mpesa.domain.result_codes import Reason

ACKNOWLEDGED = (
    b'{"OriginatorConversationID": "4d1c-47ab-9e02-7b6f0a51c3de88121",'
    b' "ConversationID": "AG_20261124_0100204kq7x0b3m9zr1t", "ResponseCode": "0",'
    b' "ResponseDescription": "Accept the service request successfully."}'
)


class Clock:
    """A clock that stands still until it is moved, and one beside it that nobody can set."""

    def __init__(self, start: datetime) -> None:
        self.time = start
        self.passed = 0.0

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **duration: float) -> None:
        self.time += timedelta(**duration)
        self.passed += timedelta(**duration).total_seconds()

    def wait_until(self, moment: datetime) -> None:
        """Let pass what is missing until then."""
        self.pass_(seconds=(moment - self.time).total_seconds())

    def step(self, **duration: float) -> None:
        """Somebody sets the clock: no time passes."""
        self.time += timedelta(**duration)

    def monotonic(self) -> float:
        """Seconds that passed, whatever the clock shows."""
        return self.passed


class FakeDaraja:
    """Takes every push and remembers it; `answers` may hold errors to raise, or calls to make.

    A callable in `answers` is called with the push before it is accepted, as when a callback
    overtakes the answer.
    """

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.queries: list[str] = []
        self.answers: deque[DarajaError | Callable[[Push], Any]] = deque()
        self.query_answers: deque[DarajaError | str] = deque()
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.post_answers: dict[str, deque[DarajaError | Answer]] = {}

    def push(self, push: Push, *, budget: float = 20.0) -> PushAccepted:
        self.pushes.append(push)
        number = len(self.pushes)
        if self.answers:
            answer = self.answers.popleft()
            if isinstance(answer, DarajaError):
                raise answer
            answer(push)
        return PushAccepted(self.merchant_id(number), self.checkout_id(number), b'{"accepted": 1}')

    def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
        self.queries.append(checkout_request_id)
        answer = self.query_answers.popleft() if self.query_answers else "4999"
        if isinstance(answer, DarajaError):
            raise answer
        return QueryAnswer(answer, "", None, checkout_request_id, b'{"asked": 1}')

    def post(self, path: str, body: dict[str, Any], *, budget: float, largest: int = 0) -> Answer:
        """What other APIs post: remembered, and answered by the next of `post_answers[path]`."""
        self.posts.append((path, body))
        answers = self.post_answers.get(path)
        answer = answers.popleft() if answers else Answer(200, ACKNOWLEDGED)
        if isinstance(answer, DarajaError):
            raise answer
        return answer

    def certificate(self) -> bytes:
        """No simulator is near."""
        raise NotSent(Reason.MISCONFIGURED, "no certificate")

    def check_credentials(self) -> None:
        """Every credential will do."""

    def cut(self) -> None:
        """Nothing is under way."""

    def merchant_id(self, number: int) -> str:
        """The MerchantRequestID of the n-th push, from 1."""
        return f"2654-4b64-97ff-b827b542881d{number}"

    def checkout_id(self, number: int) -> str:
        """The CheckoutRequestID of the n-th push, from 1."""
        return f"ws_CO_24112026120000{number:03d}712345678"

    def token_of(self, number: int) -> str:
        """The secret at the end of the n-th push's callback address."""
        return self.pushes[number - 1].callback_url.rsplit("/", 1)[1]


class CountingFetch:
    """A token fetch that counts; each token is another."""

    def __init__(self, expires_in: int = 3599) -> None:
        self.count = 0
        self.expires_in = expires_in

    def __call__(self) -> AccessToken:
        self.count += 1
        return AccessToken(f"token-{self.count}", self.expires_in)
