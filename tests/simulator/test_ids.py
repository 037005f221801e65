import re
from datetime import UTC, datetime
from random import Random

import pytest

from mpesa.simulator import ids


def test_a_checkout_request_id_tells_nairobi_time_and_the_number():
    moment = datetime(2026, 11, 24, 21, 30, 5, 7_000, UTC)

    found = ids.checkout_request_id(moment, "254712345678")

    assert found == "ws_CO_25112026003005007712345678"


@pytest.mark.parametrize(
    ("moment", "letters"),
    [
        (datetime(2024, 1, 1, 9, tzinfo=UTC), "SA1"),
        (datetime(2026, 11, 24, 9, tzinfo=UTC), "UKO"),
        (datetime(2025, 12, 31, 9, tzinfo=UTC), "TLV"),
        (datetime(2025, 12, 31, 22, tzinfo=UTC), "UA1"),
    ],
)
def test_a_receipt_begins_with_the_day_in_nairobi(moment, letters):
    receipt = ids.receipt_number(moment, Random(1))

    assert re.fullmatch(letters + "[A-Z0-9]{7}", receipt)


def test_a_merchant_request_id_is_four_hex_groups_with_a_decimal_tail():
    found = ids.merchant_request_id(Random(1))

    assert re.fullmatch(r"([0-9a-f]{4}-){3}[0-9a-f]{12}[0-9]{4}", found)
