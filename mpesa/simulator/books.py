"""The organisations' accounts and every entry in them; a part of the bank, which has the lock."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from mpesa.simulator.merchants import Payee
from mpesa.simulator.movement import Movement
from mpesa.simulator.people import masked_in_statement, name_of
from mpesa.simulator.validation import TILL

# What a merchant pays for a payment, after the business tariff: nothing up to KES 200, above it
# 0.55 % and KES 200 at most. In cents, and per 10,000.
_FREE_UP_TO = 200_00
_RATE = 55
_DEAREST = 200_00

# The Details of money that comes from the bank or goes there; the portal's word for the second.
_DEPOSIT = "Agency Deposit of funds from Bank"
_WITHDRAWAL = "Agency Withdrawal of funds to Bank"


class Account(StrEnum):
    """An organisation's accounts, by the names that Daraja and the portal give them."""

    UTILITY = "Utility Account"
    MERCHANT = "Merchant Account"
    SETTLEMENT = "Organization Settlement Account"


COMPLETED, CANCELLED = "Completed", "Cancelled"


@dataclass(frozen=True)
class Entry:
    """One row in an account; a receipt has several.

    Attributes:
        amount: in cents; negative: it left the account. Only what was completed moved.
        balance: the account's, in cents, afterwards.
        reason: the statement's Reason Type.
        linked: the receipt that the row undoes; empty: the portal does not tell.
        account_number: what the payer typed.
    """

    shortcode: str
    account: Account
    receipt: str
    at: datetime
    details: str
    amount: int
    balance: int
    reason: str
    other_party: str = ""
    linked: str = ""
    account_number: str = ""
    is_payment: bool = False
    status: str = COMPLETED


