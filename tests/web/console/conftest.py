"""What the tests of the console share."""

import pytest

from tests.web.console.steps import logged_in


@pytest.fixture
def operator(app):
    """A browser in which an operator is logged in."""
    return logged_in(app)
