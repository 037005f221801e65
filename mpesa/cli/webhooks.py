"""flask webhooks: list the webhooks, send them again, and send a test."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from mpesa import webhooks
from mpesa.cli.group import Group
from mpesa.cli.json_lists import json_option, print_array
from mpesa.cli.times import in_nairobi
from mpesa.domain.snapshot import utc_text
from mpesa.models import WebhookMessage, db
from mpesa.web.http.services import services
from mpesa.webhooks import (
    Answered,
    DeliveryState,
    Endpoint,
    Failure,
    Unanswered,
)

webhooks_group = Group("webhooks", help="List the webhooks, send them again, and send a test.")


@webhooks_group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--undelivered", is_flag=True, help="Only webhooks that were not delivered.")
@json_option
def list_webhooks(limit: int, undelivered: bool, as_json: bool) -> None:
    """Print the newest webhooks, one on each line, and what holds others back."""
    session, now = db.session(), services().now()
    found = webhooks.page(session, limit, undelivered=undelivered)
    if as_json:
        print_array(_as_json(each, now) for each in found)
    else:
        for each in found:
            state = webhooks.state_of(each, now)
            last = each.attempts[-1] if each.attempts else None
            answer = (last.status_code or last.failure) if last else "-"
            subject = each.transaction_id or (each.receipt.receipt if each.receipt else "-")
            again = ""
            if state is DeliveryState.WAITING and each.next_attempt_at:
                again = f"  next {in_nairobi(each.next_attempt_at)}"
            click.echo(
                f"{each.id}  {in_nairobi(each.created_at)}  {each.type:<24}"
                f"  {subject:<22}"
                f"  {state.value:<9}"
                f"  tries {len(each.attempts)}, last {answer}{again}"
            )
    for line in _backlog(session, now):
        click.echo(line, err=as_json)  # for a person, apart from the array


def _backlog(session: Session, now: datetime) -> Iterator[str]:
    """How many webhooks wait, and what holds them back, in lines for a person."""
    url = services().settings.webhook_url
    if url is None:
        yield "WEBHOOK_URL is not set: nothing is written or sent"
        return
    waiting = webhooks.backlog(session, now)
    yield f"{waiting.count} waiting, {waiting.given_up} given up"
    state = webhooks.endpoint_state(session, url)
    if state.stopped_at is not None:
        yield (
            f"stopped since {in_nairobi(state.stopped_at)}: the endpoint answered 410. Fix it, then"
            " `flask webhooks retry --all-failed`"
        )
    if state.resume_at is not None and state.resume_at > now:
        yield f"paused until {in_nairobi(state.resume_at)}, after {state.failures} failures"


@webhooks_group.command("retry")
@click.argument("message_id", required=False)
@click.option("--all-failed", is_flag=True, help="All webhooks that failed and were not delivered.")
def retry(message_id: str | None, all_failed: bool) -> None:
    """Send a webhook again at once, and reopen an endpoint that answered 410."""
    if (message_id is None) == (not all_failed):
        raise click.UsageError(
            "name one webhook by its id, as `flask webhooks list --undelivered` prints it first, or"
            " say --all-failed to send everything again that failed and was not delivered"
        )
    session, now = db.session(), services().now()
    if message_id is None:
        count = webhooks.retry_failed(session, now)
    elif webhooks.retry(session, message_id, now):
        count = 1
    else:
        raise click.ClickException(f"there is no webhook {message_id}")
    click.echo(f"{count} to be sent again by the running server")


@webhooks_group.command("test")
def send_test() -> None:
    """Send one signed message to WEBHOOK_URL now, and print the answer."""
    ours = services()
    if ours.settings.webhook_url is None:
        raise click.ClickException("WEBHOOK_URL is not set: there is nowhere to send a message")
    outcome = webhooks.send_test(
        Endpoint.at(ours.settings.webhook_url, ours.settings.webhook_secret, ours.now)
    )
    match outcome:
        case Answered(status_code=code) if code in range(200, 300):
            click.echo(f"answered {code}: the message was accepted")
        case Answered(status_code=code):
            raise click.ClickException(f"answered {code}: {_ADVICE.get(code, _REFUSED)}")
        case Unanswered(failure=failure):
            raise click.ClickException(_UNANSWERED[failure])


_REFUSED = "the message was not accepted. A type that your server does not know should get a 2xx"
_UNBELIEVED = "the signature was refused. WEBHOOK_SECRET must be the same on both sides"
_MOVED = "redirects are not followed. Set WEBHOOK_URL to the address that answers itself"
_ADVICE = {
    **dict.fromkeys((400, 401, 403), _UNBELIEVED),
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    404: "there is nothing at WEBHOOK_URL's path",
    405: "WEBHOOK_URL's path takes no POST",
}
_UNANSWERED = {
    Failure.TIMED_OUT: "no answer within 15 s. Answer first, and work afterwards",
    Failure.UNREACHABLE: "no connection. Check WEBHOOK_URL's host and port, and that it listens",
    Failure.TLS_FAILED: "TLS failed. Check the certificate of WEBHOOK_URL's host",
    Failure.BROKEN: "the connection broke before an answer came",
}


def _as_json(message: WebhookMessage, now: datetime) -> dict[str, Any]:
    state = webhooks.state_of(message, now)
    again = message.next_attempt_at if state is DeliveryState.WAITING else None
    return {
        "id": message.id,
        "type": message.type,
        "transaction_id": message.transaction_id,
        "receipt": message.receipt.receipt if message.receipt else None,
        "seq": message.seq,
        "state": state.value,
        "created_at": utc_text(message.created_at),
        "delivered_at": utc_text(message.delivered_at) if message.delivered_at else None,
        "next_attempt_at": utc_text(again) if again else None,
        "attempts": [
            {
                "started_at": utc_text(each.started_at),
                "status_code": each.status_code,
                "failure": each.failure,
                "took_ms": each.took_ms,
            }
            for each in message.attempts
        ],
    }
