"""What the APIs of API users share: acknowledge at once, and tell later what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Response

from mpesa.simulator import refusals
from mpesa.simulator.api_users import Role
from mpesa.simulator.fields import Body, address, matching, text, words
from mpesa.simulator.ids import conversation_id, merchant_request_id
from mpesa.simulator.organisation import ResultMode, Shapes
from mpesa.simulator.refusals import invalid
from mpesa.simulator.results import (
    Conversation,
    Failure,
    Result,
    acknowledgement,
    result_body,
    timeout_body,
)
from mpesa.simulator.simulator import Simulator
from mpesa.simulator.wire import answered

_LONGEST_REMARKS = 100


@dataclass(frozen=True)
class Request:
    """The fields that such a request has whatever it is for.

    Attributes:
        shortcode: the organisation's own number, as it stands in the body.
    """

    initiator: str
    credential: str
    shortcode: str
    result_url: str
    timeout_url: str


def read_initiator(body: Body, command: str) -> tuple[str, str]:
    """Read who asks, and for what.

    Returns:
        The API user's name and the SecurityCredential.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    initiator = words(body, "Initiator", "InitiatorName")
    credential = words(body, "SecurityCredential")
    matching(body, "CommandID", command)
    return initiator, credential


def read_rest(body: Body, initiator: tuple[str, str], shortcode: str) -> Request:
    """Read the addresses and the remarks, and put the request together.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    result_url, timeout_url = address(body, "ResultURL"), address(body, "QueueTimeOutURL")
    if not 1 <= len(text(body, "Remarks")) <= _LONGEST_REMARKS:
        raise invalid("Remarks")
    return Request(*initiator, shortcode, result_url, timeout_url)


class Initiated:
    """Takes a request, decides it, and tells the result in the way that the switches ask for.

    Args:
        api: the word for the API in Safaricom's internal address.
        role: what its API user has to be allowed.
        failed: makes the result of a request whose API user may not.
    """

    def __init__(
        self,
        simulator: Simulator,
        api: str,
        role: Role,
        failed: Callable[[Failure], Result] = Result.of,
    ) -> None:
        self._simulator = simulator
        self._api = api
        self._role = role
        self._failed = failed

    def answer(self, request: Request, work: Callable[[], Result | None]) -> Response:
        """Run a request and acknowledge it; the acknowledgement proves nothing.

        Args:
            work: does what was asked for; None: nothing will ever be told of it.

        Raises:
            Refusal: the gateway fails, although the request ran.
        """
        simulator = self._simulator
        now, chance = simulator.now(), simulator.chance
        conversation = Conversation(merchant_request_id(chance), conversation_id(now, chance))
        failure = simulator.api_users.failure_of(
            request.initiator, request.credential, self._role, simulator.organisation.initiator
        )
        if failure is Failure.NO_ROLE and simulator.organisation.shapes is Shapes.ODD:
            failure = Failure.NO_PERMISSION  # the other answer that was seen (sandbox, 2026)
        result = self._failed(failure) if failure else work()
        mode = simulator.organisation.result
        if result is not None and mode is ResultMode.BEFORE_ACK:
            self._tell(request, conversation, result)
        elif result is not None:
            simulator.start(self._tell_in_time, request, conversation, result)
        if mode is ResultMode.ERROR_500_AFTER:
            raise refusals.unknown_fate()
        return answered(acknowledgement(conversation))

    def _tell_in_time(self, request: Request, conversation: Conversation, result: Result) -> None:
        merchant = self._simulator.organisation
        is_late = merchant.result is ResultMode.LATE
        self._simulator.hold(
            max(merchant.result_after, self._simulator.timing.late if is_late else 0)
        )
        self._tell(request, conversation, result)

    def _tell(self, request: Request, conversation: Conversation, result: Result) -> None:
        simulator, merchant = self._simulator, self._simulator.organisation
        if merchant.result is ResultMode.NEVER:
            return
        if merchant.result is ResultMode.TIMEOUT:
            body = timeout_body(conversation, merchant.shapes, simulator.chance)
            simulator.post(request.timeout_url, body, request.shortcode)
            return
        body = result_body(result, conversation, simulator.now(), self._api, merchant.shapes)
        for _ in range(2 if merchant.result is ResultMode.TWICE else 1):
            simulator.post(request.result_url, body, request.shortcode)
