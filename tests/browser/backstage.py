"""What shoppers cannot see: evidence that another process records, and a clock that was moved."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import update

from app import create_app
from mpesa import ledger, receipts
from mpesa.domain.callback import StkResult
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import CallbackReceived, OperatorSaysNotPaid
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import Order, Transaction, db
from mpesa.runtime.wiring import utc_now
from mpesa.web.http.services import services
from tests.factories import confirmation, make_settings, raw

_receipts = count(1)


class Backstage:
    """A second process on the same database, as a worker or a command would be."""

    def __init__(self, database_url):
        self.app = create_app(make_settings(DATABASE_URL=database_url))

    def call_back(self, transaction_id, code):
        """Daraja's callback with a failure code arrives at another worker."""
        with self.app.app_context():
            row = db.session.get_one(Transaction, transaction_id)
            ids = row.merchant_request_id, row.checkout_request_id
        self._record(transaction_id, CallbackReceived(StkResult(code, *ids)), Kind.CALLBACK)

    def confirm(self, account, proof_from=None, **changed):
        """M-PESA's confirmation of money that was just sent to an account reaches another worker.

        Args:
            proof_from: the cents from which it needs a second witness.
        """
        told = {
            "receipt": f"UKO{next(_receipts):07d}",
            "TransTime": datetime.now(NAIROBI).strftime("%Y%m%d%H%M%S"),
            **changed,
        }
        with self.app.app_context():
            needs = receipts.needs_of(services().settings, utc_now, lambda _changes: None)
            needs = replace(needs, proof_from=proof_from)
            body = raw(confirmation(account, **told))
            receipts.receive(db.session(), body, "196.201.212.69", needs)

    def say_not_paid(self, transaction_id):
        """The operator found no money."""
        self._record(transaction_id, OperatorSaysNotPaid(), Kind.OPERATOR)

    def age(self, transaction_id, seconds):
        """Let a transaction have begun so much earlier, its waits included."""
        earlier = timedelta(seconds=seconds)
        with self.app.app_context():
            row = db.session.get_one(Transaction, transaction_id)
            moved = {
                name: getattr(row, name) - earlier
                for name in ("created_at", "retry_at", "prompt_ends_at")
                if getattr(row, name)
            }
            db.session.execute(
                update(Transaction).where(Transaction.id == transaction_id).values(**moved)
            )
            db.session.commit()

    def expire(self, order_id):
        """Let the time to pay an order run out a second ago."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        with self.app.app_context():
            db.session.execute(update(Order).where(Order.id == order_id).values(expires_at=past))
            db.session.commit()

    def _record(self, transaction_id, evidence, kind):
        with self.app.app_context():
            ledger.record(db.session(), transaction_id, evidence, Raw(kind), utc_now)
