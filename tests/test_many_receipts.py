"""Many receipts at once: the same comes of it as one by one, in a few statements and one commit."""

from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text, update
from sqlalchemy.exc import OperationalError

from mpesa import many_receipts
from mpesa.models import Receipt, StatementFile, StatementLine, StatusQuestion, Witness
from mpesa.statements import importing
from tests.conftest import on_both
from tests.factories import RECEIPT, SECOND_PAYER_MSISDN
from tests.statements.desk import Desk, Read
from tests.statements.files import NOON, Entry, Made, charge, reversal
from tests.test_refunds import Desk as RefundDesk

LATER = NOON + timedelta(minutes=5)
TILL = "Merchant Payment from 25471****678 - JANE **** DOE"
PUSHED = "Pay Bill from 25471****678 - JANE **** DOE"


@pytest.fixture
def scene(shop, clock):
    """A day of a shop, in which a statement's lines meet all that they can meet."""
    shop.attempt()
    shop.callback(1, shop.paid())
    shop.attempt(msisdn=SECOND_PAYER_MSISDN, reference="INV-2")
    shop.callback(2, shop.paid(2, receipt="UKO2REFUND"))
    RefundDesk(shop).ask("UKO2REFUND")
    shop.order(reference="SHOES-3", amount=99)
    shop.confirm("JANE", receipt="UKO3KNOWN1", amount="20.00")
    waiting = shop.attempt(reference="INV-4", amount=40)
    with shop.sessions() as session:
        question = StatusQuestion(
            receipt="UKO7TYPED1", transaction_id=waiting, typed_at=shop.now(), times_asked=0
        )
        session.add(question)
        session.commit()
    clock.pass_(seconds=20 * 3600)
    return Desk(shop)


MADE = Made(
    Entry(RECEIPT, 150),  # known, claimed
    charge(RECEIPT, 1),
    Entry("UKO2REFUND", 150, account="SHOES-3"),  # known, on its way back; names another order
    Entry("UKO3KNOWN1", 20, account="JANE", at=LATER),  # known, nobody's
    Entry("UKO4NAMES1", 99, account="shoes 3", at=LATER),  # pays an order by hand
    Entry(
        "UKO5PUSHED", 40, PUSHED, account="INV-4", party=PUSHED[14:], at=LATER
    ),  # a push that was silent
    Entry("UKO6NOBODY", 77, account="X", at=LATER),
    Entry("UKO7TYPED1", 78, account="X", at=LATER),  # a shopper typed its code
    Entry("UKO8TILL11", 79, TILL, account="", at=LATER),
    Entry("UKO8TILL22", 40, TILL, account="", at=LATER),  # may be the push's
    Entry("UKO9CODE99", 5, account="234567891", at=LATER),  # nine digits
    reversal("UKO9REVERS", 77, "UKO6NOBODY", at=LATER),
)
KNOWN_AFTER = {
    RECEIPT: ("claimed", False, "callback statement", "known"),
    "UKO2REFUND": ("claimed", False, "callback statement", "known"),
    "UKO3KNOWN1": ("unclaimed", False, "confirmation statement", "unclaimed"),
    "UKO4NAMES1": ("claimed", False, "statement", "claimed"),
    "UKO5PUSHED": ("claimed", False, "statement", "claimed"),
    "UKO6NOBODY": ("returned", False, "statement", "unclaimed"),
    "UKO7TYPED1": ("unclaimed", False, "statement", "unclaimed"),
    "UKO8TILL11": ("unclaimed", False, "statement", "unclaimed"),
    "UKO8TILL22": ("unclaimed", False, "statement", "unclaimed"),
    "UKO9CODE99": ("unclaimed", False, "statement", "unclaimed"),
}


def books(shop):
    """Each receipt of money in: its state, whether a person has to look, who told, the verdict."""
    with shop.sessions() as session:
        words = {
            each.receipt: each.verdict
            for each in session.scalars(
                select(StatementLine).where(StatementLine.kind == "payment")
            )
        }
        return {
            each.receipt: (
                each.state,
                each.needs_review,
                " ".join(
                    sorted(
                        session.scalars(select(Witness.kind).where(Witness.receipt_id == each.id))
                    )
                ),
                words[each.receipt],
            )
            for each in session.scalars(select(Receipt).where(Receipt.direction == "in"))
        }


def what_is_told(shop):
    columns = (Receipt.receipt, Receipt.account, Receipt.payer_name, Receipt.paid_at, Receipt.trust)
    with shop.sessions() as session:
        found = session.execute(select(*columns, Receipt.payer_masked).order_by(Receipt.receipt))
        return [tuple(each) for each in found]


