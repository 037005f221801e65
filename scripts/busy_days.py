"""Fill a database with days of a shop's payments, one of today's hours a bad one at M-PESA.

`.venv/bin/python -m scripts.busy_days DATABASE_URL [PAYMENTS]`, for pictures and for looking at the
console with something in it. The database has to be migrated; nothing in it is touched.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, create_engine, insert

from mpesa.config import SANDBOX_SHORT_CODE
from mpesa.database import prepare_sqlite
from mpesa.domain import pay_code
from mpesa.domain.matching import normalised
from mpesa.domain.result_codes import RULES, Reason, Status
from mpesa.domain.why import Why
from mpesa.ids import hash_token
from mpesa.models import DecisionRow, EvidenceRow, Order, Receipt, Transaction, Witness
from mpesa.records import fingerprint
from mpesa.simulator.ids import receipt_number

# Nairobi's hours, and how busy a shop is in each.
_BUSY = (1, 1, 0, 0, 1, 3, 9, 18, 26, 30, 32, 38, 52, 55, 44, 40, 42, 54, 66, 62, 44, 26, 12, 4)
_NAIROBI = timedelta(hours=3)
_USUAL: dict[Reason, float] = {
    Reason.PAID: 79, Reason.CANCELLED: 8, Reason.INSUFFICIENT_FUNDS: 5, Reason.WRONG_PIN: 2.5,
    Reason.UNREACHABLE: 3, Reason.EXPIRED: 1, Reason.LINE_BUSY: 0.6, Reason.OVER_LIMIT: 0.4,
    Reason.SYSTEM_BUSY: 0.5, Reason.PAID_LATE: 0.4,
}  # fmt: skip
_BAD: dict[Reason, float] = {
    Reason.PAID: 24, Reason.SYSTEM_BUSY: 41, Reason.UNREACHABLE: 18, Reason.EXPIRED: 8,
    Reason.CANCELLED: 7, Reason.INSUFFICIENT_FUNDS: 2,
}  # fmt: skip
_CODES = {
    Reason.CANCELLED: "1032", Reason.INSUFFICIENT_FUNDS: "1", Reason.WRONG_PIN: "2001",
    Reason.UNREACHABLE: "1037", Reason.EXPIRED: "1019", Reason.LINE_BUSY: "1001",
    Reason.OVER_LIMIT: "3", Reason.SYSTEM_BUSY: "26",
}  # fmt: skip
GOODS = (
    ("Kahawa, 500 g", 950), ("Kiondo basket", 2400), ("Asali, 1 kg", 1200), ("Chai, 250 g", 450),
    ("Kikoi", 1600), ("Sisal hat", 850), ("Mandazi tray", 600), ("Maasai shuka", 1850),
)  # fmt: skip


@dataclass(frozen=True)
class Payment:
    """One made-up payment, before it is rows."""

    number: int
    at: datetime
    reason: Reason
    waited: float
    description: str
    amount: int

    @property
    def status(self) -> Status:
        if self.reason in RULES:
            return Status.FAILED
        paid = self.reason in (Reason.PAID, Reason.PAID_LATE)
        return Status.SUCCESS if paid else Status.PENDING


def fill(engine: Engine, now: datetime, payments: int = 2000, seed: int = 7, days: int = 2) -> None:
    """Write days of payments, the last of them up to `now`.

    Args:
        now: aware UTC.
        payments: how many, about, if the last day were whole.
        seed: the same one makes the same days.
    """
    chance = random.Random(seed)  # noqa: S311 - made-up days, no secrets
    made = list(_days(chance, now, payments / days, days))
    with engine.begin() as connection:
        for table, rows in _rows(chance, made, now):
            for start in range(0, len(rows), 500):
                connection.execute(insert(table), rows[start : start + 500])


def _days(chance: random.Random, now: datetime, a_day: float, days: int) -> Iterator[Payment]:
    midnight = (now + _NAIROBI).replace(hour=0, minute=0, second=0, microsecond=0) - _NAIROBI
    # An hour that is over, and a busy one.
    bad = max(0, (now + _NAIROBI).hour - 4)
    each = a_day / sum(_BUSY)
    number = 0
    for ago in reversed(range(days)):
        begin = midnight - timedelta(days=ago)
        for hour, busy in enumerate(_BUSY):
            count = round(busy * each * chance.uniform(0.85, 1.15))
            for second in sorted(chance.uniform(0, 3600) for _ in range(count)):
                at = begin + timedelta(hours=hour, seconds=second)
                if at < now:
                    number += 1
                    yield _payment(chance, number, at, now, bad=ago == 0 and hour == bad)


def _payment(
    chance: random.Random, number: int, at: datetime, now: datetime, *, bad: bool
) -> Payment:
    odds = _BAD if bad else _USUAL
    [reason] = chance.choices(list(odds), list(odds.values()))
    waited = min(170, chance.lognormvariate(3.4 if bad else 2.5, 0.55))
    if reason in (Reason.UNREACHABLE, Reason.EXPIRED):
        waited = chance.uniform(58, 75)
    if at + timedelta(seconds=waited) > now:
        reason = Reason.AWAITING_PIN if now - at < timedelta(seconds=60) else Reason.OVERDUE
    description, price = chance.choice(GOODS)
    return Payment(number, at, reason, waited, description, price * chance.choice((1, 1, 1, 2, 3)))


def _rows(
    chance: random.Random, made: list[Payment], now: datetime
) -> Iterator[tuple[type, list[dict[str, object]]]]:
    taken = [_taken(chance, each, now) for each in made]
    for index, table in enumerate((Order, Transaction, EvidenceRow, DecisionRow)):
        yield table, [each[index] for each in taken]
    paid = [each for each in taken if each[1]["receipt"]]
    yield Receipt, [_receipt(each[1]) for each in paid]
    yield Witness, [_witness(*each[1:3]) for each in paid]


def _taken(chance: random.Random, each: Payment, now: datetime) -> tuple[dict[str, object], ...]:
    name = f"{each.at:%Y%m%d}{each.number:08d}{chance.getrandbits(32):08x}"
    end = min(now, each.at + timedelta(seconds=each.waited))
    settled = each.status is not Status.PENDING
    final = settled and (each.reason not in RULES or RULES[each.reason].final)
    receipt = receipt_number(end, chance) if each.status is Status.SUCCESS else None
    msisdn = f"2547{chance.randrange(10**8):08d}"
    checkout_id = f"ws_CO_{each.at + _NAIROBI:%d%m%Y%H%M%S}{each.number:05d}{msisdn[3:]}"
    reference = f"DUKA-{each.number:05d}"
    order = {
        "id": f"o{name}", "amount": each.amount, "reference": reference,
        "pay_code": pay_code.draw(chance.randrange), "account_form": normalised(reference),
        "description": each.description, "status": "PAID" if receipt else "OPEN",
        "created_at": each.at - timedelta(seconds=20), "updated_at": end,
    }  # fmt: skip
    transaction = {
        "id": f"t{name}", "order_id": order["id"], "attempt": 1, "msisdn": msisdn,
        "amount": each.amount, "callback_token_hash": hash_token(name),
        "merchant_request_id": f"m-{name}", "checkout_request_id": checkout_id,
        "status": each.status.value, "reason": each.reason.value, "final": final,
        "is_open": each.reason is Reason.AWAITING_PIN, "settles_order": receipt is not None,
        "receipt": receipt, "seq": 3 if settled else 2, "created_at": each.at,
        "updated_at": end, "settled_at": end if settled else None,
    }  # fmt: skip
    evidence = {
        "id": _first_id(each.at) + each.number, "transaction_id": transaction["id"],
        "kind": "callback" if settled else "push_answer", "body": _body(each, receipt, checkout_id),
        "source": "196.201.214.200", "received_at": end,
    }  # fmt: skip
    decision = {
        "evidence_id": evidence["id"], "transaction_id": transaction["id"],
        "status": each.status.value, "reason": each.reason.value, "seq": transaction["seq"],
        "needs_review": False, "why": _why(each), "decided_at": end,
    }  # fmt: skip
    return order, transaction, evidence, decision


def _why(each: Payment) -> str:
    if each.status is Status.SUCCESS:
        return Why.CALLBACK_SAYS_PAID.value
    if each.status is Status.FAILED:
        return f"{Why.CALLBACK_SAYS_FAILED}: {each.reason.value}"
    return Why.PUSH_TAKEN.value


def _body(each: Payment, receipt: str | None, checkout_id: str) -> bytes:
    callback: dict[str, object] = {
        "CheckoutRequestID": checkout_id,
        "ResultCode": 0 if receipt else int(_CODES.get(each.reason, "0")),
        "ResultDesc": "The service request is processed successfully."
        if receipt
        else each.reason.value.replace("_", " "),
    }
    if receipt:
        items = [
            {"Name": "Amount", "Value": float(each.amount)},
            {"Name": "MpesaReceiptNumber", "Value": receipt},
        ]
        callback["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


def _receipt(transaction: dict[str, object]) -> dict[str, object]:
    """The row of the money that a transaction brought."""
    at = transaction["settled_at"]
    return {
        "id": transaction["id"], "organisation": SANDBOX_SHORT_CODE,
        "receipt": transaction["receipt"], "direction": "in",
        "amount": int(str(transaction["amount"])) * 100, "state": "claimed",
        "transaction_id": transaction["id"], "listed": True, "paid_at": at, "learned_at": at,
        "changed_at": at,
    }  # fmt: skip


def _witness(transaction: dict[str, object], evidence: dict[str, object]) -> dict[str, object]:
    """The row that says who told of it: the transaction's callback."""
    told = f"{transaction['id']}{evidence['body']!r}"
    return {
        "receipt_id": transaction["id"], "kind": "callback",
        "fingerprint": fingerprint(told.encode()), "body": b"",
        "transaction_id": transaction["id"], "judged": True,
        "received_at": evidence["received_at"], "told_last_at": evidence["received_at"],
    }  # fmt: skip


def _first_id(at: datetime) -> int:
    """Far above what the database counts itself, so that its own next ones meet none of these."""
    return 1_000_000_000


def main() -> None:
    """Fill the database that is named."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    engine = create_engine(sys.argv[1])
    prepare_sqlite(engine)
    fill(engine, datetime.now(UTC), int((sys.argv[2:] or ["2000"])[0]))


if __name__ == "__main__":
    main()
