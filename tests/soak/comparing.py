"""The simulator's ledger beside our database: what is lost, double or invented."""

from collections import Counter
from typing import Any

import psycopg2
import psycopg2.extras

from tests.soak.shopper import RIGHT, ByHand

_ROWS = """
    SELECT t.*, o.status AS order_status, o.reference
    FROM transactions t JOIN orders o ON o.id = t.order_id
"""
_RECEIPTS = "SELECT * FROM receipts WHERE direction = 'in'"
# What no merchant can know before a person looks: no callback came that can be read, and our row
# has no id to ask about, or Daraja does not tell for as long as it is asked.
_SILENT = ("never", "garbled")
_TELLS = ("honest", "flaky")


def compare(
    database_url: str,
    ledger: list[dict[str, Any]],
    scripts: dict[str, dict[str, Any]],
    by_hand: dict[str, ByHand],
) -> tuple[Counter[str], list[str]]:
    """Hold every payment that moved money against its row, and every row against the payments.

    Args:
        ledger: the simulator's, complete.
        scripts: what each line did, by MSISDN; no line was used twice.
        by_hand: what was paid by hand, by receipt.

    Returns:
        How many there are of what, and a sentence for each that is wrong.
    """
    all_rows = _rows(database_url, _ROWS)
    wrong, counts = compare_receipts(_rows(database_url, _RECEIPTS), all_rows, ledger, by_hand)
    rows = {row["msisdn"]: row for row in all_rows if row["channel"] == "push"}
    counts += Counter(row["status"] for row in rows.values())
    ledger = [each for each in ledger if each["channel"] == "push"]
    counts["money moved by a push"] = len(ledger)
    wrong += _twice(ledger, rows)
    for paid in ledger:
        wrong += _judge(paid, rows.get(paid["msisdn"]), scripts[paid["msisdn"]], counts)
    moved = {paid["msisdn"] for paid in ledger}
    wrong += [
        f"{row['id']}: SUCCESS, but no money moved"
        for msisdn, row in rows.items()
        if row["status"] == "SUCCESS" and msisdn not in moved
    ]
    return counts, wrong


def compare_receipts(
    receipts: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    ledger: list[dict[str, Any]],
    by_hand: dict[str, ByHand],
) -> tuple[list[str], Counter[str]]:
    """Hold the receipts against the ledger, after everything has been told.

    Returns:
        A sentence for each that is wrong, and how many are in which state.
    """
    known = {each["receipt"]: each for each in receipts}
    having = {row["receipt"]: row for row in rows if row["receipt"]}
    wrong = [f"{each}: told by nobody, and known" for each in known.keys() - _receipts(ledger)]
    for moved in ledger:
        number = moved["receipt"]
        receipt, owner = known.get(number), having.get(number)
        if receipt is None:
            wrong.append(f"{number}: {moved['channel']}, and no receipt is known")
            continue
        if receipt["amount"] != moved["amount"] * 100:
            wrong.append(f"{number}: another amount")
        claimed = receipt["state"] == "claimed"
        if claimed != (owner is not None) or (owner and owner["status"] != "SUCCESS"):
            wrong.append(f"{number}: {receipt['state']}, and its transaction is {owner}")
        if number in by_hand:
            wrong += _by_hand(number, receipt, owner, by_hand[number])
    wrong += [f"{each}: no receipt, and a transaction has it" for each in having.keys() - known]
    states = Counter(f"{each['state']} receipts" for each in receipts)
    return wrong, states


def _receipts(ledger: list[dict[str, Any]]) -> set[str]:
    return {each["receipt"] for each in ledger}


def _by_hand(
    number: str, receipt: dict[str, Any], owner: dict[str, Any] | None, paid: ByHand
) -> list[str]:
    """What was sent rightly is its order's; what was not is nobody's."""
    reference = owner["reference"] if owner else None
    if paid.kind in RIGHT and reference != paid.reference:
        return [f"{number}: sent with the {paid.kind}, {receipt['state']}, of {reference}"]
    if paid.kind not in RIGHT and receipt["state"] != "unclaimed":
        return [f"{number}: sent with {paid.kind}, and {receipt['state']}"]
    return []


def _judge(
    paid: dict[str, Any], row: dict[str, Any] | None, script: dict[str, Any], counts: Counter[str]
) -> list[str]:
    if row is None:
        return [f"{paid['receipt']}: money moved, and there is no row"]
    if row["status"] != "SUCCESS":
        return _unknown(paid, row, script, counts)
    if row["amount"] != paid["amount"]:
        return [f"{row['id']}: another amount"]
    if row["receipt"] is None:
        counts["found by asking, receipt not told"] += 1
    elif row["receipt"] != paid["receipt"]:
        return [f"{row['id']}: another receipt"]
    if row["order_status"] != "PAID":
        return [f"{row['id']}: paid, and its order is not"]
    return []


def _unknown(
    paid: dict[str, Any], row: dict[str, Any], script: dict[str, Any], counts: Counter[str]
) -> list[str]:
    """Money moved and our row does not say so: right only where nothing told us."""
    told = script["callback"] not in _SILENT
    could_ask = row["checkout_request_id"] is not None and script["query"] in _TELLS
    if not told and could_ask and _is_asked_later(row, script):
        counts["moved, failed questions are put again"] += 1
        return []
    if told or could_ask or row["final"]:
        return [f"{paid['receipt']}: lost; our row is {row['status']} {row['reason']}, {script}"]
    counts["moved, told by nobody yet"] += 1
    return []


def _is_asked_later(row: dict[str, Any], script: dict[str, Any]) -> bool:
    """Daraja failed to answer, and the next question to a failure is 15 min later than the last."""
    return script["query"] == "flaky" and not row["final"] and row["next_ask_at"] is not None


def _twice(ledger: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> list[str]:
    """Orders that were paid more than once."""
    paid = Counter(rows[each["msisdn"]]["order_id"] for each in ledger if each["msisdn"] in rows)
    return [f"order {order}: paid {times} times" for order, times in paid.items() if times > 1]


def _rows(database_url: str, query: str) -> list[dict[str, Any]]:
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(query)
            return [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()
