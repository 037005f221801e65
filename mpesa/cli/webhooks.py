"""flask webhooks: what the merchant's server was told, and sending it again."""

from datetime import datetime

import click

from mpesa import webhooks
from mpesa.cli.group import Group
from mpesa.models import WebhookMessage, db
from mpesa.web.services import services
from mpesa.webhooks import DeliveryState, EndpointState

webhooks_group = Group("webhooks", help="What the merchant's server was told.")


@webhooks_group.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--undelivered", is_flag=True, help="Only what was not taken.")
def list_webhooks(limit: int, undelivered: bool) -> None:
    """Print the newest webhooks, one a line, and what keeps others back."""
    session, now = db.session(), services().now()
    for each in webhooks.page(session, limit, undelivered=undelivered):
        click.echo(_line(each, now))
    url = services().settings.webhook_url
    if url is None:
        click.echo("WEBHOOK_URL is not set: nothing is written or sent")
        return
    waiting = webhooks.backlog(session, now)
    click.echo(f"{waiting.count} waiting, {waiting.given_up} given up")
    for line in _hindrances(webhooks.endpoint_state(session, url), now):
        click.echo(line)


@webhooks_group.command("retry")
@click.argument("message_id", required=False)
@click.option("--all-failed", is_flag=True, help="Everything that failed and was not taken.")
def retry(message_id: str | None, all_failed: bool) -> None:
    """Have a webhook sent again at once, and open an endpoint again that answered 410."""
    if (message_id is None) == (not all_failed):
        raise click.UsageError("name one webhook, or say --all-failed")
    session, now = db.session(), services().now()
    if message_id is None:
        count = webhooks.retry_failed(session, now)
    elif webhooks.retry(session, message_id, now):
        count = 1
    else:
        raise click.ClickException(f"there is no webhook {message_id}")
    click.echo(f"{count} to be sent again by the running server")


def _line(message: WebhookMessage, now: datetime) -> str:
    state = webhooks.state_of(message, now)
    last = message.attempts[-1] if message.attempts else None
    answer = (last.status_code or last.failure) if last else "-"
    again = f"  next {_utc(message.next_attempt_at)}" if message.next_attempt_at else ""
    return (
        f"{message.id}  {_utc(message.created_at)}  {message.type:<24}  {message.transaction_id}"
        f"  {state.value:<9}  tries {len(message.attempts)}, last {answer}"
        f"{again if state is DeliveryState.WAITING else ''}"
    )


def _hindrances(state: EndpointState, now: datetime) -> list[str]:
    lines = []
    if state.stopped_at is not None:
        lines.append(
            f"stopped since {_utc(state.stopped_at)}: the endpoint answered 410. Mend it, then"
            " `flask webhooks retry --all-failed`"
        )
    if state.resume_at is not None and state.resume_at > now:
        lines.append(f"paused until {_utc(state.resume_at)}, after {state.failures} failures")
    return lines


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
