"""The simulator's ledger beside our database: what is lost, double or invented."""

from collections import Counter
from typing import Any

import psycopg2
import psycopg2.extras

_ROWS = """
    SELECT t.*, o.status AS order_status FROM transactions t JOIN orders o ON o.id = t.order_id
"""
# What no merchant can know before a person looks: no callback came that can be read, and our row
# has no id to ask about, or Daraja does not tell for as long as it is asked.
_SILENT = ("never", "garbled")
_TELLS = ("honest", "flaky")


def compare(
    database_url: str, ledger: list[dict[str, Any]], scripts: dict[str, dict[str, Any]]
) -> tuple[Counter[str], list[str]]:
    """Hold every payment that moved money against its row, and every row against the payments.

    Args:
        ledger: the simulator's, complete.
        scripts: what each line did, by MSISDN; no line was used twice.

    Returns:
        How many there are of what, and a sentence for each that is wrong.
    """
    rows = {row["msisdn"]: row for row in _rows(database_url)}
    counts: Counter[str] = Counter(row["status"] for row in rows.values())
    counts["money moved"] = len(ledger)
    wrong = [*_twice(ledger, rows)]
    for paid in ledger:
        wrong += _judge(paid, rows.get(paid["msisdn"]), scripts[paid["msisdn"]], counts)
    moved = {paid["msisdn"] for paid in ledger}
    wrong += [
        f"{row['id']}: SUCCESS, but no money moved"
        for msisdn, row in rows.items()
        if row["status"] == "SUCCESS" and msisdn not in moved
    ]
    return counts, wrong


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


def _rows(database_url: str) -> list[dict[str, Any]]:
    connection = psycopg2.connect(database_url)
    try:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(_ROWS)
            return [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()
