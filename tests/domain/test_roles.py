"""Who may do what, cell by cell."""

import pytest

from mpesa.domain.roles import LEAST, Act, Role, may

VIEWERS = {Act.VIEW}
CLERKS = VIEWERS | {
    Act.SEE_PEOPLE,
    Act.REVEAL_NUMBER,
    Act.ASK_DARAJA,
    Act.MARK_NOT_PAID,
    Act.SETTLE_REVIEW,
    Act.CLAIM,
    Act.ACCEPT_AMOUNT,
    Act.ASK_FOR_REFUND,
    Act.UPLOAD_STATEMENT,
    Act.SEND_WEBHOOK_AGAIN,
}
MAY = {Role.VIEWER: VIEWERS, Role.CLERK: CLERKS, Role.MANAGER: set(Act)}


def test_every_act_has_its_least_role():
    assert set(LEAST) == set(Act)


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_is_written_of_it_and_nothing_else(role, act):
    assert may(role, act) is (act in MAY[role])


@pytest.mark.parametrize("act", Act)
def test_who_is_more_may_do_what_who_is_less_may(act):
    allowed = [may(role, act) for role in (Role.VIEWER, Role.CLERK, Role.MANAGER)]

    assert allowed == sorted(allowed)
