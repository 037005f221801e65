"""Whose money a receipt is: what is known of it, and of the orders it may belong to -> a verdict.

Pure: no I/O, no clock. `receipts` looks up what is judged here, and the ledger writes it down.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from mpesa.domain.attempt import Account, Attempt, Channel, Order, OrderStatus
from mpesa.domain.receipt import State
from mpesa.domain.result_codes import Status
from mpesa.domain.told import Payer, Told, WitnessKind

# The clocks of M-PESA and of this server may differ by this much.
_CLOCKS = timedelta(minutes=1)
# A push is paid within its prompt's life, and heard of a while later.
_AFTER_PUSH = timedelta(minutes=15)
# The zone of a doubtful time is UTC or Nairobi's, three hours ahead of it.
_ZONES_APART = timedelta(hours=3)
# Before M-PESA began: an order is never paid by money whose time nobody knows.
_LONG_AGO = datetime(2007, 1, 1, tzinfo=UTC)
# M-PESA tells these when the money moves; a row of Pull or of a statement may be days behind.
_TOLD_AT_ONCE = frozenset({WitnessKind.CALLBACK, WitnessKind.CONFIRMATION})
# A shorter reference would fit what people type by chance.
_SHORTEST_REFERENCE = 4
MOST_SUGGESTIONS = 3


class Fit(StrEnum):
    """Whether a payer's number is one that we know."""

    SAME = "same"
    OTHER = "other"
    CANT_TELL = "cant_tell"


@dataclass(frozen=True, slots=True)
class Heard:
    """A receipt with all that is now known of it.

    Attributes:
        told: what its witnesses tell; the first that tells a thing counts.
        kinds: of all its witnesses.
        heard_at: when the first of them arrived, aware UTC.
        listed: at least one of them came from an address that may be believed.
    """

    told: Told
    kinds: frozenset[WitnessKind]
    heard_at: datetime
    listed: bool = True

    @property
    def earliest(self) -> datetime:
        """When it was paid, by the earlier reading of a time whose zone is not known."""
        if self.told.paid_at is not None:
            return self.told.paid_at
        return self.heard_at if self.kinds & _TOLD_AT_ONCE else _LONG_AGO

    @property
    def readings(self) -> tuple[datetime, ...]:
        """Every moment at which it may have been paid or was heard of."""
        paid_at = self.told.paid_at
        if paid_at is None:
            return (self.heard_at,) if self.kinds & _TOLD_AT_ONCE else ()
        if self.told.paid_at_doubtful:
            return (paid_at, paid_at + _ZONES_APART)
        return (paid_at, self.heard_at)


