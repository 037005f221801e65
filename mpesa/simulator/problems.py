"""How the simulator's own routes read bodies, and what they answer where a wish cannot be met."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Response, jsonify, request

from mpesa.simulator.wishes import InvalidField


class Problem(Exception):
    """A request that cannot be met; it is answered as RFC 9457 problem+json."""

    def __init__(self, status: int, code: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.members = {"status": status, "code": code, "detail": detail}
        if field:
            self.members["field"] = field

    def as_response(self) -> Response:
        """Answer with the problem."""
        response = jsonify(self.members)
        response.status_code = self.status
        response.content_type = "application/problem+json"
        return response


@contextmanager
def wishes_checked() -> Iterator[None]:
    """Answer a wish that cannot be met with 400, and name its field."""
    try:
        yield
    except InvalidField as wrong:
        raise Problem(400, "invalid_request", str(wrong), wrong.field) from None


def body_object() -> dict[str, object]:
    """Read the JSON object that was sent, whatever its content type."""
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise Problem(400, "invalid_request", "The body must be a JSON object.")
    return body
