"""Everything that people, M-PESA, crashes and the clock can do to refunds, in any order.

Hypothesis plays a small world against the real application: receipts, the people of a shop, and a
bank with a ledger of its own. What is held after every step:

- No reversal is ordered of a receipt of which an earlier one may still run, or ran, unless a
  manager said that the money did not go back; and each refund is ordered once.
- What is `succeeded` here was returned there, or a manager said so.
- What the bank may still run, or ran, is `sent`, `unknown` or `succeeded` here, or a manager said
  that it did not go back. No crash makes it look as if nothing had been sent.
- No day exceeds its limit, but for what had failed before M-PESA gave it back after all.
- Nobody releases their own request.
- A receipt names the one refund of its that is under way. It is claimed by nobody meanwhile, and
  never again once it is returned; then nothing waits to be sent.
- Each change of a refund is one step and raises its `seq` by one.
"""

import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event, select

from app import create_app
from mpesa import initiators, receipts, refunds
from mpesa.daraja import NotSent, Refused, UnknownOutcome
from mpesa.daraja.answers import Answer
from mpesa.domain.refund import COUNTED, UNDER_WAY, RefundStatus
from mpesa.domain.refusals import (
    AlreadyReturned,
    OnItsWayBack,
    OrderPaid,
    ReceiptError,
    RefundError,
)
from mpesa.domain.result_codes import Reason
from mpesa.models import Receipt, Refund, RefundStep, Transaction, db
from mpesa.receipts import Claim
from mpesa.runtime import database
from tests.factories import make_settings, raw
from tests.fakes import Clock, FakeDaraja
from tests.shop import Shop
from tests.test_refunds import Desk, result

STORIES, RUNS, STEPS = 8, 5, 35
START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
UNLISTED = "203.0.113.9"
AMOUNT = 15_000
LIMIT = 2 * AMOUNT + 1
MOST_RECEIPTS = 5
WHICH = st.integers(0, 7)
PEOPLE = st.sampled_from(("amina", "baraka", "chege"))
# After how many statements the process ends; most live.
DIES = st.one_of(st.none(), st.none(), st.integers(1, 30))
SENDINGS = (
    *("accepted",) * 4,
    *("refused", "not sent", "lost on the way", "answer lost"),
    *("dies before", "dies after", "result first"),
)
FAILURES = st.sampled_from(("1", "21", "R000002", "TP40153"))
TIMES = st.sampled_from((1, 20, 51, 601, 3600, 90_000))
STEPS_OF_THE_CLOCK = st.sampled_from((-7200, -30, 30, 7200))


class Killed(BaseException):
    """The process ended here."""


_NEVER_THERE = {
    "refused": Refused(Reason.MISCONFIGURED),
    "not sent": NotSent(Reason.SYSTEM_BUSY),
    "lost on the way": UnknownOutcome(),
    "dies before": Killed(),
}
_NO_ANSWER = {"dies after": Killed(), "answer lost": UnknownOutcome()}


@dataclass(eq=False)
class Order:
    """A reversal that the bank was told to make.

    Attributes:
        refund: the beginning of its id, which the remarks have.
        waits: it may still run.
        told: what was posted of it, to be posted again.
    """

    receipt: str
    refund: str
    token: str
    conversation: str
    waits: bool = True
    ran: bool = False
    told: list[bytes] = field(default_factory=list)


class Bank(FakeDaraja):
    """M-PESA with a ledger of its own.

    Attributes:
        returned: the receipts whose money is back, by whom.
        given_up: the refunds of which a manager said that the money did not go back.
        broken: promises that were broken while it was spoken to.
    """

    def __init__(self):
        super().__init__()
        self.how = "accepted"
        self.orders = []
        self.returned = {}
        self.given_up = set()
        self.broken = []
        self.ordered = Counter()
        self.meanwhile = lambda _order: None

    def post(self, path, body, *, budget, largest=0):
        how, receipt = self.how, body["TransactionID"]
        token = body["ResultURL"].rsplit("/", 1)[1]
        order = Order(receipt, body["Remarks"].split()[1], token, f"AG_{len(self.orders)}")
        self._look_for_a_second(order)
        if how in _NEVER_THERE:
            raise _NEVER_THERE[how]
        self.orders.append(order)
        if how in _NO_ANSWER:
            raise _NO_ANSWER[how]
        if how == "result first":
            self.meanwhile(order)
        return Answer(200, raw({"ResponseCode": "0", "ConversationID": order.conversation}))

    def _look_for_a_second(self, order):
        self.ordered[order.refund] += 1
        if self.ordered[order.refund] > 1:
            self.broken.append("a refund is sent twice")
        for other in self.orders:
            may_be_back = other.receipt == order.receipt and (other.waits or other.ran)
            if may_be_back and other.refund not in self.given_up:
                self.broken.append("a second reversal of what may be back already")

    def run(self, order):
        """Give the money back, if it is not back already; the code of the result."""
        order.waits = False
        if order.receipt in self.returned:
            return "R000001"
        order.ran = True
        self.returned[order.receipt] = "us"
        return "0"


