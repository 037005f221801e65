"""Our errors as RFC 9457 problem details, in one place; browsers get a page instead."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, render_template, request
from flask.globals import request_ctx
from flask_babel import gettext as _
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from mpesa import counters
from mpesa.database import cannot_write
from mpesa.web.http.problems import MEANINGS, Code, type_of

log = logging.getLogger(__name__)

# Machine words for the requests that Flask itself refuses.
_CODES: dict[int, Code] = {
    400: "invalid_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    414: "invalid_request",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}


class Problem(Exception):
    """An answer that is an error.

    Attributes:
        code: the stable machine word.
        detail: what is wrong and what to do, for a person.
        field: the field that is wrong; None where no single one is.
        retry_after: seconds, sent as Retry-After; None where waiting does not help.
        more: fields of the answer besides.
    """

    def __init__(
        self,
        status: int,
        code: Code,
        detail: str,
        *,
        field: str | None = None,
        retry_after: int | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.retry_after = retry_after
        self.more = dict(more or {})


def invalid(field: str, detail: str, code: Code = "invalid_request") -> Problem:
    """A problem with one field: 400."""
    return Problem(400, code, detail, field=field)


def problem_response(problem: Problem) -> Response:
    """The problem as `application/problem+json`."""
    body: dict[str, Any] = {
        "type": type_of(problem.code),
        "title": MEANINGS[problem.code].title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }
    if problem.field:
        body["field"] = problem.field
    body |= problem.more
    response = jsonify(body)
    response.status_code = problem.status
    response.content_type = "application/problem+json"
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def register(app: Flask) -> None:
    """Answer every error that a route raises with a problem or a page."""
    app.register_error_handler(Problem, problem_or_page)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(SQLAlchemyError, _database_error)
    app.register_error_handler(Exception, _unexpected_error)


def problem_or_page(problem: Problem) -> Response:
    """The problem as a page for a browser, as `application/problem+json` for a program."""
    # A page needs addresses, and Flask cannot build any for a host name that is malformed.
    if not wants_page() or request_ctx.url_adapter is None:
        return problem_response(problem)
    g.shows_error = True
    # An operator's page does not look like the shop's, and leads back to the console.
    template = "console/refused.html" if request.path.startswith("/console/") else "error.html"
    page = render_template(
        template, title=title_of(problem.status), detail=problem.detail, status=problem.status
    )
    return Response(page, problem.status)


def title_of(status: int) -> str:
    """The heading of an error's page."""
    titles = {404: _("Not found"), 503: _("Please try again in a moment")}
    return str(titles.get(status) or _("That did not work"))


def _http_error(error: HTTPException) -> AnyResponse:
    status = error.code or 500
    if error.response is not None or status < 400:
        return error.get_response()
    details = {
        404: _("There is nothing at this address."),
        405: _("This address does not take this method."),
        413: _("The body is too large: at most 64 KiB."),
        415: _("Send JSON with Content-Type: application/json."),
    }
    detail = details.get(status) or _("The request cannot be understood.")
    answer = problem_or_page(Problem(status, _CODES.get(status, "invalid_request"), detail))
    for name, value in error.get_headers():
        if name in ("Allow", "WWW-Authenticate"):
            answer.headers[name] = value
    return answer


def _database_error(error: SQLAlchemyError) -> Response:
    counters.count("errors", kind="database")
    if cannot_write(error):
        kind = type(error.__cause__ or error).__name__
        log.error("the database cannot be written, is it read-only or its disk full? (%s)", kind)
        detail = _(
            "Our server cannot save anything just now. Nothing is lost; please try again later."
        )
    else:
        log.error("the database failed: %s", type(error).__name__)
        detail = _("We cannot reach our database. Nothing is lost; please try again in a moment.")
    return problem_or_page(Problem(503, "unavailable", detail, retry_after=5))


def _unexpected_error(error: Exception) -> Response:
    counters.count("errors", kind="unexpected")
    log.error("unexpected error in %s", request.endpoint, exc_info=error)
    detail = _("Something went wrong on our side. Please try again in a moment.")
    return problem_or_page(Problem(500, "unavailable", detail, retry_after=5))


def wants_page() -> bool:
    """Whether a browser asks that shows a page: it says so, while `*/*` alone is a program."""
    return _page_over_json() > 0


def wants_json() -> bool:
    """Whether a program asks that says so; `*/*` alone may be a form without a script."""
    return _page_over_json() < 0


def _page_over_json() -> float:
    """By how much a page is preferred to JSON."""
    accepted = request.accept_mimetypes
    json = max(accepted["application/json"], accepted["application/problem+json"])
    return float(accepted["text/html"] - json)