@on_both
@pytest.mark.parametrize("at_once", [True, False])
def test_the_same_comes_of_many_at_once_as_one_by_one(shop, scene, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(many_receipts, "take_in", lambda *_: {})

    scene.import_(MADE)

    assert books(shop) == KNOWN_AFTER
    known = {each[0]: each[1:] for each in what_is_told(shop)}
    assert known[RECEIPT] == ("INV-1", "TEST", NOON, 0, "25470****149")
    assert known["UKO6NOBODY"] == ("X", "TEST", LATER, 0, "25470****149")


@on_both
def test_what_was_told_before_is_counted_and_changes_nothing(shop, scene):
    file_id = scene.import_(Made(Entry(RECEIPT, 150)))
    before = what_is_told(shop)
    with shop.sessions() as session:  # as after a crash
        session.execute(update(StatementLine).values(verdict=None))
        session.execute(update(StatementFile).values(done_at=None, settled=0))
        session.commit()

    assert scene.settle(file_id)

    with shop.sessions() as session:
        told = session.scalars(select(Witness).where(Witness.kind == "statement")).one()
        assert (told.times, session.scalar(select(func.count()).select_from(Receipt))) == (2, 3)
    assert what_is_told(shop) == before


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_receipt_that_is_locked_is_not_waited_for_and_the_others_are_taken_in(shop, scene):
    tellings = [
        many_receipts.Telling(importing._line(each).told("174379"), importing._arrived(each))
        for each in Read(MADE.as_csv(), scene.asked(scene.given(MADE))).lines()
        if each.kind == "payment"
    ]
    with shop.sessions() as holder, shop.sessions() as session:
        holder.execute(
            text("SELECT id FROM receipts WHERE receipt = :number FOR UPDATE"), {"number": RECEIPT}
        )
        session.execute(text("SET lock_timeout = '1s'"))

        words = many_receipts.take_in(session.connection(), tellings, shop.receipt_needs())

        assert words == {"UKO6NOBODY": "unclaimed", "UKO8TILL11": "unclaimed"}


@on_both
def test_a_witness_that_was_faster_costs_the_batch_nothing(shop, scene, monkeypatch):
    known = many_receipts._known

    def too_late(connection, organisation, numbers):
        found, locked = known(connection, organisation, numbers)
        return found - {"UKO3KNOWN1"}, locked

    monkeypatch.setattr(many_receipts, "_known", too_late)

    scene.import_(MADE)

    assert books(shop) == KNOWN_AFTER


@on_both
def test_a_crash_between_reading_and_writing_leaves_nothing_half_done(shop, scene, monkeypatch):
    def cut(*_):
        raise OperationalError("cut", {}, Exception("the database is gone"))

    file_id, _ = scene.keep(Made(Entry(RECEIPT, 150), Entry("UKO6NOBODY", 77, account="X")))
    monkeypatch.setattr(importing, "_write_verdicts", cut)
    with pytest.raises(OperationalError):
        scene.settle(file_id)

    with shop.sessions() as session:
        kinds = session.scalars(select(Witness.kind).where(Witness.kind == "statement")).all()
        assert (kinds, session.scalars(select(StatementLine.verdict)).all()) == ([], [None, None])


@pytest.mark.parametrize("known", [True, False])
def test_a_hundred_lines_that_change_no_order_take_few_statements(shop, scene, known):
    numbers = [f"UKO1A{n:05}" for n in range(100)]
    made = Made(*(Entry(each, 5, account="X") for each in numbers))
    file_id, _ = scene.keep(made)
    if known:
        scene.import_(Made(*(Entry(each, 5, account="X") for each in numbers), charge(RECEIPT, 1)))
        with shop.sessions() as session:
            session.execute(update(Receipt).values(state="returned"))
            session.execute(update(StatementLine).values(verdict=None, file_id=file_id))
            session.execute(
                update(StatementFile)
                .where(StatementFile.id == file_id)
                .values(stored=StatementFile.rows)
            )
            session.commit()
    sent = []

    def count(_connection, _cursor, statement, _values, _context, _many):
        sent.append(statement.split()[0])

    event.listen(shop.engine, "before_cursor_execute", count)
    scene.settle(file_id, made)
    event.remove(shop.engine, "before_cursor_execute", count)

    assert sent.count("BEGIN") + sent.count("SELECT") < 30
    assert len(sent) < 50