class RefundMachine(RuleBasedStateMachine):
    """One shop, its people and its bank."""

    def __init__(self):
        super().__init__()
        self.stage = _stage()
        self.stage.clear()
        self.bank, self.now = Bank(), self.stage.now
        self.bank.meanwhile = self._run_and_tell
        self.shop = Shop(self.stage.app, self.now, self.bank)
        self.desk = Desk(self.shop, limit=LIMIT)
        self.receipts, self.orders = [], []
        self.said_back = set()
        self.seqs = {}
        self.claimed_at = {}

    @initialize()
    def begin(self):
        self._pay(claimed=True)
        self._pay(claimed=False)

    # -- people ----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.receipts) < MOST_RECEIPTS)
    @rule(claimed=st.booleans())
    def money_comes(self, claimed):
        self._pay(claimed=claimed)

    @rule(which=WHICH, by=PEOPLE, returns_all=st.booleans(), dies=DIES)
    def ask(self, which, by, returns_all, dies):
        receipt = self._pick(self.receipts, which)
        with self._may_die(dies):
            self.desk.ask(receipt, by, returns_all=returns_all)

    @rule(which=WHICH, by=PEOPLE, dies=DIES)
    def release(self, which, by, dies):
        if found := self._refunds(RefundStatus.REQUESTED):
            with self._may_die(dies):
                self.desk.release(self._pick(found, which).id, by, returns_all=True)

    @rule(which=WHICH, by=PEOPLE, how=st.sampled_from(SENDINGS))
    def give_back(self, which, by, how):
        """All the way to the bank, so that stories get there."""
        self.ask(which, "amina", returns_all=True, dies=None)
        self.release(which, by, dies=None)
        self.send(how, dies=None)

    @rule(which=WHICH, dies=DIES)
    def refuse(self, which, dies):
        if found := self._refunds(RefundStatus.REQUESTED):
            with self._may_die(dies), self.shop.sessions() as session:
                refunds.refuse(session, self._pick(found, which).id, "baraka", self.desk.needs)

    @rule(which=WHICH, back=st.booleans(), dies=DIES)
    def end(self, which, back, dies):
        if found := self._refunds(RefundStatus.UNKNOWN):
            refund = self._pick(found, which).id
            (self.said_back if back else self.bank.given_up).add(refund if back else refund[:8])
            with self._may_die(dies), self.shop.sessions() as session:
                refunds.end(session, refund, "baraka", self.desk.needs, back=back)

    @rule(which=WHICH, order=WHICH, dies=DIES)
    def claim(self, which, order, dies):
        number = self._pick(self.receipts, which)
        before = self.shop.receipt(number)
        claim = Claim(number, self._pick(self.orders, order), "amina")
        refusal = None
        with self._may_die(dies), self.shop.sessions() as session:
            try:
                receipts.claim(session, claim, self.shop.receipt_needs())
            except (ReceiptError, OrderPaid) as error:
                refusal = error
            if before.state == "returned":
                assert isinstance(refusal, AlreadyReturned)
            elif before.state == "unclaimed" and before.refund_id:
                assert isinstance(refusal, OnItsWayBack)

    @rule(which=WHICH, order=WHICH)
    def is_confirmed_again(self, which, order):
        account = self.shop.order_row(self._pick(self.orders, order)).pay_code
        self.shop.confirm(account, receipt=self._pick(self.receipts, which))

    @rule()
    def says_go(self):
        said = initiators.Go(initiators.Name.REFUND, "baraka", "looked", str(self.now.passed))
        with self.shop.sessions() as session:
            initiators.go(session, said, self.now())

    # -- the bank --------------------------------------------------------------------------------

    @rule(how=st.sampled_from(SENDINGS), dies=DIES)
    def send(self, how, dies):
        self.bank.how = how
        with self._may_die(dies):
            self.desk.send()

    @rule(which=WHICH, dies=DIES)
    def result_succeeds(self, which, dies):
        if waiting := [each for each in self.bank.orders if each.waits]:
            self._run_and_tell(self._pick(waiting, which), dies)

    @rule(which=WHICH)
    def runs_in_silence(self, which):
        if waiting := [each for each in self.bank.orders if each.waits]:
            self.bank.run(self._pick(waiting, which))

    @rule(which=WHICH, code=FAILURES, dies=DIES)
    def result_fails(self, which, code, dies):
        if waiting := [each for each in self.bank.orders if each.waits]:
            order = self._pick(waiting, which)
            order.waits = False
            self._tell(order, self._body(order, code), dies)

    @rule(which=WHICH, dies=DIES)
    def is_told_again_or_for_the_first_time(self, which, dies):
        over = [each for each in self.bank.orders if each.told or each.ran]
        if over:
            order = self._pick(over, which)
            body = order.told[-1] if order.told else self._body(order, "0")
            self._tell(order, body + b"\n", dies)

    @rule(which=WHICH, what=st.sampled_from(("time-out", "unclear", "elsewhere", "another's")))
    def is_told_oddly(self, which, what):
        if not self.bank.orders:
            return
        order = self._pick(self.bank.orders, which)
        match what:
            case "time-out":
                self.desk.hear(b"{}", token=order.token, timed_out=True)
            case "unclear":
                self.desk.hear(self._body(order, "26"), token=order.token)
            case "elsewhere":
                body = self._body(order, "0")
                self.desk.hear(body, token=order.token, source=UNLISTED)
            case "another's":
                body = raw(result("0", ConversationID="AG_other"))
                self.desk.hear(body, token=order.token)

    @rule(which=WHICH, is_released=st.booleans(), is_back=st.booleans())
    def what_failed_is_heard_of_again(self, which, is_released, is_back):
        """It was asked for once more meanwhile; M-PESA gave it back after all, or knows nothing."""
        self.give_back(which, "baraka", "accepted")
        self.result_fails(0, "1", dies=None)
        failed = [e for e in self.bank.orders if e.told and not (e.waits or e.ran)]
        if not failed:
            return
        order = failed[-1]
        with self._may_die(None):
            again = self.desk.ask(order.receipt, "amina", returns_all=True)
            if is_released:
                self.desk.release(again, "baraka", returns_all=True)
        if is_back:
            self._run_and_tell(order)
        else:
            self.desk.hear(b"{}", token=order.token, timed_out=True)

    @rule(which=WHICH)
    def somebody_reverses_it_on_the_portal(self, which):
        self.bank.returned.setdefault(self._pick(self.receipts, which), "the portal")

    @rule(which=WHICH, dies=DIES)
    def status_says_reversed(self, which, dies):
        if self.bank.returned:
            number = self._pick(sorted(self.bank.returned), which)
            with self._may_die(dies), self.shop.sessions() as session:
                refunds.note_returned(session, number, self.desk.needs)

    # -- time ------------------------------------------------------------------------------------

    @rule(seconds=TIMES, dies=DIES)
    def time_passes(self, seconds, dies):
        self.now.pass_(seconds=seconds)
        with self._may_die(dies):
            self._tick()

    @rule(seconds=STEPS_OF_THE_CLOCK)
    def somebody_sets_the_clock(self, seconds):
        self.now.step(seconds=seconds)

    # -- the laws --------------------------------------------------------------------------------

    @invariant()
    def nothing_is_sent_twice(self):
        assert self.bank.broken == []

    @invariant()
    def the_books_tell_the_truth(self):
        with self.shop.sessions() as session:
            found = session.scalars(select(Refund)).all()
            steps = session.scalars(select(RefundStep).order_by(RefundStep.id)).all()
            known = {each.id: each for each in session.scalars(select(Receipt))}
            shown = session.execute(select(Transaction.id, Transaction.seq)).all()
        histories = {
            each.id: [step.status for step in steps if step.refund_id == each.id] for each in found
        }
        for each in found:
            self._is_true(each)
            assert each.seq == len(histories[each.id])
            assert histories[each.id][-1] == each.status
            assert each.released_by is None or each.released_by != each.requested_by
        for receipt in known.values():
            of_it = [each for each in found if each.receipt_id == receipt.id]
            self._is_consistent(receipt, of_it)
        self._keeps_the_limit(found, histories)
        for transaction_id, seq in shown:
            assert seq >= self.seqs.get(transaction_id, 0)
            self.seqs[transaction_id] = seq

    def _is_true(self, refund):
        status, mark = RefundStatus(refund.status), refund.id[:8]
        if status is RefundStatus.SUCCEEDED:
            assert refund.receipt in self.bank.returned or refund.id in self.said_back
        for order in self.bank.orders:
            if order.refund != mark or not (order.waits or order.ran):
                continue
            if mark in self.bank.given_up:
                continue
            assert status in (RefundStatus.SENT, RefundStatus.UNKNOWN, RefundStatus.SUCCEEDED)

    def _is_consistent(self, receipt, of_it):
        under_way = [each.id for each in of_it if RefundStatus(each.status) in UNDER_WAY]
        assert under_way == ([receipt.refund_id] if receipt.refund_id else [])
        if any(each.status == "succeeded" for each in of_it):
            assert receipt.state == "returned"
        if receipt.state == "returned":
            assert not any(each.status in ("requested", "released") for each in of_it)
        if receipt.refund_id is not None or receipt.state == "returned":
            was = self.claimed_at.get(receipt.id, receipt.transaction_id)
            assert receipt.transaction_id == was, "claimed on its way back"
            self.claimed_at[receipt.id] = receipt.transaction_id
        else:
            self.claimed_at.pop(receipt.id, None)

    @staticmethod
    def _keeps_the_limit(found, histories):
        days = Counter()
        for each in found:
            counts = RefundStatus(each.status) in COUNTED and "failed" not in histories[each.id]
            if each.released_day and counts:
                days[each.released_day] += each.amount
        assert all(taken <= LIMIT for taken in days.values())

    def teardown(self):
        """The next ticks of a process that lives leave nothing that only looks under way."""
        try:
            self.now.pass_(days=2)
            self._tick()
            self.now.pass_(minutes=11)
            self._tick()
            assert self._refunds(RefundStatus.SENT) == []
            assert self._refunds(RefundStatus.REQUESTED) == []
            self.the_books_tell_the_truth()
        finally:
            self.stage.statements_left = None

    # -- how -------------------------------------------------------------------------------------

    def _pay(self, *, claimed):
        number = f"UKO{len(self.receipts):07d}"
        order = self.shop.order(reference=f"INV-{len(self.orders)}")
        self.orders.append(order)
        account = self.shop.order_row(order).pay_code if claimed else "nobody's"
        self.receipts.append(number)
        self.shop.confirm(account, receipt=number)

    def _run_and_tell(self, order, dies=None):
        code = self.bank.run(order)
        self._tell(order, self._body(order, code), dies)

    def _body(self, order, code):
        told = [{"Key": "OriginalTransactionID", "Value": order.receipt}]
        reversal = f"UKR{self.bank.orders.index(order):07d}"
        return raw(
            result(
                code,
                TransactionID=reversal,
                ConversationID=order.conversation,
                ResultParameters={"ResultParameter": told},
            )
        )

    def _tell(self, order, body, dies=None):
        """It is posted; the process may end while it is taken in, and M-PESA posts it no more."""
        order.told.append(body)
        with self._may_die(dies):
            self.desk.hear(body, token=order.token)

    def _tick(self):
        with self.shop.sessions() as session:
            refunds.judge_waiting(session, self.desk.sending)
            refunds.run_deadlines(session, self.desk.sending)

    @contextmanager
    def _may_die(self, after):
        self.stage.statements_left = after
        try:
            yield
        except (Killed, RefundError):
            pass
        finally:
            self.stage.statements_left = None

    def _refunds(self, status):
        with self.shop.sessions() as session:
            found = select(Refund).where(Refund.status == status.value)
            return session.scalars(found.order_by(Refund.created_at, Refund.id)).all()

    @staticmethod
    def _pick(among, which):
        """Counted from the newest."""
        return among[-1 - which % len(among)]


