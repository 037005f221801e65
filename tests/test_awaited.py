"""Addresses for results: secret, made before the request, heard for a while, append-only."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mpesa import awaited
from mpesa.awaited import Awaited, Subject
from mpesa.database import writing
from mpesa.ids import hash_token
from mpesa.models import AwaitedResult, HeardResult
from tests.conftest import on_both
from tests.factories import RECEIPT, raw
from tests.questions import answer
from tests.shop import at_once

LISTED = "196.201.212.69"


@pytest.fixture
def token(shop):
    """The secret of an address that waits for an answer about a receipt."""
    return opened(shop)


def opened(shop, kind=Subject.STATUS, subject=RECEIPT):
    wanted = Awaited(kind, subject, "c" * 64, shop.now() + timedelta(days=30))
    made, row = awaited.addresses(wanted, "https://pay.example", shop.now())
    with shop.sessions() as session, writing(session):
        session.connection().execute(row.statement, dict(row.values))
    return made.result_url.rsplit("/", 1)[1]


def hear(shop, token, body, *, source=LISTED, timed_out=False):
    with shop.sessions() as session:
        return awaited.hear(
            session, token, body, source, shop.now(), lambda msisdn: f"mark of {msisdn}",
            timed_out=timed_out,
        )  # fmt: skip


def waiting(shop, kind=Subject.STATUS):
    with shop.sessions() as session:
        return awaited.waiting(session, kind)


def judged(shop, heard, *, believed=True):
    with shop.sessions() as session:
        awaited.judged(session, heard, shop.now(), believed=believed)


@on_both
def test_what_came_waits_to_be_judged_and_is_judged_once(shop, token):
    hear(shop, token, raw(answer()))

    (heard,) = waiting(shop)
    assert (heard.subject, heard.source, heard.asked_at) == (RECEIPT, LISTED, shop.now())
    judged(shop, heard)
    assert list(waiting(shop)) == []


@on_both
def test_only_the_hash_of_the_secret_is_kept(shop, token):
    with shop.sessions() as session:
        assert session.scalars(select(AwaitedResult.token_hash)).all() == [hash_token(token)]


@on_both
@pytest.mark.parametrize("wrong", ["0" * 64, "", "%", "a" * 10_000])
def test_an_address_that_was_not_made_is_not_heard(shop, token, wrong):
    assert not hear(shop, wrong, b"{}")
    assert list(waiting(shop)) == []


@on_both
@pytest.mark.parametrize("timed_out", [True, False])
def test_an_address_is_heard_for_its_time(shop, token, timed_out):
    shop.now.pass_(days=30, seconds=-1)
    assert hear(shop, token, b"{}", timed_out=timed_out)

    shop.now.pass_(seconds=1)
    assert not hear(shop, token, b"{}", timed_out=timed_out)


@on_both
def test_a_second_body_takes_nothing_away_from_the_first(shop, token):
    hear(shop, token, raw(answer()))
    hear(shop, token, raw(answer(code=1)))
    hear(shop, token, b"", timed_out=True)
    hear(shop, token, raw(answer()), source="203.0.113.9")

    found = waiting(shop)

    assert [each.body is None for each in found] == [False, False, True, False]
    assert found[0].body == awaited.cut_people(raw(answer()))
    assert [each.source for each in found] == [LISTED, LISTED, LISTED, "203.0.113.9"]


@on_both
def test_the_same_body_again_is_counted_and_not_judged_again(shop, token):
    hear(shop, token, raw(answer()))
    judged(shop, waiting(shop)[0])

    for _ in range(4):
        hear(shop, token, raw(answer()))

    assert list(waiting(shop)) == []
    with shop.sessions() as session:
        assert session.scalars(select(HeardResult.times)).all() == [5]


@on_both
def test_the_same_body_with_another_payer_is_another_one(shop, token):
    hear(shop, token, raw(answer()))
    hear(shop, token, raw(answer(DebitPartyName="254712999678 - JUMA OTIENO")))

    first, second = waiting(shop)

    assert first.body == second.body  # masked, both look alike
    assert {first.payer_hash, second.payer_hash} == {
        "mark of 254712345678",
        "mark of 254712999678",
    }


@on_both
def test_copies_that_come_at_once_are_one(shop, token):
    outcomes = at_once([lambda: hear(shop, token, raw(answer()))] * 10)

    assert outcomes == [True] * 10
    assert len(waiting(shop)) == 1


@on_both
def test_who_learned_an_address_fills_no_disk(shop, token):
    for number in range(60):
        assert hear(shop, token, f"{number}".encode())

    with shop.sessions() as session:
        assert session.scalar(select(func.count()).select_from(HeardResult)) == 50


@on_both
def test_people_are_cut_out_of_what_is_kept(shop, token):
    hear(shop, token, raw(answer()))

    (heard,) = waiting(shop)
    assert b"712345678" not in heard.body
    assert b"OTIENO" not in heard.body
    assert heard.payer_hash == "mark of 254712345678"


@on_both
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 5000, b"\x1f\x8b", b'{"Result": 7}'])
def test_whatever_came_is_kept(shop, token, body):
    assert hear(shop, token, body)

    assert len(waiting(shop)) == 1


@on_both
def test_each_kind_waits_for_its_own_judge(shop, token):
    other = opened(shop, Subject.REVERSAL, "r" * 22)
    hear(shop, token, raw(answer()))
    hear(shop, other, b"{}")

    assert [each.subject for each in waiting(shop)] == [RECEIPT]
    assert [each.subject for each in waiting(shop, Subject.REVERSAL)] == ["r" * 22]


@on_both
def test_only_a_believed_result_is_an_answer(shop, token):
    hear(shop, token, b"", timed_out=True)
    judged(shop, waiting(shop)[0], believed=False)
    with shop.sessions() as session:
        assert session.scalars(select(AwaitedResult.answered_at)).one() is None

    hear(shop, token, raw(answer()))
    judged(shop, waiting(shop)[0])

    with shop.sessions() as session:
        assert session.scalars(select(AwaitedResult.answered_at)).one() == shop.now()


@on_both
def test_a_request_that_never_went_out_waits_for_nothing(shop):
    wanted = Awaited(Subject.STATUS, RECEIPT, "c" * 64, shop.now() + timedelta(days=1))
    made, row = awaited.addresses(wanted, "https://pay.example", shop.now())
    with shop.sessions() as session, writing(session):
        session.connection().execute(row.statement, dict(row.values))

    with shop.sessions() as session:
        awaited.close(session, made)

    assert not hear(shop, made.result_url.rsplit("/", 1)[1], b"{}")
