"""Many payments at once, written by PostgreSQL itself: what lists and their plans are tried on."""

from sqlalchemy import Connection, text

# So many seconds apart, the newest now; of a hundred: 80 paid, one of them late, 17 failed, 3
# pending.
_ORDERS = """
INSERT INTO orders (id, amount, reference, description, status, created_at, updated_at)
SELECT 'o' || lpad(n::text, 21, '0'), 150, 'INV-' || n % 5000, 'Two coffees', 'OPEN', at, at
FROM generate_series(1, :count) AS n,
LATERAL (SELECT now() - n * :apart * interval '1 second' AS at) AS t
"""
_TRANSACTIONS = """
INSERT INTO transactions (id, order_id, attempt, msisdn, amount, callback_token_hash,
  merchant_request_id, checkout_request_id, status, reason, final, is_open, settles_order,
  needs_review, receipt, seq, times_asked, ask_urgently, created_at, updated_at, settled_at)
SELECT 't' || lpad(n::text, 21, '0'), 'o' || lpad(n::text, 21, '0'), 1,
  '2547' || lpad((n % 20000)::text, 8, '0'), 150, md5(n::text) || md5(n::text),
  'm' || n, 'ws_CO_' || n, status, reason, status <> 'PENDING', false, status = 'SUCCESS',
  n % 2000 = 7, CASE WHEN status = 'SUCCESS' THEN 'U' || lpad(n::text, 9, '0') END, 3, 0, false,
  at, at, CASE WHEN status <> 'PENDING' THEN at END
FROM generate_series(1, :count) AS n,
LATERAL (SELECT now() - n * :apart * interval '1 second' AS at,
  CASE WHEN n % 100 < 80 THEN 'SUCCESS' WHEN n % 100 < 97 THEN 'FAILED'
       ELSE 'PENDING' END AS status,
  CASE WHEN n % 100 = 79 THEN 'paid_late' WHEN n % 100 < 80 THEN 'paid'
       WHEN n % 5000 = 90 THEN 'over_limit'
       WHEN n % 100 < 90 THEN 'cancelled' WHEN n % 100 < 97 THEN 'unreachable'
       ELSE 'overdue' END AS reason) AS t
"""
_EVIDENCE = """
INSERT INTO evidence (transaction_id, kind, body, source, received_at)
SELECT id, CASE WHEN n = 1 THEN 'push_answer' WHEN reason = 'overdue' THEN 'sms_code'
  ELSE 'callback' END, convert_to('{"ResultCode": 0}', 'UTF8'), '196.201.212.69', created_at
FROM transactions, generate_series(1, 2) AS n
"""
_DECISIONS = """
INSERT INTO decisions (evidence_id, transaction_id, status, reason, seq, needs_review, why,
  decided_at)
SELECT e.id, t.id, t.status, t.reason, 3, t.needs_review AND e.kind <> 'push_answer',
  'code 0 with another amount', e.received_at
FROM evidence AS e JOIN transactions AS t ON t.id = e.transaction_id
"""


def fill(connection: Connection, count: int, apart: float = 1.0, *, evidence: bool = True) -> None:
    """Write so many payments, and have the planner know them.

    Args:
        apart: seconds from one to the next.
        evidence: with what was heard of each.
    """
    for statement in (_ORDERS, _TRANSACTIONS):
        connection.execute(text(statement), {"count": count, "apart": apart})
    for statement in (_EVIDENCE, _DECISIONS) if evidence else ():
        connection.execute(text(statement))
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT")
    for table in ("orders", "transactions", "evidence", "decisions"):
        connection.execute(text(f"VACUUM ANALYZE {table}"))


# A receipt of each paid payment, with as many that are no payment's; of a thousand: seven that are
# unclaimed, two unproven, one returned.
_RECEIPTS = """
INSERT INTO receipts (id, organisation, receipt, direction, amount, account, payer_masked,
  payer_hash, paid_at, state, transaction_id, listed, learned_at, changed_at, needs_review)
SELECT 'r' || lpad(n::text, 21, '0'), '174379', 'R' || lpad(n::text, 9, '0'), 'in',
  (CASE WHEN n % 10 = 0 THEN 15000 ELSE n % 3000 * 100 + 100 END), 'ACC-' || n % 5000,
  '2547*****678', md5((n % 20000)::text) || md5((n % 20000)::text), at,
  CASE WHEN n % 1000 < 7 THEN 'unclaimed' WHEN n % 1000 < 9 THEN 'unproven'
       WHEN n % 1000 < 10 THEN 'returned' ELSE 'claimed' END,
  CASE WHEN n % 100 < 80 AND n % 1000 > 9 THEN 't' || lpad(n::text, 21, '0') END, true, at, at,
  n % 5000 = 3
FROM generate_series(1, :count) AS n,
LATERAL (SELECT now() - n * :apart * interval '1 second' AS at) AS t
"""


def fill_receipts(connection: Connection, count: int, apart: float = 1.0) -> None:
    """Write so many receipts beside as many payments, and have the planner know them.

    Args:
        apart: as in `fill`.
    """
    connection.execute(text(_RECEIPTS), {"count": count, "apart": apart})
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT")
    connection.execute(text("VACUUM ANALYZE receipts"))