class Stage:
    """One application, on which all stories are played."""

    def __init__(self):
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
        folder = Path(tempfile.mkdtemp(prefix="mpesa-refunds-", dir=memory))
        self.file, self._migrated = folder / "mpesa.sqlite", folder / "migrated.sqlite"
        self.now, self.statements_left = Clock(START), None
        own = make_settings(DATABASE_URL=f"sqlite:///{self.file}")
        self.app = create_app(own, daraja=FakeDaraja(), now=self.now, monotonic=self.now.monotonic)
        with self.app.app_context():
            database.migrate()
            db.engine.dispose()
            shutil.copy(self.file, self._migrated)
            event.listen(db.engine, "before_cursor_execute", lambda *_: self._statement())

    def clear(self):
        """Begin another story, with nothing in the database."""
        self.statements_left = None
        self.now.time, self.now.passed = START, 0.0
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
        for file in self.file.parent.glob("mpesa.sqlite*"):
            file.unlink()
        shutil.copy(self._migrated, self.file)

    def _statement(self):
        if self.statements_left is None:
            return
        self.statements_left -= 1
        if self.statements_left < 0:
            raise Killed


@cache
def _stage():
    return Stage()


@pytest.mark.parametrize("number", range(STORIES))
def test_money_goes_back_once_and_the_books_tell_the_truth(number):
    machine = type("Story", (RefundMachine,), {})
    seed(number)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