class Books:
    """Accounts by organisation, with their entries in the order in which they were made.

    Args:
        opening: whole KES that an account which takes payments has at the start.
    """

    def __init__(self, opening: int) -> None:
        self.opening = opening * 100
        self._balances: dict[tuple[str, Account], int] = {}
        self._entries: dict[str, list[Entry]] = defaultdict(list)

    def balance(self, shortcode: str, account: Account) -> int:
        """What is in an account, in cents."""
        takes_payments = account is not Account.SETTLEMENT
        return self._balances.get((shortcode, account), self.opening if takes_payments else 0)

    def entries(self, shortcode: str) -> list[Entry]:
        """An organisation's entries, oldest first."""
        return list(self._entries[shortcode])

    def take(self, movement: Movement) -> None:
        """Enter a payment, and what the merchant pays for it; note the balance in between."""
        movement.balance = self._enter(self._payment(movement))
        if charge := charge_for(movement.amount * 100):
            payee = movement.payee
            self._enter(
                Entry(
                    shortcode=payee.shortcode,
                    account=account_of(payee),
                    receipt=movement.receipt,
                    at=movement.paid_at,
                    details="Pay merchant Charge" if payee.kind == TILL else "Pay Bill Charge",
                    amount=-charge,
                    balance=0,
                    reason=reason_of(payee),
                    other_party="SP",
                )
            )

    def cancel(self, movement: Movement) -> None:
        """Enter a payment that the merchant turned down: some exports show it."""
        self._enter(replace(self._payment(movement), status=CANCELLED))

    def _payment(self, movement: Movement) -> Entry:
        payee, person = movement.payee, _described(movement.msisdn)
        details = f"Pay Bill from {person} Acc. {movement.account}"
        if payee.kind == TILL:
            details = f"Merchant Payment from {person}"
        return Entry(
            shortcode=payee.shortcode,
            account=account_of(payee),
            receipt=movement.receipt,
            at=movement.paid_at,
            details=details,
            amount=movement.amount * 100,
            balance=0,
            reason=reason_of(payee),
            other_party=person,
            # A till has no accounts; what a push sent as reference does not count as one.
            account_number="" if payee.kind == TILL else movement.account,
            is_payment=True,
        )

    def give_back(self, back: Movement, operator: str) -> None:
        """Enter the reversal of a payment, and note the balance after it.

        Args:
            operator: who gave it back, with the organisation's name.
        """
        payee = back.payee
        kind = "Pay Merchant Reversal" if payee.kind == TILL else "Pay Utility Reversal"
        back.balance = self._enter(
            Entry(
                shortcode=payee.shortcode,
                account=account_of(payee),
                receipt=back.receipt,
                at=back.paid_at,
                details=f"{kind} by {operator}",
                amount=-back.amount * 100,
                balance=0,
                reason=kind,
                other_party=_described(back.msisdn),
                linked=(back.reverses or "") if back.is_linked else "",
            )
        )

    def fund(self, amount: int, draw: Callable[[], str], now: datetime) -> None:
        """Bring every account that takes payments to an amount, from the bank or into settlement.

        Args:
            amount: whole KES; accounts without an entry begin with it.
            draw: makes the receipt of each transfer.
        """
        self.opening = amount * 100
        for shortcode, account, balance in self._taking_payments():
            missing = self.opening - balance
            if missing > 0:
                settlement = Account.SETTLEMENT
                self._settle(shortcode, settlement, _DEPOSIT, missing, draw(), now)
                self._transfer(shortcode, (settlement, account), missing, draw(), now)
            elif missing < 0:
                self._transfer(shortcode, (account, Account.SETTLEMENT), -missing, draw(), now)

    def sweep(self, draw: Callable[[], str], now: datetime) -> list[Entry]:
        """Send all that accounts hold to the bank, by way of settlement; none begins with any.

        Args:
            draw: makes the receipt of each transfer.

        Returns:
            The withdrawals.
        """
        self.opening = 0
        for shortcode, account, balance in self._taking_payments():
            if balance > 0:
                self._transfer(shortcode, (account, Account.SETTLEMENT), balance, draw(), now)
        return [
            self._settle(shortcode, account, _WITHDRAWAL, -balance, draw(), now)
            for (shortcode, account), balance in list(self._balances.items())
            if account is Account.SETTLEMENT and balance > 0
        ]

    def _taking_payments(self) -> list[tuple[str, Account, int]]:
        return [
            (shortcode, account, balance)
            for (shortcode, account), balance in self._balances.items()
            if account is not Account.SETTLEMENT
        ]

    def _transfer(
        self,
        shortcode: str,
        between: tuple[Account, Account],
        amount: int,
        receipt: str,
        now: datetime,
    ) -> None:
        """Move money from one account to another: a pair of rows with one receipt."""
        details = " to ".join(between)
        for account, cents in zip(between, (-amount, amount), strict=True):
            self._settle(shortcode, account, details, cents, receipt, now)

    def _settle(
        self,
        shortcode: str,
        account: Account,
        details: str,
        amount: int,
        receipt: str,
        now: datetime,
    ) -> Entry:
        self._enter(
            Entry(shortcode, account, receipt, now, details, amount, 0, reason="Settlement")
        )
        return self._entries[shortcode][-1]

    def _enter(self, entry: Entry) -> int:
        moved = entry.amount if entry.status == COMPLETED else 0
        balance = self.balance(entry.shortcode, entry.account) + moved
        self._balances[entry.shortcode, entry.account] = balance
        self._entries[entry.shortcode].append(replace(entry, balance=balance))
        return balance


def _described(msisdn: str) -> str:
    name = name_of(msisdn)
    return f"{masked_in_statement(msisdn)} - {name.first} **** {name.last}"


def account_of(payee: Payee) -> Account:
    """The account that takes a payee's payments: Utility for a PayBill, Merchant for a till."""
    return Account.MERCHANT if payee.kind == TILL else Account.UTILITY


def reason_of(payee: Payee) -> str:
    """The Reason Type of a payment."""
    return "Pay Merchant" if payee.kind == TILL else "Pay Utility"


def charge_for(amount: int) -> int:
    """What the merchant pays for a payment; both in cents."""
    if amount <= _FREE_UP_TO:
        return 0
    return min((amount * _RATE + 5_000) // 10_000, _DEAREST)
