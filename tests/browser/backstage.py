"""What shoppers cannot see: evidence that another process records, and a clock that was moved."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from app import create_app
from mpesa import ledger
from mpesa.domain.callback import StkResult
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import CallbackReceived, OperatorSaysNotPaid
from mpesa.models import Order, Transaction, db
from mpesa.runtime.wiring import utc_now
from tests.factories import make_settings


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
