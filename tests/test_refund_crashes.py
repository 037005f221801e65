"""The process ends at each statement of a refund's life: one reversal at most, and no lie."""

from itertools import count

import pytest
from sqlalchemy import event, select

from mpesa import initiators, refunds
from mpesa.domain.refund import RefundStatus
from mpesa.domain.refusals import TooLate
from mpesa.models import Refund
from tests.conftest import on_both
from tests.test_refunds import REVERSAL, Desk, result

# More statements than a refund takes from the request to its result.
TOO_MANY = 200


class Killed(BaseException):
    """The process ended here."""


class Power:
    """What a process lives on; it is cut before a statement, so after all commits before that."""

    def __init__(self, engine):
        self.left = None
        event.listen(engine, "before_cursor_execute", lambda *_: self.used())

    def used(self):
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            raise Killed

    def is_cut_during(self, work, after):
        """Whether it was cut, after so many statements of the work."""
        self.left = after
        try:
            work()
        except Killed:
            return True
        finally:
            self.left = None
        return False


class Life:
    """One refund, from the request to its result.

    Attributes:
        answered: M-PESA's post of the result got its 200, and is not repeated.
    """

    def __init__(self, shop, number):
        self.shop, self.desk, self.number = shop, Desk(shop), number
        self.answered = False
        shop.confirm(f"of {number}", receipt=number)

    def whole(self):
        refund = self.desk.ask(self.number)
        self.desk.release(refund)
        self.desk.send()
        self.is_answered()

    def is_answered(self):
        told = {"Key": "OriginalTransactionID", "Value": self.number}
        number = f"UKR{self.number[3:]}"
        body = result(TransactionID=number, ResultParameters={"ResultParameter": told})
        self.desk.hear(body, token=self._token())
        self.answered = True

    def goes_on(self):
        """The ticks of the next process, for longer than anything is waited for."""
        for minutes in (0, 1, 11, 25 * 60):
            self.shop.now.pass_(minutes=minutes)
            with self.shop.sessions() as session:
                refunds.judge_waiting(session, self.desk.sending)
            self.desk.tick()
            said = initiators.Go(initiators.Name.REFUND, "baraka", "looked", str(self.shop.now()))
            with self.shop.sessions() as session:
                initiators.go(session, said, self.shop.now())
            self.desk.send()

    def orders(self):
        """The reversals of the receipt that M-PESA was told to make."""
        return [body for _, body in self.shop.daraja.posts if body["TransactionID"] == self.number]

    def status(self):
        """Where its refund stands; None: none was asked for."""
        found = select(Refund.status).where(Refund.receipt == self.number)
        with self.shop.sessions() as session:
            status = session.scalars(found).one_or_none()
        return None if status is None else RefundStatus(status)

    def refund(self):
        """The id of its refund."""
        with self.shop.sessions() as session:
            return session.scalars(select(Refund.id).where(Refund.receipt == self.number)).one()

    def _token(self):
        return self.orders()[-1]["ResultURL"].rsplit("/", 1)[1]


@on_both
def test_wherever_the_process_ends_money_goes_back_once_and_the_books_tell_the_truth(shop):
    power, ends = Power(shop.engine), set()
    for after in count():
        life = Life(shop, f"UKO{after:07d}")
        was_cut = power.is_cut_during(life.whole, after)
        at_once = life.status()
        ordered = len(life.orders())
        assert ordered == 0 or at_once in (
            RefundStatus.SENT,
            RefundStatus.UNKNOWN,
            RefundStatus.SUCCEEDED,
        )

        life.goes_on()

        assert len(life.orders()) <= 1
        ends.add((at_once, life.status()))
        if life.orders():
            assert life.status() in (RefundStatus.UNKNOWN, RefundStatus.SUCCEEDED)
        elif at_once is RefundStatus.SENT:
            assert life.status() is RefundStatus.UNKNOWN
        else:
            assert life.status() in (None, RefundStatus.REFUSED)
        if life.orders() and not life.answered and life.status() is RefundStatus.UNKNOWN:
            life.is_answered()  # M-PESA posts again what got no 200
            assert life.status() is RefundStatus.SUCCEEDED
        if not was_cut:
            break
        assert after < TOO_MANY
    assert life.status() is RefundStatus.SUCCEEDED
    assert {
        (None, None),
        (RefundStatus.REQUESTED, RefundStatus.REFUSED),
        (RefundStatus.RELEASED, RefundStatus.UNKNOWN),
        (RefundStatus.SENT, RefundStatus.UNKNOWN),
        (RefundStatus.SENT, RefundStatus.SUCCEEDED),
        (RefundStatus.SUCCEEDED, RefundStatus.SUCCEEDED),
    } <= ends


@on_both
@pytest.mark.parametrize("arrived", [False, True])
def test_a_process_that_ends_while_it_speaks_to_m_pesa_leaves_it_unknown(shop, arrived):
    life, post = Life(shop, "UKO1ABCDEF"), shop.daraja.post

    def dies(*args, **more):
        if arrived:
            post(*args, **more)
        raise Killed

    shop.daraja.post = dies
    with pytest.raises(Killed):
        life.whole()
    shop.daraja.post = post

    life.goes_on()

    assert life.status() is RefundStatus.UNKNOWN
    assert len(life.orders()) == arrived
    if arrived:
        life.is_answered()
        assert life.status() is RefundStatus.SUCCEEDED
        assert shop.receipt(life.number).returned_by != REVERSAL
    with pytest.raises(TooLate):
        life.desk.release(life.refund())