@dataclass(frozen=True, slots=True)
class GivePush:
    """It is the money of a push."""

    order_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class GiveByHand:
    """It pays an order by hand: the order's newest unpaid hand transaction, or a new one."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Keep:
    """It is nobody's yet.

    Attributes:
        suggestions: ids of orders that it may belong to, the likeliest first.
        ask: the (order id, transaction id) of a push about which Daraja is to be asked at once.
        in_sight_of: the id of the order that it names, while it is not proven.
    """

    state: State
    suggestions: tuple[str, ...] = ()
    ask: tuple[str, str] | None = None
    in_sight_of: str | None = None


Verdict = GivePush | GiveByHand | Keep


def judge(
    heard: Heard,
    accounts: Sequence[Account],
    proof_from: int | None,
    mark_of: Callable[[str], str],
) -> Verdict:
    """Say whose a receipt is that is new, unproven or unclaimed: rows 6 to 11 of the table.

    Args:
        accounts: every order that it may belong to: by its pay code, its reference, or a push of it
            (docs/money.md has the table).
        proof_from: cents from which the word of a confirmation alone does not suffice; None: never.
        mark_of: the SHA-256 of a number, by which a hashed payer is compared.

    Returns:
        The verdict; money that no rule gives to an order is kept.
    """
    told = heard.told
    form = normalised(told.account or "")
    by_code = [each for each in accounts if form and form == each.order.pay_code]
    by_reference = [
        each
        for each in accounts
        if each not in by_code
        and len(form) >= _SHORTEST_REFERENCE
        and form == normalised(each.order.reference)
    ]
    then_open = [each for each in by_reference if was_open(each.order, heard.earliest)]
    named = [*by_code, *then_open]
    alone = heard.kinds == {WitnessKind.CONFIRMATION}
    lacks_proof = alone and proof_from is not None and told.amount >= proof_from
    if not heard.listed or lacks_proof:
        in_sight = named[0].order.id if len(named) == 1 and heard.listed else None
        return Keep(State.UNPROVEN, _ids(named), in_sight_of=in_sight)
    in_time = [each for each in accounts if heard.earliest >= each.order.created_at - _CLOCKS]
    # Where the zone is not known, a push tells by its own time which reading is meant.
    by_push = _of_a_push(heard, accounts if told.paid_at_doubtful else in_time, mark_of)
    if by_push is not None:
        return by_push
    if len(named) == 1 and named[0] in in_time and named[0].order.amount * 100 == told.amount:
        return GiveByHand(named[0].order.id)
    if named or by_reference:
        return Keep(State.UNCLAIMED, _ids([*named, *by_reference]))
    return Keep(State.UNCLAIMED, _ids(_nearly(heard, in_time, mark_of)))


def _of_a_push(
    heard: Heard, accounts: Sequence[Account], mark_of: Callable[[str], str]
) -> Verdict | None:
    """Rows 7 to 8a: the account that a push sent, or no account and its payer; None: neither."""
    told = heard.told
    pushes = [
        (account, each)
        for account in accounts
        for each in account.attempts
        if _may_be_the_push(heard, each)
    ]
    fits = {each.id: fit(told.payer, each.msisdn, mark_of) for _, each in pushes}
    by_account = [
        (account, each)
        for account, each in pushes
        if told.account
        and told.account == each.account_reference
        and fits[each.id] is not Fit.OTHER
    ]
    one_order = len({account.order.id for account, _ in by_account}) == 1
    if by_account and (not one_order or (told.paid_at_doubtful and len(by_account) > 1)):
        return Keep(State.UNCLAIMED, _ids(account for account, _ in by_account))
    if by_account:
        account, _ = by_account[0]
        push = _likeliest([each for _, each in by_account], fits)
        return GivePush(account.order.id, push.id)
    if not told.account:
        same = [(account, each) for account, each in pushes if fits[each.id] is Fit.SAME]
        if len(same) == 1:
            account, push = same[0]
            if push.status is Status.SUCCESS:
                return GivePush(account.order.id, push.id)
            if told.payer.exact:
                return Keep(State.UNCLAIMED, (account.order.id,), ask=(account.order.id, push.id))
    return None


def _likeliest(pushes: Sequence[Attempt], fits: Mapping[str, Fit]) -> Attempt:
    """Of one order's pushes: the payer's own, then the newest."""
    return min(pushes, key=lambda each: (fits[each.id] is not Fit.SAME, -each.attempt))


@dataclass(frozen=True, slots=True)
class Typed:
    """The receipt that a shopper typed out of an SMS.

    Attributes:
        at: when, aware UTC.
        names_another: its account is the name of another order, or nearly one.
    """

    at: datetime
    names_another: bool


# Who typed a code for an order and chose to pay it by hand is believed for so long.
_TYPED_WITHIN = timedelta(hours=1)


def proves_itself(
    heard: Heard, account: Account, typed: Typed, now: datetime, mark_of: Callable[[str], str]
) -> bool:
    """Whether the code of an unclaimed receipt pays the order that it was typed for.

    Args:
        account: the order with its attempts.
        now: aware UTC.
        mark_of: as for `judge`.
    """
    told, order, paid_at = heard.told, account.order, heard.earliest
    if account.status(now) is not OrderStatus.OPEN or told.amount != order.amount * 100:
        return False
    if typed.names_another or paid_at < order.created_at - _CLOCKS:
        return False
    if any(
        push.created_at <= paid_at + _CLOCKS and fit(told.payer, push.msisdn, mark_of) is Fit.SAME
        for push in account.pushes
    ):
        return True
    if told.account is None:
        return False  # nobody told yet for which order it was sent
    if nearly_names(told.account, order):
        return True
    # A code that was typed before its money came was guessed.
    return -_CLOCKS <= typed.at - paid_at <= _TYPED_WITHIN and any(
        each.by_hand and each.created_at <= paid_at + _CLOCKS for each in account.attempts
    )


def push_paid_by(heard: Heard, account: Account, mark_of: Callable[[str], str]) -> str | None:
    """The id of the order's push that the receipt of a typed code is the money of; None: none.

    As in row 7 of the table, where nobody has told its account, or a till has none.
    """
    fits = {each.id: fit(heard.told.payer, each.msisdn, mark_of) for each in account.pushes}
    fitting = [
        each
        for each in account.pushes
        if _may_be_the_push(heard, each)
        and fits[each.id] is not Fit.OTHER
        and heard.told.account in (None, "", each.account_reference)
    ]
    return _likeliest(fitting, fits).id if fitting else None


def nearly_names(typed_account: str, order: Order) -> bool:
    """Whether an account is an order's pay code or reference, or one slip away from it."""
    form = normalised(typed_account)
    names = [order.pay_code or "", normalised(order.reference)]
    return bool(form) and any(
        name and (form == name or (len(name) >= _SHORTEST_REFERENCE and one_slip_apart(form, name)))
        for name in names
    )


