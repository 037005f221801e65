"""A shop that asks M-PESA about receipts: its questions, and the answers that come later."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from mpesa import awaited, claims, codes, inbox, initiators, receipts
from mpesa import status as statuses
from mpesa.config import Rate
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.status import STATUS_PATH
from mpesa.daraja_access import Access, QueryBudget
from mpesa.initiators import Go, Name
from mpesa.models import HeardResult, StatusQuestion
from tests.factories import PAYER_MSISDN, RECEIPT, raw
from tests.shop import Shop

TEN_A_MINUTE = Rate(10, 60)
LISTED = "196.201.212.69"


def answer(
    receipt: str = RECEIPT, *, code: object = 0, without: Sequence[str] = (), **changed: Any
) -> dict[str, Any]:
    """A result of Transaction Status: of a payment of 150, made at the beginning of a test.

    Args:
        without: names of parameters that are missing.
        changed: other values of parameters, by their names.
    """
    told = {
        "DebitPartyName": f"{PAYER_MSISDN} - JUMA OTIENO",
        "CreditPartyName": "174379 - EXAMPLE SHOP   ",
        "TransactionStatus": "Completed",
        "FinalisedTime": 20261124120010,
        "Amount": 150.0,
        "ReceiptNo": receipt,
        **changed,
    }
    told = {name: value for name, value in told.items() if name not in without}
    parameters = [{"Key": name, "Value": value} for name, value in told.items()]
    told_too = {"ResultParameters": {"ResultParameter": parameters}} if code == 0 else {}
    result = {"ResultType": 0, "ResultCode": code, "ResultDesc": "told", **told_too}
    return {"Result": {**result, "TransactionID": "UKO0000000"}}


class Questions:
    """The questions of a shop; it stands for `Initiators` as well.

    Attributes:
        initiator: in whose name is asked.
        listed: whether an address may be believed.
    """

    def __init__(self, shop: Shop, rate: Rate = TEN_A_MINUTE) -> None:
        self.shop = shop
        self.initiator: Initiator | None = Initiator("status_api", "sealed", "status_api sealed")
        self.budget = QueryBudget(shop.sessions, "status", shop.now, rate)
        self.listed: Callable[[str | None], bool] = lambda _: True
        self.asks = True

    def status(self) -> Initiator | None:
        """As `Initiators.status`."""
        return self.initiator

    def means(self) -> receipts.Needs:
        """What money in needs, with a status initiator."""
        return self.shop.receipt_needs(asks=self.asks, listed=self.listed)

    def needs(self) -> statuses.Needs:
        """What the questions need."""
        access = Access(self.shop.daraja, self.budget, self.shop.now, self)  # type: ignore[arg-type]
        return statuses.Needs(
            access=access,
            budget=self.budget,
            receipts=self.means(),
            short_code="174379",
            public_url="https://pay.example",
            heard_for=timedelta(days=30),
        )

    def ask(self) -> int:
        """Ask about the receipt whose turn it is."""
        with self.shop.sessions() as session:
            return statuses.run_once(session, self.needs())

    def ask_for(self, *, minutes: int) -> None:
        """Look every minute whether something may be asked, and more often in the first."""
        for pause in (15, 15, 15, 15, *[60] * (minutes - 1)):
            self.ask()
            self.shop.now.pass_(seconds=pause)

    @property
    def posted(self) -> list[dict[str, Any]]:
        """The bodies of the questions that Daraja got."""
        return [body for path, body in self.shop.daraja.posts if path == STATUS_PATH]

    @property
    def asked(self) -> list[str]:
        """The receipts that Daraja was asked about."""
        return [body["TransactionID"] for body in self.posted]

    def hear(
        self, body: object, *, of: int = -1, source: str = LISTED, timed_out: bool = False
    ) -> bool:
        """Let an answer to the n-th question arrive, from 0; it is not judged."""
        token = self.posted[of]["ResultURL"].rsplit("/", 1)[1]
        body = body if isinstance(body, bytes) else raw(body)
        with self.shop.sessions() as session:
            return awaited.hear(
                session,
                token,
                body,
                source,
                self.shop.now(),
                self.means().mark_of,
                timed_out=timed_out,
            )

    def judge(self) -> int:
        """Make something of what arrived."""
        with self.shop.sessions() as session:
            return statuses.judge_waiting(session, self.needs())

    def answer(self, body: object, **how: Any) -> None:
        """Let an answer arrive, and judge it."""
        assert self.hear(body, **how)
        self.judge()

    def type(self, transaction_id: str, code: str = RECEIPT, sender: str | None = None) -> None:
        """Let a shopper type a code, as `/sms-code` does."""
        with self.shop.sessions() as session:
            needs = self.shop.inbox_needs()
            inbox.take_code(session, transaction_id, code, needs, sender)
            codes.take_code(session, transaction_id, code, self.means(), sender)

    def tick(self) -> None:
        """What the loop does beside the questions."""
        with self.shop.sessions() as session:
            receipts.judge_waiting(session, self.means())
            receipts.judge_again(session, self.means())
            claims.leave_to_a_person(session, self.means())

    def go(self, once: str = "once") -> bool:
        """Let a manager say go."""
        with self.shop.sessions() as session:
            said = Go(Name.STATUS, "amina", "a new password was set", once)
            return statuses.go(session, said, self.shop.now())

    def standing(self) -> initiators.Standing:
        """What is known of the initiator."""
        assert self.initiator is not None
        with self.shop.sessions() as session:
            mark = initiators.mark_of(self.initiator)
            return initiators.standing(session, Name.STATUS, mark)

    def rows(self) -> Sequence[StatusQuestion]:
        """Every question, oldest first."""
        with self.shop.sessions() as session:
            return session.scalars(select(StatusQuestion).order_by(StatusQuestion.id)).all()

    def heard(self) -> Sequence[HeardResult]:
        """Everything that arrived, oldest first."""
        with self.shop.sessions() as session:
            return session.scalars(select(HeardResult).order_by(HeardResult.id)).all()
