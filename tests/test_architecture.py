"""What holds for the whole tree: who imports whom, who writes what, how long things may be."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mpesa"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A longer function hides its story; nine of ten are under 30 lines.
LONGEST_FUNCTION = 60

STATE_COLUMNS = frozenset(
    ["status", "reason", "seq", "final", "receipt", "needs_review", "settles_order", "is_open"]
)
# Other things have a status too. A transaction never goes by these names.
NOT_A_TRANSACTION = frozenset(["self", "order", "response", "delivery"])
# The one way in and out of the database; the simulator has its own bank.
MAY_WRITE_STATE = "mpesa/books.py"
WRITES_TRANSACTIONS = re.compile(
    r"\b(update(\s+only)?|insert\s+into|merge\s+into|delete\s+from|copy)\s+\"?transactions\b",
    re.IGNORECASE,
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def imported_by(source):
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def long_functions(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{node.name} has {length} lines"


def state_writes(source):
    for node in ast.walk(ast.parse(source)):
        if any(writes(node) for writes in WAYS_TO_WRITE):
            yield f"line {getattr(node, 'lineno', '?')}: {ast.unparse(node)}"


def is_assignment_to_state(node):
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
        return node.attr in STATE_COLUMNS and may_be_a_transaction(node.value)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
        # A name that is computed could be any column.
        column = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
        return (column is None or column in STATE_COLUMNS) and may_be_a_transaction(node.args[0])
    return False


def may_be_a_transaction(node):
    return ast.unparse(node).split(".")[-1] not in NOT_A_TRANSACTION


def is_bulk_write_of_state(node):
    """Whether it is `update(Transaction).values(status=…)` or the query's `.update({…})`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    writes = node.func.attr in {"values", "update"} and "Transaction" in ast.unparse(node.func)
    return writes and not (STATE_COLUMNS | {COMPUTED}).isdisjoint(columns_given_to(node))


def columns_given_to(call):
    yield from (keyword.arg or COMPUTED for keyword in call.keywords)
    for argument in call.args:
        keys = argument.keys if isinstance(argument, ast.Dict) else [None]
        yield from (
            ast.unparse(key).strip("'\"").split(".")[-1] if key else COMPUTED for key in keys
        )


def is_insert_of_a_row(node):
    """Whether it is `insert(Transaction)`, or makes a row for a session to add."""
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func).split(".")[-1]
    of_transactions = bool(node.args) and "Transaction" in ast.unparse(node.args[0])
    return called == "Transaction" or (called == "insert" and of_transactions)


def is_sql_that_writes(node):
    """Whether it is SQL as text, also in pieces, that writes rows of transactions."""
    pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [each.value for each in pieces if isinstance(each, ast.Constant)]
    return bool(
        WRITES_TRANSACTIONS.search("".join(each for each in texts if isinstance(each, str)))
    )


# A column whose name is worked out could be any.
COMPUTED = "computed"
WAYS_TO_WRITE = (
    is_assignment_to_state,
    is_bulk_write_of_state,
    is_insert_of_a_row,
    is_sql_that_writes,
)


def test_imports_keep_to_the_layers():
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    outcome = subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("path", [ROOT / "app.py", *MODULES], ids=name_of)
def test_only_serving_imports_the_async_server(path):
    roots = {name.split(".")[0] for name in imported_by(path.read_text())}

    async_servers = roots & {"eventlet", "gevent"}

    assert not async_servers or PACKAGE / "serving" in path.parents


@pytest.mark.parametrize("path", sorted((PACKAGE / "domain").glob("*.py")), ids=name_of)
def test_the_domain_needs_nothing_but_the_standard_library(path):
    roots = {name.split(".")[0] for name in imported_by(path.read_text())}

    # "" stands for a relative import, which cannot leave unnoticed: the layers look at it.
    foreign = roots - sys.stdlib_module_names - {"", "mpesa"}

    assert foreign == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_is_longer_than_a_screen(path):
    assert list(long_functions(path.read_text())) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_ledger_changes_the_state_of_a_transaction(path):
    if name_of(path) == MAY_WRITE_STATE or PACKAGE / "simulator" in path.parents:
        return

    assert list(state_writes(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "transaction.status = 'SUCCESS'",
        "attempt.transaction.seq += 1",
        "transaction.receipt, other = receipt, None",
        "setattr(transaction, 'reason', reason)",
        "setattr(transaction, column, reason)",
        "session.execute(update(Transaction).where(x).values(is_open=False))",
        "session.query(Transaction).update({Transaction.final: True})",
        "session.query(Transaction).update({'needs_review': True})",
        "update(Transaction).where(x).values(**fields)",
        "update(Transaction).where(x).values(fields)",
        "update(models.Transaction).values({name: bindparam(name) for name in names})",
        "insert(models.Transaction.__table__).values(id='x')",
        "session.add(Transaction(id='x'))",
        "text('UPDATE transactions SET status = :status')",
        "CHANGE = 'BEGIN; update  only transactions set x = 1'",
        "CHANGE = f'UPDATE transactions SET {names} WHERE id = %(id)s'",
        "ADD = 'INSERT INTO transactions (id) VALUES (1)'",
    ],
)
def test_a_change_of_state_elsewhere_would_be_seen(line):
    assert list(state_writes(line))


@pytest.mark.parametrize(
    "line",
    [
        "order.status = OrderStatus.PAID",
        "self.reason = reason",
        "transaction.next_ask_at = now",
        "session.execute(update(Order).values(status='EXPIRED'))",
        "fields.update(status='PENDING')",
        "update(Transaction).values(msisdn=None, next_ask_at=None)",
        "text('SELECT status FROM transactions')",
        "insert(EvidenceRow).values(transaction_id='x')",
    ],
)
def test_what_is_no_state_of_a_transaction_is_left_alone(line):
    assert not list(state_writes(line))
