"""The simulator's ledger beside our database: what is lost, double or invented."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extras

from mpesa.daraja.reversal import REVERSAL_PATH
from mpesa.domain.refund import COUNTED, UNDER_WAY, RefundStatus
from tests.crash.witness import Seen
from tests.soak.shopper import RIGHT, ByHand

_ROWS = """
    SELECT t.*, o.status AS order_status, o.reference
    FROM transactions t JOIN orders o ON o.id = t.order_id
"""
_RECEIPTS = "SELECT * FROM receipts WHERE direction = 'in'"
_REFUNDS = """
    SELECT r.*,
        (SELECT count(*) FROM refund_steps s WHERE s.refund_id = r.id AND s.event = 'released')
            AS times_released,
        (SELECT count(*) FROM refund_steps s WHERE s.refund_id = r.id AND s.event = 'sent')
            AS times_sent
    FROM refunds r
"""
_SENT = (RefundStatus.SENT, RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.UNKNOWN)
_MAY_BE_BACK = (RefundStatus.SUCCEEDED, RefundStatus.SENT, RefundStatus.UNKNOWN)
_ALREADY_BACK = "R000001"
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
    ledger = [each for each in ledger if each["direction"] == "in"]
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
        # Returned is what an order had, and what nobody claimed.
        fits = receipt["state"] in (("claimed", "returned") if owner else ("unclaimed", "returned"))
        if not fits or (owner and owner["status"] != "SUCCESS"):
            wrong.append(f"{number}: {receipt['state']}, and its transaction is {owner}")
        if owner and owner["returned"] != (receipt["state"] == "returned"):
            wrong.append(f"{number}: {receipt['state']}, and its payment is shown otherwise")
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
    """What was sent rightly is its order's, unless it went back before; all else is nobody's."""
    reference = owner["reference"] if owner else None
    goes_back = receipt["refund_id"] is not None or receipt["state"] == "returned"
    if paid.kind in RIGHT and reference != paid.reference and (owner or not goes_back):
        return [f"{number}: sent with the {paid.kind}, {receipt['state']}, of {reference}"]
    if paid.kind not in RIGHT and owner:
        return [f"{number}: sent with {paid.kind}, and {receipt['state']}"]
    return []


def compare_refunds(
    database_url: str,
    ledger: list[dict[str, Any]],
    limit: int,
    seen: list[Seen],
    *,
    is_told: bool,
) -> tuple[Counter[str], list[str]]:
    """Hold the refunds against the ledger.

    Args:
        limit: cents that may go back on one day.
        seen: all that Daraja was asked.
        is_told: statements have told of each reversal.

    Returns:
        How many there are of what, and a sentence for each that is wrong.
    """
    refunds, receipts = _rows(database_url, _REFUNDS), _rows(database_url, _RECEIPTS)
    counts = Counter(f"refunds {each['status']}" for each in refunds)
    counts["receipts that went back"] = sum(each["reverses"] is not None for each in ledger)
    orders = Counter(
        json.loads(each.body)["Remarks"]
        for each in seen
        if each.path == REVERSAL_PATH and each.may_have_run
    )
    wrong = judge_refunds(refunds, receipts, ledger, limit, orders, is_told=is_told)
    tried = counts["refunds succeeded"] and counts["receipts that went back"]
    return counts, wrong if tried else [*wrong, "nothing went back, so nothing was tried"]


def judge_refunds(
    refunds: list[dict[str, Any]],
    receipts: list[dict[str, Any]],
    ledger: list[dict[str, Any]],
    limit: int,
    orders: Counter[str],
    *,
    is_told: bool,
) -> list[str]:
    """A sentence for each refund, receipt and day that is wrong.

    Args:
        refunds: the rows, each with `times_released` and `times_sent`.
        orders: how often Daraja was told to give money back, by the remarks of it.
        limit, is_told: as above.
    """
    back: dict[str, list[dict[str, Any]]] = {}
    for moved in ledger:
        if moved["reverses"] is not None:
            back.setdefault(moved["reverses"], []).append(moved)
    wrong = [f"{number}: went back {len(ways)} times" for number, ways in back.items() if ways[1:]]
    known = {f"Refund {each['id'][:8]}" for each in refunds if each["times_sent"]}
    wrong += [
        f"{remarks}: told to Daraja {times} times, and {remarks in known} that it was sent"
        for remarks, times in orders.items()
        if times > 1 or remarks not in known
    ]
    by_receipt: dict[str, list[dict[str, Any]]] = {}
    for each in refunds:
        by_receipt.setdefault(each["receipt"], []).append(each)
        way = back[each["receipt"]][0] if each["receipt"] in back else None
        wrong += [f"{each['id']}: {said}" for said in _wrong_with(each, way, is_told=is_told)]
    for receipt in receipts:
        number = receipt["receipt"]
        own, way = by_receipt.get(number, []), back[number][0] if number in back else None
        said = _wrong_of(receipt, own, way, is_told=is_told)
        wrong += [f"{number}: {each}" for each in said]
    days: Counter[str] = Counter()
    for each in refunds:
        days[each["released_day"]] += each["amount"] if each["status"] in COUNTED else 0
    wrong += [f"{day}: {cents} cents go back" for day, cents in days.items() if cents > limit]
    return wrong


def _wrong_with(
    refund: dict[str, Any], way: dict[str, Any] | None, *, is_told: bool
) -> Iterator[str]:
    """What is wrong with one refund.

    Args:
        way: the movement by which its receipt went back; None: it did not.
    """
    status = refund["status"]
    if refund["times_released"] > 1 or refund["times_sent"] != (status in _SENT):
        yield f"{status}, released {refund['times_released']} and sent {refund['times_sent']} times"
    if refund["times_sent"] > refund["times_released"]:
        yield "sent, and nobody released it"
    if status == "succeeded" and way is None:
        yield "succeeded, and the money is here"
    if is_told and status in UNDER_WAY and way is not None:
        yield f"{status}, and the money is back"
    if refund["result_code"] == _ALREADY_BACK and way and way["channel"] == "api":
        yield "M-PESA called it returned before, so it was sent twice"
    if refund["reversal_receipt"] not in (None, way and way["receipt"]):
        yield "another reversal"


def _wrong_of(
    receipt: dict[str, Any],
    refunds: list[dict[str, Any]],
    way: dict[str, Any] | None,
    *,
    is_told: bool,
) -> Iterator[str]:
    """What is wrong with one receipt, beside its refunds; `way` as above."""
    returned = receipt["state"] == "returned"
    if returned and way is None:
        yield "returned here, and not there"
    if is_told and way is not None and (not returned or receipt["returned_by"] != way["receipt"]):
        yield f"returned there by {way['receipt']}, and {receipt['state']} here"
    if way and way["channel"] == "api" and not any(e["status"] in _MAY_BE_BACK for e in refunds):
        yield "we sent it back, and no refund says so"
    under_way = [each["id"] for each in refunds if each["status"] in UNDER_WAY]
    if under_way != [each for each in (receipt["refund_id"],) if each]:
        yield f"names the refund {receipt['refund_id']}, and {under_way} are under way"


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
