"""What the tests of the console share."""

import pytest
from argon2 import PasswordHasher

from mpesa import operators
from tests.web.console.steps import logged_in

# Hashing is slow on purpose; tests/test_operators.py holds how slow.
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """Log in at once: these tests ask what an operator may see and do."""
    monkeypatch.setattr(operators, "_HASHER", _QUICK)
    operators._unknown_name_hash.cache_clear()
    yield
    operators._unknown_name_hash.cache_clear()


@pytest.fixture
def operator(app):
    """A browser in which an operator is logged in."""
    return logged_in(app)
