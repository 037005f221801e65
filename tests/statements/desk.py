"""Somebody who imports statements into a shop's books."""

from mpesa.domain.statement_lines import Asked
from mpesa.domain.statement_lines import read as prove
from mpesa.statements import importing
from mpesa.statements.importing import Given, Needs
from mpesa.statements.reading import ReadStatement
from mpesa.statements.sheets import rows_of


class Read:
    """A statement as `reading.read` gives it, read in this process."""

    def __init__(self, raw, asked):
        self.head = prove(rows_of(raw), asked)
        self.rows = len(self.head.lines)

    def lines(self):
        return iter(self.head.lines)


class Desk:
    """Imports what it is given, the morning after."""

    def __init__(self, shop):
        self.shop = shop
        self.needs = Needs(receipts=shop.receipt_needs(), now=shop.now)

    def given(self, made, name="statement.csv", days=None):
        raw = made if isinstance(made, bytes) else made.as_csv()
        return Given(raw, name, days, "amina")

    def look(self, made, **how):
        given = self.given(made, **how)
        with self.shop.sessions() as session:
            return importing.look(session, Read(given.raw, self.asked(given)))

    def keep(self, made, **how):
        """Keep a file; returns its id and whether it is new."""
        given = self.given(made, **how)
        statement = Read(given.raw, self.asked(given))
        with self.shop.sessions() as session:
            importing.look(session, statement)
            return importing.keep(session, given, statement, self.shop.now())

    def settle(self, file_id, made=None, **how):
        """Settle a file's lines; without `made` it is read again, in its own process."""
        with self.shop.sessions() as session:
            statement = Read(made.as_csv(), self.asked(self.given(made))) if made else None
            return importing.settle(session, file_id, self.needs, statement, **how)

    def import_(self, made, **how):
        """Keep and settle a file; returns its id."""
        file_id, _ = self.keep(made, **how)
        given = self.given(made, **how)
        with self.shop.sessions() as session:
            importing.settle(session, file_id, self.needs, Read(given.raw, self.asked(given)))
        return file_id

    def asked(self, given):
        return Asked(self.needs.receipts.numbers, self.shop.now(), given.name, given.days)


__all__ = ["Desk", "Read", "ReadStatement"]