def merged(first: Told, second: Told) -> Told:
    """What two witnesses of a receipt tell together; the first that tells a thing counts.

    A time whose zone is not known gives way to one that is sure, and an empty account, which a
    till's confirmation tells of every payment, to what the payer typed.
    """
    sure = not second.paid_at_doubtful and second.paid_at is not None
    better_time = first.paid_at is None or (first.paid_at_doubtful and sure)
    timed = second if better_time else first
    clearer, other = sorted((first.payer, second.payer), key=lambda each: not each.exact)
    payer = clearer if clearer.masked else replace(clearer, masked=other.masked)
    return replace(
        first,
        short_code=first.short_code or second.short_code,
        account=first.account or (first.account if second.account is None else second.account),
        payer=payer,
        name=first.name or second.name,
        paid_at=timed.paid_at,
        paid_at_doubtful=timed.paid_at_doubtful,
    )


def fit(payer: Payer, msisdn: str | None, mark_of: Callable[[str], str]) -> Fit:
    """Compare a payer with a number that we know.

    Args:
        msisdn: twelve digits; None: forgotten, or none was ever known.
        mark_of: as for `judge`.
    """
    if msisdn is None:
        return Fit.CANT_TELL
    if payer.msisdn is not None:
        return Fit.SAME if payer.msisdn == msisdn else Fit.OTHER
    if payer.hashed is not None:
        return Fit.SAME if payer.hashed == mark_of(msisdn) else Fit.OTHER
    if payer.masked is None:
        return Fit.CANT_TELL
    begin, stars, end = _ends(payer.masked)
    if not stars or not (begin or end):
        return Fit.CANT_TELL
    return Fit.SAME if msisdn.startswith(begin) and msisdn.endswith(end) else Fit.OTHER


def likeness(payer: Payer) -> str | None:
    """A pattern of SQL's LIKE that fits the numbers of which `fit` says *same*.

    Returns:
        None: it takes more than a pattern.
    """
    if payer.exact or payer.masked is None:
        return None
    begin, _stars, end = _ends(payer.masked)
    return f"{begin}%{end}"


def _ends(masked: str) -> tuple[str, str, str]:
    """What stands before the stars, as in `2547…`, the stars, and what stands behind them."""
    begin, stars, end = masked.partition("*")
    begin = f"254{begin[1:]}" if begin.startswith("0") else begin
    return begin, stars, end.lstrip("*")


# Longest first, so that INV does not stop short of INVOICE.
_WORDS = re.compile(r"\A(?:INVOICE|ACCOUNT|ORDER|ACC|INV|REF|NO)+(?=[0-9]+\Z)")


def normalised(account: str) -> str:
    """An account as it is compared: capitals and digits, without words or zeros in front.

    Args:
        account: as a payer typed it, or a merchant's reference.

    Returns:
        `""` where nothing is left, which fits nothing.
    """
    kept = "".join(each for each in account if each.isascii() and each.isalnum()).upper()
    kept = _WORDS.sub("", kept)
    return kept.lstrip("0") or "0" if kept.isdigit() else kept


def _may_be_the_push(heard: Heard, push: Attempt) -> bool:
    """Whether amount, time and state of a push let it be the one that was paid."""
    if push.channel is not Channel.PUSH or push.receipt is not None or push.shares_receipt:
        return False
    if push.amount * 100 != heard.told.amount:
        return False
    if push.status is Status.FAILED and push.final:
        return False
    begin, end = push.created_at - _CLOCKS, push.created_at + _AFTER_PUSH
    return any(begin <= each <= end for each in heard.readings)


def was_open(order: Order, moment: datetime) -> bool:
    """Whether an order could still be paid at a moment that is not before it was made."""
    if order.expires_at is not None and order.expires_at <= moment:
        return False
    return order.status is OrderStatus.OPEN or moment < order.updated_at


def _nearly(
    heard: Heard, accounts: Iterable[Account], mark_of: Callable[[str], str]
) -> list[Account]:
    """Orders that it may be meant for: by one wrong digit or swap, or by amount and payer."""
    told = heard.told
    form = normalised(told.account or "")
    found = []
    for each in accounts:
        if each.order.status is not OrderStatus.OPEN:
            continue
        code = each.order.pay_code
        by_code = code is not None and one_slip_apart(form, code)
        by_payer = (
            not told.account
            and each.order.amount * 100 == told.amount
            and any(fit(told.payer, push.msisdn, mark_of) is Fit.SAME for push in each.attempts)
        )
        if by_code or by_payer:
            found.append(each)
    return found


def one_slip_apart(one: str, other: str) -> bool:
    """Whether two texts of one length differ by one character, or by a swap of two neighbours."""
    if len(one) != len(other):
        return False
    differ = [place for place in range(len(one)) if one[place] != other[place]]
    if len(differ) == 2:
        i, j = differ
        return j == i + 1 and one[i] == other[j] and one[j] == other[i]
    return len(differ) == 1


def _ids(accounts: Iterable[Account]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.order.id for each in accounts))[:MOST_SUGGESTIONS]
